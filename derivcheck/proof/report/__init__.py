"""What a proof says, in words that claim no more than was shown.

``proof.py``: the verdicts with their conditions, rules and lemmas; read it first.  ``counterexample.py``: an example that a
person can check.  ``invariant.py``: what came of an invariant that was offered.  ``tex.py``: terms and words in LaTeX.
"""
