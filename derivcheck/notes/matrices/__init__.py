"""Index sums read as matrix algebra: ``Σ_n g[n,j]·x[n,k]`` is ``GᵀX``.

A term over a row index and a column index (either may be missing) is a matrix: its factors are placed by the indices that they
read.  ``terms`` does so, above ``sums`` (products of matrices, norms, sums over a batch) and ``symbols`` (a tensor as it is or
turned).
"""
