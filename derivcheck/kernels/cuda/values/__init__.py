"""What expressions are worth, and where values are kept.

Read ``values`` (numbers, aggregates, places) and ``memory`` (a cell for each variable; ``pointers``: memory behind them) first.
``literals``, ``arithmetic``, ``aggregates`` and ``construct`` make values of others; ``mathematics`` are the functions of CUDA
and glm by name, ``quaternions`` and ``quaternion_functions`` those on quaternions.  ``overloads`` says how well a value fits a
parameter, ``results`` writes values as tensors over the threads.
"""
