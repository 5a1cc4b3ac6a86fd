"""What Programs and terms mean on numbers.

There is one evaluator, over many kinds of numbers.  Read in this order:

- ``numbers``: what it asks of a kind of numbers;
- ``evaluator``: every definition of a Program as an array, with
  ``axes`` (an axis per index), ``contract``
  (sums of products) and ``measure`` (sizes from shapes);
- ``float64``, ``exact`` (rationals) and
  ``symbolic`` (SymPy): kinds of numbers; the rounding bound and the decimals of the
  proofs are two more, in their rooms.

``sympify`` writes a term in SymPy, with its sums unevaluated.
"""
