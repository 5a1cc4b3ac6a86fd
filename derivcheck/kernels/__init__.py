"""Source that runs nowhere else: CUDA C++ as functions of named tensors, which every other room takes.

- ``lanes``: what a kernel is made of in any language: threads as indices, positions in flat memory, masks;
- ``cuda``: the reader of CUDA C++, which is made of these;
- ``pairing``: a forward and a backward that share no signature, brought together by their names;
- ``lines``: where in the source something happens, for those who look at the stack while it is read.

Nothing runs on a device.  Read ``cuda/read.py``, then ``lanes/lanes.py`` and ``cuda/interpreter/statements.py``.
"""
