"""The normal form of a term: equal for terms that are equal by the rules of algebra and of sums.

``normal.py`` walks a term and fills the table of rules; read it first.  Then, from the bottom: ``products.py`` gathers
factors, ``signs.py`` says what is above 0, ``cases.py`` takes a function by cases of a bracket, ``assumed.py`` knows what one
case assumes, ``powers.py``, ``brackets.py`` and ``elementary.py`` spell each factor in one way, ``substitution.py`` replaces
indices and names.  Sums: ``sums.py`` opens and splits them, ``elements.py`` writes out a few places one by one,
``reflections.py`` and ``quotient_digits.py`` respell their indices, ``closing.py`` makes an atom of what is left,
``reductions.py`` does products and extremes.  Matrices: ``matrices.py`` keeps what is made of one, ``inverses.py``,
``cholesky_factors.py`` and ``triangles.py`` are what becomes of it in sums.  ``vanishing.py``
asks whether an expression is 0, ``modes.py`` how far to go.
"""
