"""The Program: what a traced forward, its gradient and a backward written by hand all are.

Read in this order:

- :mod:`definitions <derivcheck.notation.program.definitions>`: inputs and definitions;
- :mod:`requirements <derivcheck.notation.program.requirements>`: what must hold of the sizes;
- :mod:`program <derivcheck.notation.program.program>` and its :mod:`text <derivcheck.notation.program.text>`;
- :mod:`recurrence <derivcheck.notation.program.recurrence>`: definitions that refer to themselves;
- :mod:`domains <derivcheck.notation.program.domains>`: where terms are defined;
- :mod:`reads <derivcheck.notation.program.reads>`: elements that are not there;
- ``tables``, ``names``: tensors of known numbers, names of parameters.
"""
