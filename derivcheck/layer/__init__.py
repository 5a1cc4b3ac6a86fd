"""A derivation where a network wants a layer, and what it costs; all of it loads torch.

- ``called``: the generated function, called by the user's names;
- ``lean``: which of two texts of the same code runs;
- ``signature``, ``compiled``: what a layer takes and gives, and its two generated functions; ``opaque``: what of these a
  compiler calls and does not look into;
- ``keeping``, ``function``: as a ``torch.autograd.Function``: plain, and for each transformation the form that it needs;
- ``operator``: as a custom operator of ``torch.library``;
- ``profile``: operations and bytes as formulas of the sizes, beside the time.
"""
