"""Other ways to the same gradient, which share no code with the derivation.

``witness`` asks them all; read it first.  ``differences`` are finite differences of the Program (``structure`` says which
elements may be moved together), ``exact`` has SymPy's elements, by ``dual`` numbers.  ``fast`` is
``gradcheck(fast_mode=True)``.
"""
