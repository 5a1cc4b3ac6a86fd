"""Definitions into definitions that take fewer passes over memory and mean the same.

- ``words``: names that were made up, by what they hold;
- ``kept``: dimensions of size 1 that are kept, read along themselves;
- ``unnamed``: what has no name of the user's, and what repeats another tensor, stands where it is read;
- ``known``: what torch's own call has computed: ``exp(x − top)/Σ exp(x − top)`` beside a log-softmax is ``exp(logp)``;
- ``exchanged``: a sum over all that is attended to as one over the columns of what came out;
- ``negated``: a gradient that is another one with its sign changed;
- ``distributed``: ``P·(g − Σ g·P)``, where the product is there for its sum, as a difference of products;
- ``pinned``: sizes that hold at one number alone, as that number;
- ``sparse``: one-hot definitions put in where they are used, so that sums over them pick;
- ``rewrite``: all of them, in order.
"""
