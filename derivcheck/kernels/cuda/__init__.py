"""The reader of CUDA C++: a function or kernel of a file as a function of named tensors.

The rooms, each of which may use those before it:

- ``source``: a file as a syntax tree, and what it defines;
- ``values``: what expressions are worth, and where values are kept;
- ``interpreter``: the source read as it would run.

``read`` is the entry.  A function is read by ``reading``, each parameter a tensor or a number; a kernel by
``kernel_reading``, whose pointers are flat memory and whose threads are indices.  ``function`` and ``kernel`` are what comes of
them: they are called, derived, checked and proved as torch code is.
"""
