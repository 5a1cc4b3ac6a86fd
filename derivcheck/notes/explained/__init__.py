"""One gradient told as a story: on which ways an input reaches the loss, in sentences and as a picture.

``ways`` finds them, ``words`` are English and Chinese, ``sentences`` tells; ``layout`` places the values of the forward, and
``picture`` draws them.  ``explanation`` is what :meth:`derivcheck.derived.Derivation.explain` gives.
"""
