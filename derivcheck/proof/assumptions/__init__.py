"""What a proof takes for granted, and says.

``kinks.py``: at which comparisons any subgradient is as good as another, so that a proof may leave them out; read it first.
``identical.py``: at which indices and sizes the two sides of a comparison are the same whatever the inputs are, so that
there it is no kink; ``varying.py`` knows which products are never 0, or change with a tensor.  ``kink_text.py``: a kink in
words.  ``domain.py``: what is above 0 wherever the forward is defined.
"""
