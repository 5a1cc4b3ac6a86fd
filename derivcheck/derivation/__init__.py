"""The reverse sweep: the gradient of a Program is a Program.

Read in this order:

- ``sweep``: from the last definition to the first; what each contributes is kept apart, as the paths of the chain rule;
- ``scalar``: the derivative of one node in its children, which SymPy takes;
- ``positions``: sums and deltas solved, in one place;
- ``tidy``: the result in the forward's own names, common factors in front;
- ``meant``: which gradient a backward means by a name.
"""
