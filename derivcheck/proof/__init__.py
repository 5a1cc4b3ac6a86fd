"""The proof room: is a hand-written backward the gradient, for every size?

``prove.py`` takes Programs, ``prover.py`` is the order of a proof, ``clock.py`` shares its time
out.  The rooms, each of which sees those below it alone:

    recurrences     scans, by induction of one step; the invariants that a user offers
    second_route    what is tried where the normal form leaves something: agreement at a few sizes, which decides all
    numbers         sizes and inputs at which both sides are compared: what refutes, and what objects to a proof
    report          what a proof says: the verdicts, a counterexample, LaTeX
    claims          the two sides as values, the lemmas between them, their normal forms
    assumptions     what a proof leaves out: kinks, and where the forward is not defined
    normal_form     terms as polynomials of closed atoms, by rules
    expressions     atoms, monomials, expressions, and the context that they are made in

To read it: ``expressions/atoms.py``, ``normal_form/normal.py``, ``claims/forms.py``, then ``prover.py``.
"""
