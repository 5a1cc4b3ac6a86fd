"""Integer expressions: the sizes of dimensions and the positions of elements, interned.

Read in this order:

- ``polynomials``: what an atom is, sizes and indices, and ``+ - *`` of them;
- ``bounds``: what is surely at least 0 at all sizes;
- ``atoms``: entries of integer tensors, quotients (``//``), extremes.
"""

import derivcheck.notation.integers.atoms  # noqa: F401  # it gives polynomials their division
