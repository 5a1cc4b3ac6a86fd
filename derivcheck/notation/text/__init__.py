"""Index text, as users write it, into terms and Programs.

The way goes through these files in order:

- :mod:`syntax <derivcheck.notation.text.syntax>` (with ``grammar.lark``): text into a syntax tree;
  ``limits``: how large it may be;
- :mod:`groups <derivcheck.notation.text.groups>`: star groups (``*n``) into indices;
- :mod:`resolve <derivcheck.notation.text.resolve>`: what each name is, and each index's size;
- :mod:`positions <derivcheck.notation.text.positions>` and :mod:`reader <derivcheck.notation.text.reader>`: trees into
  integer expressions and terms;
- :mod:`parse <derivcheck.notation.text.parse>`: all of it, from text to a Program.

``dims`` reads named dimensions (``"N h*d"``), ``where`` conditions (``"T % 2 == 0"``).
"""
