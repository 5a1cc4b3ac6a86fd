"""A forward written in the functions whose kernels take care: a user's ``log(1 + exp(x))`` is softplus, whoever wrote it how.

The term chooses, not the operator that was called, and definitions are seen through.  What is written is equal wherever the
user's own formula is defined; where that one overflows, cancels or divides 0 by 0, it stays finite and keeps its digits.  The
gradient is then derived from it, so that it does, too.  Read in this order:

- ``sight``: terms seen through definitions: as a product, and as a sum of exponentials;
- ``logarithms``, ``quotients``, ``differences``, ``roots``: the rules, each from a term to one that is equal or None;
- ``normalised``: sums of exponentials over an index: logsumexp and softmax, as definitions of their own;
- ``forward``: the loop over a Program's definitions.
"""
