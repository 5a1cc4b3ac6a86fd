"""Source that runs nowhere else: CUDA C++ as functions of named tensors, which every other room takes."""
