"""What torch itself cannot differentiate in: class weights, labels of some losses.  No default asks for such a gradient."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

SAYS = re.compile(r"not differentiable with respect to|derivative for .* is not implemented")


def undifferentiable(
    call: Callable[[dict[str, torch.Tensor]], Any], tensors: Mapping[str, torch.Tensor], wrt: Iterable[str]
) -> tuple[str, ...]:
    """Those of the inputs in which torch refuses to differentiate the code.

    >>> w, x, t = torch.ones(3), torch.zeros(2, 3), torch.tensor([0, 1])
    >>> loss = lambda given: torch.nn.functional.cross_entropy(given["x"], t, given["w"])
    >>> undifferentiable(loss, {"x": x, "w": w}, ["x", "w"])
    ('w',)
    """

    def refused(names: Iterable[str]) -> bool:
        """Whether torch says that these, taken together, are not differentiable."""
        given = {n: t.detach().clone() for n, t in tensors.items()}
        for n in names:
            given[n].requires_grad_()
        try:
            with torch.enable_grad():
                call(given)
        except Exception as error:  # anything else is said where the code is run in earnest
            return isinstance(error, (RuntimeError, NotImplementedError)) and SAYS.search(str(error)) is not None
        return False

    names = tuple(wrt)
    return tuple(n for n in names if refused([n])) if refused(names) else ()
