"""What is tried where the normal form leaves something.

``small_sizes.py`` has the small-size theorem and its proof: exact agreement at finitely many sizes decides a polynomial
identity for all; read it first.  ``one_sum.py`` takes sums over one range together.  Both look at a product of sums as
one sum, by ``flattening.py``; ``order.py`` says which first.  ``cases.py`` decides each case of the comparisons by itself.
"""
