"""Edits of the user's text, by what a slip of the pen costs.

``reader`` reads the syntax; each other file makes edits of a kind: ``operators``, ``calls``, ``values`` (names, numbers,
indices), ``wrapping`` (what may be missing around an expression), ``statements``, ``loops``, ``masks``; ``every`` has them
all, cheapest first.
"""
