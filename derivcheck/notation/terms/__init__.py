"""Terms, and all that builds, looks through and changes them.

Read in this order:

- ``nodes``: the closed set of nodes, and their text;
- ``build`` and ``brackets``: sums, products,
  powers and Iverson brackets, by the laws that always hold; what these drop is told to
  ``dropped``;
- ``walk``: what stands inside a term;
- ``substitute``: ``Σ`` and ``Π``, and a term with its parts changed.
"""
