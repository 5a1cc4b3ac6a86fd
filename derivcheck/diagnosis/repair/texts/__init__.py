"""Backwards that are no Python: index text and CUDA source, as pieces of text with a syntax tree of one kind for both.

Read ``tree``, then ``changes``; ``index_text`` and ``cuda`` are the two languages.
"""
