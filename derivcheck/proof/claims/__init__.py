"""The two sides of a proof, as values: the forward with its gradient, and what a backward claims.

``claim.py``: which of a backward's definitions is said to be which gradient.  ``sides.py``: both sides together; read it
first.  ``lemmas.py``: a definition of the claim that was proved equal to one of the derivation.  ``forms.py``: the normal
forms of all definitions in one mode, and how a difference is emptied by writing names out.  ``constants.py`` and
``integers.py`` make claims comparable first: decimals that stand for √2, integers in positions; ``comparisons.py`` writes out
what is compared.  ``wording.py``: how
something was proved, and under which conditions.
"""
