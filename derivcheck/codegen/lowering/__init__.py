"""Terms as torch operations: each subterm becomes a node with one index per dimension.

Read in this order:

- ``frame``: what the rules share;
- ``finite``, ``positions``, ``reading``: what may be infinite, what positions look like, elements of a tensor as views;
- ``masks``, ``choices``, ``blocks``: what brackets become;
- ``contraction`` (with ``scatter``, ``cumulative``, ``convolution`` and its ``grouping``): sums of products;
- ``lower``: the loop over all kinds of terms, which asks the rules.
"""
