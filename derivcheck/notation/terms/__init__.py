"""Terms, and all that builds, looks through and changes them.

Read in this order:

- :mod:`nodes <derivcheck.notation.terms.nodes>`: the closed set of nodes, and their text;
- :mod:`build <derivcheck.notation.terms.build>` and :mod:`brackets <derivcheck.notation.terms.brackets>`: sums, products,
  powers and Iverson brackets, by the laws that always hold; what these drop is told to
  :mod:`dropped <derivcheck.notation.terms.dropped>`;
- :mod:`walk <derivcheck.notation.terms.walk>`: what stands inside a term;
- :mod:`substitute <derivcheck.notation.terms.substitute>`: ``Σ`` and ``Π``, and a term with its parts changed.
"""
