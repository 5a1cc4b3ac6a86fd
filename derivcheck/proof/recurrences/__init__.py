"""Recurrences: what a scan computes is proved by induction of one step.

``unrolling.py`` replaces elements of a recurrence by what makes them.  ``induction.py``: what satisfies a recurrence, its
start included, is its solution; read it first.  ``difference.py``: a difference of two sides that is 0 at one end, and the
same at each place as at the next.  ``invariants.py``: what a user says that a recurrence always is, tested like any guess.
``hypothesis.py`` proves that a difference is 0 at each place by that it is 0 at the next.
"""
