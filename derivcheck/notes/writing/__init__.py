"""Terms as mathematics.

``writer`` decides what stands where; below it ``products`` do so for factors, ``positions`` for integer expressions and
elements (``sides`` and ``remainders``: conditions on integers as people write them).  ``drawing`` lists the signs, which
``ink`` draws in LaTeX or Unicode, ``pieces`` is where a line may end; ``steps`` is the chain rule in order, as data.
"""
