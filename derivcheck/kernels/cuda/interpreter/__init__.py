"""The source read as it would run, each node of its tree in turn, for all threads and all branches at once.

One class, in layers that each know one thing more: ``names``, ``expressions``, ``assignments``, ``statements``, ``switches``,
``each`` (loops over elements), ``threads``, ``loops`` (over sizes), ``cooperative`` (groups of threads), ``calls``, and last
``machine``, which has all of them.  Read ``statements`` first: it takes both ways of an ``if`` and brings them together.
``scopes`` says what a name stands for where a statement is.
"""
