"""Writes in place under ``no_grad``: the value changes, the gradient stays that of the value before.

Autograd does not see such a write.  What later code reads has the new value, and the history of the old one: the new
value comes with no gradient, and the gradient of the old one passes as it is.  ``derivcheck::unseen(new, old)`` stands for
it in a recording; its row is in ``operators/shapes/creation.py``.

>>> import torch
>>> old = torch.tensor([1.0, 3.0])
>>> UNSEEN(old.clamp(min=2), old)
tensor([2., 3.])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

_LIBRARY = torch.library.Library("derivcheck", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define("unseen(Tensor new, Tensor old) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("unseen", lambda new, old: new.clone(), "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
UNSEEN = torch.ops.derivcheck.unseen.default


class Unread:
    """Memory that autograd cannot have saved for a backward yet: an input or a clone that nothing has read.

    torch raises in the backward where a tensor that it saved was changed under ``no_grad``; what it saves is its own
    business, so only what it cannot have saved may be changed so.
    """

    def __init__(self) -> None:
        self._storages: dict[int, torch.Tensor] = {}  # with a tensor that keeps it: memory that is free is used again

    def __contains__(self, t: torch.Tensor) -> bool:
        return t.untyped_storage()._cdata in self._storages

    def add(self, t: torch.Tensor) -> None:
        """A tensor was made that is in nobody's hands."""
        self._storages[t.untyped_storage()._cdata] = t

    def read(self, func: Any, given: Sequence[torch.Tensor], results: Sequence[torch.Tensor], differentiated: bool) -> None:
        """An operator took these tensors and gave those."""
        if func is torch.ops.aten.clone.default:
            for t in results:
                self.add(t)
            return
        made = {t.untyped_storage()._cdata for t in results}
        for storage in {t.untyped_storage()._cdata for t in given}:
            if differentiated or storage in made:
                self._storages.pop(storage, None)


def keeps_its_shape(func: Any) -> bool:
    """Whether an operator in place changes nothing but the values of its first argument."""
    written = [k for k, a in enumerate(func._schema.arguments) if a.alias_info is not None and a.alias_info.is_write]
    resized = ("aten::resize", "aten::set_", "aten::squeeze_", "aten::unsqueeze_")
    return written == [0] and torch.Tag.inplace_view not in func.tags and not func._schema.name.startswith(resized)
