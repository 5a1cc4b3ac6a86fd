"""At which sizes the code is recorded, and several recordings as one.

``assign`` names the sizes and makes up values for them; ``tied_sizes`` finds which the code needs to be equal, asking single
operators first (``operator_ties``).  ``gather`` records at the example, where all sizes differ and far away; ``explore`` goes
on until the recordings are one (``unify``), fixing a size where other sizes run other code.  ``expressions`` says what a
number is as a function of the sizes, ``compared`` which conditions the code's branches put on them, ``precision`` what few
digits do.  ``confirm`` holds the outcome against recordings at 1 and 2 (``same_function``); ``spoken`` puts sizes in words.
"""
