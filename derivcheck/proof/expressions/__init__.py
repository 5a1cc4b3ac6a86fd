"""What a normal form is made of.

``atoms.py`` has the kinds of atoms, and says what monomials and expressions are; read it first.  ``polynomials.py`` adds
expressions up.  ``context.py`` is what the terms of one proof share: one object per atom, what is known of the tensors,
what is assumed, which rules were used, the time left, and the table of the rules that call one another.
``signatures.py`` and ``labelling.py`` name bound indices canonically, so that two sums that differ in names are one atom.
"""
