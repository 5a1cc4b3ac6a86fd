"""The wrong backwards that the hypotheses were written beside."""

from benchmarks.wrong_backwards import activations, attention, indexing, linear, losses, norms

TUNED = (*linear.SET, *losses.SET, *norms.SET, *attention.SET, *activations.SET, *indexing.SET)
