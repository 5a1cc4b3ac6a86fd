"""The backward under test.

``found`` runs it, whatever it is, and says what it returned and did that it should not; read it first.  ``own`` runs the
forward's own backward as torch's engine does, ``engine`` overhears what the ``autograd.Function`` in it returns.  ``claim`` is
the backward as a Program, whose arithmetic says how much it may round.
"""
