"""Programs on torch tensors, and what rounding may have done to the numbers.

Kinds of numbers for the one evaluator: ``live`` (tensors that autograd sees through; ``scalar`` has the functions), ``bound``
(a value with its error, made of ``pairs``; ``function_errors`` has the functions, ``products`` torch's
switches; read it first), ``scale`` (what a gradient
adds up).  ``typical`` is what half precision usually loses.  ``compare`` holds a tensor against another, each element under its
bound.  ``slopes`` are differences of code along a line, ``cost`` is what an evaluation costs.
"""
