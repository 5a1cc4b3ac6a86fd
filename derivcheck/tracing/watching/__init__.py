"""Numbers made of sizes while the user's code runs.

``watched`` has the whole numbers, ``real`` the floats: they say that they are ``int`` and ``float``, compute as such, and carry
their expression; ``made_of_sizes`` is what both are.  ``stands`` puts Python's own functions aside for ones that keep it,
``decimals`` keeps what was written as a decimal, ``rational`` tells which fraction a float was meant to be.  ``log`` notes the
comparisons that they meet and where one becomes a plain number, with the user's line; ``whose_code`` tells the user's lines
from torch's and ours.
"""
