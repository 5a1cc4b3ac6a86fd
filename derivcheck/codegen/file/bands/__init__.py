"""Large tensors a band of rows after the other, so that what is between stays in the processor's cache.

- ``axes``: which dimension of its operands each dimension of an operation's result runs along;
- ``classes``: the dimensions that are one index throughout, and what along it can be computed band by band;
- ``split``: definitions as those before a loop over bands, in it, and after it;
- ``banded``: the loop.
"""
