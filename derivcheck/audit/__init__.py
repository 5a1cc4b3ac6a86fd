"""A user's whole repository: every hand-written backward that really runs, checked at the tensors that really reach it.

Read in this order: ``kinds`` (what makes two calls one), ``observer`` (what is seen while code runs), ``hooks`` (what changes a
gradient on its way), ``operators`` (custom operators), ``judging`` (the check of what was seen), ``outcome`` (what is told of
it), ``script`` (a user's script, run until enough was seen), ``audit`` (a model in a notebook or a test).
"""
