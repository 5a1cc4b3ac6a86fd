"""A failure as a short file that needs torch alone.

``reproduce`` writes it; read it first.  ``carry`` brings the code under test along, with what it uses; ``snippets`` are its
source texts, ``spelling`` writes values as Python.
"""
