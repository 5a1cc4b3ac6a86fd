"""A failure as a short file that needs torch alone.

``reproduce`` writes it; read it first.  ``script`` is the file in the making, ``calls`` the lines that run the code under test,
``findings`` those that fail.  ``carry`` brings the code along, with what it uses; ``snippets`` are its source texts,
``spelling`` writes values as Python.
"""
