"""From torch code to a Program that holds for every size.

- ``watching``: numbers made of sizes, which carry their expression through the user's Python;
- ``recording``: one run of the code on tensors without data, as the list of operators that it called;
- ``sizes``: at which sizes the code is recorded, and several recordings as one, with numbers as functions of the sizes;
- ``program``: the rows applied to that recording; what is an input, what is held, which names the user gave.

Each may use those before it.  Read ``trace.py`` (a function), ``recording/run.py``, ``sizes/gather.py``,
``program/apply_rows.py``; then ``modules.py``, and ``dispatched.py``, which hears autograd's own calls.
"""
