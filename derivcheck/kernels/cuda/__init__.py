"""The reader of CUDA C++: syntax, types, values, expressions, statements, and the function that comes of them."""
