"""A generated file: its text, and its text as a function.

``source`` puts the file together in a ``scope`` of names; ``lowered`` has what it computes, as nodes and loops;
``shapes`` reads the sizes from the shapes, ``required`` refuses sizes at which the derivation does not hold, ``loops`` writes
recurrences, ``helpers`` has the small functions at the end of a file.  ``bands`` computes large tensors a band of rows after
the other, ``variants`` has the texts that run, ``halves`` forward and backward apart, with what is ``handed`` on; ``load`` runs
the text.
"""
