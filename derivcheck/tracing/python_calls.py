"""What is decided where the code calls torch from Python: sizes that are read, ``.data``, calls that are refused."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from derivcheck.errors import UnsupportedOperation
from derivcheck.tracing.decimals import Decimals
from derivcheck.tracing.marks import Marks
from derivcheck.tracing.reads import LAYOUT, MEMORY, SIZES, Reads, by_user
from derivcheck.tracing.recording import Recording
from derivcheck.tracing.stack import frames_of, here

_DATA_GET = torch.Tensor.data.__get__  # type: ignore[attr-defined]
_INSIDE = ("it takes gradients inside the traced code", "dc.derive(d.adjoint) gives second derivatives.")
_HOOKED = ("a hook changes gradients on their way, so that they are not the function's", "Leave the hook out.")
_NUMBERS = ("it takes the tensor's values out of torch (data-dependent)", "Keep it a tensor, or pass the values as a constant.")
_REFUSED: dict[Any, tuple[str, str, str]] = {
    torch.autograd.grad: ("torch.autograd.grad", *_INSIDE),
    torch.autograd.backward: ("torch.autograd.backward", *_INSIDE),
    torch.Tensor.backward: ("Tensor.backward", *_INSIDE),
    torch.Tensor.register_hook: ("Tensor.register_hook", *_HOOKED),
    torch.Tensor.register_post_accumulate_grad_hook: ("Tensor.register_post_accumulate_grad_hook", *_HOOKED),
    torch.Tensor.numpy: ("Tensor.numpy", *_NUMBERS),
    torch.Tensor.__array__: ("Tensor.numpy", *_NUMBERS),
    torch.Tensor.tolist: ("Tensor.tolist", *_NUMBERS),
}


class PythonCalls(TorchFunctionMode):
    """What is decided above the dispatcher: ``.data`` reads as ``detach``, sizes that are read are watched."""

    def __init__(self, recording: Recording, reads: Reads, watch: bool, decimals: Decimals, marks: Marks) -> None:
        super().__init__()
        self.recording, self.reads, self.watch = recording, reads, watch
        self.decimals, self.marks = decimals, marks

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.recording.torch_calls.append(getattr(func, "__name__", ""))
        args, kwargs = self.marks.cut(args), {n: self.marks.cut(v) for n, v in (kwargs or {}).items()}
        if func in LAYOUT and by_user(sys._getframe(1)):
            asked = f"the inputs are contiguous: the code at {here()} asks how they lie in memory"
            self.recording.assumptions[asked] = None
        if self.watch and func in SIZES and isinstance(args[0], torch.Tensor):
            return self.reads.read(func(*args, **(kwargs or {})))
        if torch._C._are_functorch_transforms_active():
            raise UnsupportedOperation(
                "torch.func",
                "function transforms inside the traced code have no meaning here",
                here(),
                "Write the batch as a dimension; dc.derive(d.adjoint) gives second derivatives.",
            )
        if func in MEMORY and by_user(sys._getframe(1)):
            raise UnsupportedOperation(f"Tensor.{func.__name__}", "it looks at the memory that a tensor lies in", here())
        refused = _REFUSED.get(func)
        if refused is not None:
            name, reason, instead = refused
            raise UnsupportedOperation(name, reason, here(), instead)
        if func is torch.Tensor.retain_grad:
            return None
        if func is _DATA_GET or getattr(func, "__self__", None) is torch.Tensor.data:
            if getattr(func, "__name__", "") == "__get__":
                return args[0].detach()
            frames, _ = frames_of(sys._getframe(1))
            raise UnsupportedOperation(
                "Tensor.data =",
                "it changes a tensor behind autograd's back",
                frames[0].place if frames else None,
                "Write it as a new tensor.",
            )
        with self.decimals.of_call(args, kwargs or {}):
            return func(*args, **(kwargs or {}))
