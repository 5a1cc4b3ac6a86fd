"""Definitions into definitions that take fewer passes over memory and mean the same.

- ``unnamed``: what has no name of the user's stands where it is read;
- ``known``: what torch's own call has computed: ``exp(x − top)/Σ exp(x − top)`` beside a log-softmax is ``exp(logp)``;
- ``sparse``: one-hot definitions put in where they are used, so that sums over them pick;
- ``rewrite``: all of them, in order.
"""
