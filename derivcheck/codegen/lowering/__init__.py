"""Terms as torch operations: each subterm becomes a node with one index per dimension.

Read in this order:

- ``frame``: what the rules share;
- ``finite``, ``positions``, ``reading``: what may be infinite, what positions look like, elements of a tensor as views;
- ``masks``, ``choices``, ``blocks``: what brackets become;
- ``onehot``, ``products``: places that an integer tensor names, products over all places but one;
- ``summed``, ``contraction``: sums of products, with ``picking``, ``flat``, ``scatter``, ``windows``, ``cumulative``,
  ``convolution`` and its ``grouping``;
- ``normal``: an ``erf`` in a sum, by another kernel;
- ``lower``: the loop over all kinds of terms, which asks the rules.
"""
