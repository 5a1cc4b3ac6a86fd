"""A Program from the recordings: each operator's row applied to symbolic arguments.

``apply_rows`` walks the operators; ``left_out`` looks at what building the terms dropped.  ``titles`` names the sizes,
``notes`` says what is not in the Program.  ``inputs`` says which tensors are inputs, constants or held; ``torch_modules`` what
is known of torch's own modules, ``copies`` copies a module as it lies.
"""
