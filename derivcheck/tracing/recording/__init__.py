"""One run of the code on tensors without data, as the list of operators that it called.

``data`` is what a recording holds, ``run`` makes one.  It stacks three modes: ``python_calls`` hears what the code calls of
torch from Python, ``functional`` turns writes in place into new values, ``dispatch`` lists what reaches torch's dispatcher.
Beside them: ``reads`` gives out sizes as watched numbers, ``slicing`` and ``composites`` say what torch does without a word,
``constants`` computes what no input touches, ``stack`` finds the user's line, ``naming`` the user's names, ``marks`` and
``hidden_writes`` what autograd is told, ``types_read`` the reads of a dtype.  ``trials``, ``kernel_shapes``, ``shapes_alone``
and ``decompositions`` ask torch about shapes.
"""
