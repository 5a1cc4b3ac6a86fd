"""Sums over indices and what goes along them: reductions, products, scans, sorting, softmax, norms, matrices."""
