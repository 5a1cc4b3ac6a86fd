"""What is asked: the forward with its tensors, and the data that it is made for.

``subject`` makes it from whatever the user has; read it first.  It asks ``forms`` (a module, a function, a derivation: read one
by one), ``forwards`` (code into derivations), ``function`` (an autograd.Function apart), ``nested`` (tensors inside inputs),
``left_out`` (what torch cannot differentiate in), ``wide`` (casts that do not round in float64), ``flow`` (through what a
gradient flows) ``outputs`` (what code returns) and ``devices`` (which
have float64).  ``domain`` has the user's ``dims=`` and ``where=``, ``kinds`` what the
data are (symmetric, sorted), ``draw`` draws others like them, ``elsewhere`` at other sizes.
"""
