"""The Program: what a traced forward, its gradient and a backward written by hand all are.

Read in this order:

- ``definitions``: inputs and definitions;
- ``requirements``: what must hold of the sizes;
- ``program`` and its ``text``;
- ``recurrence``: definitions that refer to themselves;
- ``domains``: where terms are defined;
- ``reads``: elements that are not there;
- ``positions``: what integer tensors are positions in;
- ``tables``, ``names``: tensors of known numbers, names of parameters.
"""
