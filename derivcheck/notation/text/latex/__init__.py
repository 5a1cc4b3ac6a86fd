r"""LaTeX, as papers write formulas by elements, into the syntax trees of index text.

The way goes through these files in order:

- ``tokens``: what is drawn;
- ``functions``: the names of scalar functions in the field;
- ``scope``: what is known of names, and which indices are bound where;
- ``signs``: a letter with its accents, labels and positions;
- ``positions``: what stands in a subscript, and from where it is counted;
- ``matrices``: determinants, traces, norms, elements of an inverse or a product of whole matrices;
- ``expressions``: terms;
- ``equations``: lines of definitions.
"""
