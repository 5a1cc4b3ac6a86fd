"""Terms as mathematics.

``writer`` decides what stands where (``sides`` and ``remainders``: conditions on integers as
people write them), ``ink`` draws it in LaTeX or Unicode;
``steps`` is the chain rule in order, as data.
"""
