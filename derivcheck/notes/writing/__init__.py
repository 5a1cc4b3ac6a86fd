"""Terms as mathematics.

``writer`` decides what stands where (``sides`` and ``remainders``: conditions on integers as
people write them), ``ink`` draws it in LaTeX or Unicode, ``pieces`` is where a line may end;
``steps`` is the chain rule in order, as data.
"""
