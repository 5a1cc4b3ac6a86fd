"""Programs into torch code, for every size.

The rooms, in the order in which to read them; each may use those before it:

- ``careful``: a forward in the functions whose kernels neither overflow nor cancel;
- ``graph``: tensor operations as a graph in which equal ones are one node, and their torch text;
- ``rewriting``: definitions into others that take fewer passes over memory and mean the same;
- ``lowering``: terms into that graph, a rule a file;
- ``file``: the file around it: sizes from shapes, loops, what is returned; and its text as a function.

Nothing is run or timed here: all is decided from the terms, with the sizes as symbols.
"""
