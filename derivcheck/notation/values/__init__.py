"""What Programs and terms mean on numbers.

There is one evaluator, over many kinds of numbers.  Read in this order:

- :mod:`numbers <derivcheck.notation.values.numbers>`: what it asks of a kind of numbers;
- :mod:`evaluator <derivcheck.notation.values.evaluator>`: every definition of a Program as an array, with
  :mod:`axes <derivcheck.notation.values.axes>` (an axis per index), :mod:`contract <derivcheck.notation.values.contract>`
  (sums of products) and :mod:`measure <derivcheck.notation.values.measure>` (sizes from shapes);
- :mod:`float64 <derivcheck.notation.values.float64>`, :mod:`exact <derivcheck.notation.values.exact>` (rationals) and
  :mod:`symbolic <derivcheck.notation.values.symbolic>` (SymPy): kinds of numbers; the rounding bound and the decimals of the
  proofs are two more, in their rooms.

:mod:`sympify <derivcheck.notation.values.sympify>` writes a term in SymPy, with its sums unevaluated.
"""
