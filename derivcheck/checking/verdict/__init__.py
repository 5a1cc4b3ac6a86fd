"""What a backward gave, against what is derived.

``derived`` is the derived gradient at some tensors, with its bound; ``judge`` compares; read these first.  What is beyond the
bound may be excused: by another side of a kink (``kinks``), by torch's own kernels (``native``) or shortened functions
(``shortcuts``), by its own way of rounding (``conditioned``), by differences of a forward whose steps rounding decides
(``decided_steps``).  ``verdict`` decides what all of it comes to; nothing else writes a verdict.  ``single`` sees arithmetic in
float32.  ``likeness`` asks whether the forward is what its Program says, ``case`` is where a diagnosis starts.
"""
