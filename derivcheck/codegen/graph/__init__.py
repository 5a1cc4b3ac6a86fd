"""Tensor operations before they become text.

``nodes`` makes the graph, ``spell`` has the torch text of
each operation, ``write`` puts statements together: what is used twice gets a name.
``numbers`` spells what Python knows when the code runs (sizes, rationals), ``names`` hands out identifiers,
``divisors`` tells which sizes in a divisor may be 0 while something is computed.

For code that runs: ``lean`` writes into what nobody reads again, as ``memory`` knows it; ``lean_forms`` (with ``moved`` and
``reordered``), ``joined`` and ``again`` are what it computes otherwise than it is read.  ``stored`` is for a compiler.
"""
