"""What a derivation names, and how that is printed.

``symbol`` is the ink of one name; ``looks`` says which looks are taken, ``mentioned`` what is
named beside tensors; ``symbols`` chooses for all names of a derivation.
"""
