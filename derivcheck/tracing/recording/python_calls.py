"""What is decided where the code calls torch from Python: sizes that are read, ``.data``, calls that are refused."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.overrides import TorchFunctionMode

from derivcheck.errors import UnsupportedOperation
from derivcheck.tracing.recording.composites import in_order
from derivcheck.tracing.recording.dispatch import Recorder
from derivcheck.tracing.recording.marks import Marks
from derivcheck.tracing.recording.reads import LAYOUT, MEMORY, SIZES, Reads, by_user, carried, stripped
from derivcheck.tracing.recording.slicing import GETITEM, SETITEM, sliced, whole
from derivcheck.tracing.recording.stack import here
from derivcheck.tracing.recording.types_read import READS, decides
from derivcheck.tracing.watching.log import CodeLine
from derivcheck.tracing.watching.real import Real
from derivcheck.tracing.watching.stands import SYMBOLIC
from derivcheck.tracing.watching.watched import Watched
from derivcheck.tracing.watching.whose_code import user_file

_DATA_GET = torch.Tensor.data.__get__  # type: ignore[attr-defined]
_INSIDE = ("it takes gradients inside the traced code", "dc.derive(d.adjoint) gives second derivatives.")
_HOOKED = ("a hook changes gradients on their way, so that they are not the function's", "Leave the hook out.")
_NUMBERS = ("it takes the tensor's values out of torch (data-dependent)", "Keep it a tensor, or pass the values as a constant.")
_COPIED = ("the copy is apart from autograd's graph: no gradient passes it", "Write x.clone(), or x.detach().clone().")
_REFUSED: dict[Any, tuple[str, str, str]] = {
    torch.autograd.grad: ("torch.autograd.grad", *_INSIDE),
    torch.autograd.backward: ("torch.autograd.backward", *_INSIDE),
    torch.Tensor.backward: ("Tensor.backward", *_INSIDE),
    torch.Tensor.register_hook: ("Tensor.register_hook", *_HOOKED),
    torch.Tensor.register_post_accumulate_grad_hook: ("Tensor.register_post_accumulate_grad_hook", *_HOOKED),
    torch.Tensor.numpy: ("Tensor.numpy", *_NUMBERS),
    torch.Tensor.__array__: ("Tensor.numpy", *_NUMBERS),
    torch.Tensor.tolist: ("Tensor.tolist", *_NUMBERS),
    torch.Tensor.__deepcopy__: ("copy.deepcopy", *_COPIED),
    torch.Tensor.__reduce_ex__: ("copy.copy", *_COPIED),
}

_TRANSFORMS = "function transforms inside the traced code have no meaning here"
_BATCHED = "Write the batch as a dimension; dc.derive(d.adjoint) gives second derivatives."

REFUSALS = (UnsupportedOperation, DataDependentOutputException, DynamicOutputShapeException)
_MAKES_TENSORS = {torch.tensor, torch.as_tensor, torch.scalar_tensor, torch.Tensor.new_tensor}
_SLICE = torch.ops.aten.slice.Tensor


class PythonCalls(TorchFunctionMode):
    """What is decided above the dispatcher: ``.data`` reads as ``detach``, sizes are watched on their way into operators."""

    def __init__(self, recorder: Recorder, reads: Reads, marks: Marks) -> None:
        super().__init__()
        self.recorder, self.recording, self.reads, self.marks = recorder, recorder.recording, reads, marks

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One call of torch from Python; that it was refused, or failed, is kept, for the code may catch the error."""
        try:
            read = READS.get(func)
            if read is not None:  # most of these are torch's own
                return self._type(read, func, args)
            kwargs = kwargs or {}
            if func in SYMBOLIC and carried(args):
                return SYMBOLIC[func](*args)
            return self._decided(func, args, kwargs)
        except REFUSALS as refusal:
            self.recorder.refused = self.recorder.refused or refusal  # though the code may catch it, as an error of its own
            raise
        except (RuntimeError, ValueError, IndexError):
            self.recorder.failed = self.recorder.failed or (getattr(func, "__name__", "an operator"), here())
            raise

    def _decided(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What a call gives: a size that is read, a refusal, a tensor whose numbers stay watched, or torch's own result."""
        self.recording.torch_calls.append(getattr(func, "__name__", ""))
        args, kwargs = self.marks.cut(args), {n: self.marks.cut(v) for n, v in kwargs.items()}
        if func in LAYOUT and by_user(sys._getframe(1)):
            asked = f"the inputs are contiguous: the code at {here()} asks how they lie in memory"
            self.recording.assumptions[asked] = None
        if func in SIZES and isinstance(args[0], torch.Tensor):
            return self.reads.read(func, args, kwargs)
        if torch._C._are_functorch_transforms_active():
            raise UnsupportedOperation("torch.func", _TRANSFORMS, here(), _BATCHED)
        if func in MEMORY and by_user(sys._getframe(1)):
            raise UnsupportedOperation(f"Tensor.{func.__name__}", "it looks at the memory that a tensor lies in", here())
        if func in _REFUSED:
            return self._constant(func, args, kwargs)
        if func is torch.Tensor.retain_grad:
            return None
        if func is _DATA_GET or getattr(func, "__self__", None) is torch.Tensor.data:
            return _data(func, args)
        if (func is GETITEM or func is SETITEM) and isinstance(args[0], torch.Tensor):
            return self._indexed(func, args, kwargs)
        if func is torch.Tensor.contiguous and len(args) == 1 and not kwargs and self.recorder.permuted(args[0], parts=True):
            with self:  # torch makes no copy where a size of 1, or a part that is the whole, is in order by chance
                return in_order(args[0])
        if func in _MAKES_TENSORS and carried(args[:2]):
            data = args[1] if func is torch.Tensor.new_tensor else args[0]
            like = args[0].dtype if func is torch.Tensor.new_tensor else None
            return self._tensor(data, kwargs.get("dtype") or like)
        return self._called(func, args, kwargs)

    def _constant(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A call that is refused, but where it takes the numbers of a tensor that no input has touched."""
        name, reason, instead = _REFUSED[func]
        if (reason, instead) == _NUMBERS:
            constant = self.recorder.value(args[0], lambda t: func(t, *args[1:], **kwargs))
            if constant is not None:
                return constant
        raise UnsupportedOperation(name, reason, here(), instead)

    def _indexed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``x[index]``, read or written, with slices apart, so that their bounds stay watched."""
        with self:
            x, index = sliced(args[0], args[1], lambda *cut: self._called(_SLICE, cut, {}))
        if func is GETITEM and whole(index) and x is not args[0]:
            return x
        args = (x, index, *args[2:])
        if func is SETITEM and isinstance(args[2], (Watched, Real)):  # C++ makes a tensor of it, in which nothing is watched
            args = (x, index, self._tensor(args[2], x.dtype))
        return self._called(func, args, kwargs)

    def _tensor(self, data: Any, dtype: Any) -> Any:
        """A tensor of nested numbers, as operators that are seen make it."""
        with self:
            if isinstance(data, (list, tuple)):
                return torch.stack([self._tensor(v, dtype) for v in data])
            if isinstance(data, torch.Tensor):
                return data
            return torch.full((), data, dtype=dtype or (torch.get_default_dtype() if isinstance(data, float) else torch.int64))

    def _type(self, name: str, func: Any, args: Any) -> Any:
        """A type, a device that the code reads; one by which it may choose is noted."""
        value = func(*args)
        self.note(name, value, sys._getframe(2))
        return value

    def note(self, name: str, value: Any, frame: FrameType) -> None:
        """Note what this frame has just read of a tensor's type, if it is the user's code and may choose by it."""
        if user_file(frame.f_code.co_filename) and decides(frame):
            self.recording.chosen_by[name, str(value)] = str(CodeLine.of(frame))

    def _called(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The call with plain numbers; what they are made of is handed to the operators that it comes to."""
        with self.recorder.decimals.of_call(args, kwargs):
            if not carried(args) and not carried(kwargs):
                return func(*args, **kwargs)
            with self.recorder.passing(args, kwargs):
                return func(*stripped(args), **stripped(kwargs))


def _data(func: Any, args: Any) -> Any:
    """``x.data`` as a value that no gradient passes; assigning to it is refused."""
    if getattr(func, "__name__", "") == "__get__":
        return args[0].detach()
    reason = "it changes a tensor behind autograd's back"
    raise UnsupportedOperation("Tensor.data =", reason, here(), "Write it as a new tensor.")
