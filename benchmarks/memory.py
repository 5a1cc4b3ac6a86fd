"""The largest tensor and the peak of what operators return: what the benchmarks of generated code share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Memory(TorchDispatchMode):
    """Counts the bytes of the largest tensor that an operator returned, and of all that are alive at a time."""

    def __init__(self, given: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = self.peak = self._live = 0
        self._given = {t.untyped_storage()._cdata for t in given}
        self._seen: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = f(*args, **(kwargs or {}))
        for t in tree_leaves(found):
            if isinstance(t, Tensor):
                self._count(t.untyped_storage())
        return found

    def _count(self, storage: Any) -> None:
        if storage._cdata in self._given:
            return
        bytes_ = storage.nbytes()
        self.largest = max(self.largest, bytes_)
        for key in [k for k, (r, _) in self._seen.items() if r.expired()]:  # type: ignore[no-untyped-call]
            self._live -= self._seen.pop(key)[1]
        if storage._cdata not in self._seen:
            self._seen[storage._cdata] = StorageWeakRef(storage), bytes_  # type: ignore[no-untyped-call]
            self._live += bytes_
        self.peak = max(self.peak, self._live)
