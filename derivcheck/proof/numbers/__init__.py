"""Numbers: they refute, they suggest, and they object to a proof; they never prove.

``sizes_to_try.py`` and ``samples.py`` choose sizes and inputs.  ``refute.py`` compares two definitions there, and confirms
what float64 shows exactly or, by ``decimals.py``, with 60 digits; read it first.  ``comparison.py`` does so for the claims
of one proof.  ``names_to_open.py`` finds which names have to be written out.  ``at_zeros.py`` puts a proof to numbers where
its conditions could hide something.
"""
