"""What each torch operator means, one row each: the part that grows.

- ``language``: what a row is, the Builder and values that it is written with;
- the families, each a room: ``pointwise``, ``shapes`` (the same elements elsewhere), ``sums`` (reductions, products,
  what sorts, matrices), ``indexing`` (by integer tensors), ``layers``, ``losses``;
- ``refused``: what is refused by name.

A family may use those before it.  Read ``language/row.py``, then ``sums/contractions.py``.
"""
