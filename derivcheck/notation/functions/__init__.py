"""The scalar functions: one row each, in ``table``.

A row says what a function means (its SymPy expression), how torch, LaTeX and index text spell it, and where it is defined.  Its
derivative is SymPy's; its values on float64 arrays stand in ``float64``.
"""
