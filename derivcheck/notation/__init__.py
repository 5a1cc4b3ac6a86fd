"""The language that everything here speaks: Programs, the terms in them, their text, and what they mean on numbers.

The rooms, in the order in which to read them; each may use those before it:

- ``integers``: sizes and positions, as polynomials;
- ``functions``: the scalar functions, a row each;
- ``terms``: the closed set of nodes that mathematics is written in;
- ``program``: the one noun, a list of definitions with inputs and outputs;
- ``text``: index text into Programs;
- ``values``: the one evaluator of Programs, over many kinds of numbers, and terms in SymPy.
"""
