"""Index text, as users write it, into terms and Programs.

The way goes through these files in order:

- ``syntax`` (with ``grammar.lark``): text into a syntax tree;
  ``limits``: how large it may be;
- ``star_groups``: star groups (``*n``) into indices;
- ``resolve``: what each name is, and each index's size;
- ``positions`` and ``reader``: trees into
  integer expressions and terms;
- ``parse``: all of it, from text to a Program.

``dims`` reads named dimensions (``"N h*d"``), ``where`` conditions (``"T % 2 == 0"``).
"""
