"""Element by element: arithmetic, scalar functions, activations, comparisons, bounds."""
