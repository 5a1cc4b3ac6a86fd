"""A derivation where a network wants a layer, and what it costs; all of it loads torch.

- ``function``: as a ``torch.autograd.Function``;
- ``operator``: as a custom operator of ``torch.library``;
- ``profile``: floating-point operations and bytes, beside the time.
"""
