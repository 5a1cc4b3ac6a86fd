"""What a kernel is made of, whichever language it is written in: lanes, whole numbers that are positions, flat memory, masks.

Read ``wholes.py`` (whole numbers as polynomials over sizes, indices and data), ``nonnegative.py`` (what is surely at least 0),
``lanes.py`` (the open axes, and the conditions that hold), ``mixed_radix.py`` (a position as a number of mixed radix),
``flat.py`` (memory), ``apart.py`` (turns of a loop, and threads, that do not meet), ``carried.py`` (sums, products, extremes).
"""
