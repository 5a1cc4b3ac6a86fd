"""The gated run: a gradient is checked at the run's own shapes before it takes a step.

``train`` is the run; read it first.  It asks ``inputs`` (what may be given), ``device``, ``gradients`` (a batch's loss and
gradients, three ways), ``gate`` (the check before the first step) and ``recheck`` (a gradient of the user's, asked again).
``history`` is what a run did, ``contraction`` what the Hessian says of its learning rate.  ``data`` reads a CSV, ``plots``
draws.
"""
