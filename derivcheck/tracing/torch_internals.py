"""Recording torch code: the one file that uses torch's private interfaces.

A recording runs the code once on fake tensors (shapes and dtypes, no data) and lists the operators that it
calls, in functional form: in-place operators and writes through views become operators that give new values.
It is made above autograd, so that ``linear``, ``softmax`` or ``detach`` stand in it as such.
"""

from __future__ import annotations

import ast
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.sizes import Poly
from derivcheck.tracing.hidden_writes import UNSEEN, Unread, keeps_its_shape
from derivcheck.tracing.kernel_shapes import refuse_as_the_kernel
from derivcheck.tracing.naming import statement
from derivcheck.tracing.places import HERE, TORCH, user_file
from derivcheck.tracing.reads import LAYOUT, MEMORY, SIZES, Reads, by_user
from derivcheck.tracing.recording import Call, Frame, Meta, Recording, Tensor, operator_name
from derivcheck.tracing.watched import Watched

_LOG = logging.getLogger("torch._subclasses.fake_tensor")
_FUNCTION_APPLY: CodeType = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]
_DATA_GET = torch.Tensor.data.__get__  # type: ignore[attr-defined]
_BEHIND = (
    "it changes a tensor behind autograd's back (no_grad, detach or .data) that autograd may have saved, or through a view: "
    "the gradient would not be the value's"
)
_EMPTY = (
    "aten.empty.",
    "aten.empty_like.",
    "aten.new_empty.",
    "aten.empty_strided.",
    "aten.empty_permuted.",
    "aten.new_empty_strided.",
)
_DROPOUTS = (
    "aten.dropout.default",
    "aten.dropout_.default",
    "aten.feature_dropout.default",
    "aten.alpha_dropout.default",
    "aten.feature_alpha_dropout.default",
)
# Composite operators that return views without saying so: kept whole, a write through their results would be lost.
_VIEWS = ("aten.broadcast_tensors", "aten.meshgrid", "aten.atleast_")


class Enough(Exception):
    """As many operators were recorded as were asked for."""


class RecordingFailed(Exception):
    """The code raised while it was recorded: ``.cause`` says what, ``.call`` the operator that it stood in, if any."""

    def __init__(self, cause: BaseException, recording: Recording, call: Call | None, place: str | None) -> None:
        super().__init__(str(cause))
        self.cause, self.recording, self.call, self.place = cause, recording, call, place


def _frames(start: FrameType | None) -> tuple[tuple[Frame, ...], type | None]:
    """The user's frames, innermost first, and the ``autograd.Function`` whose forward is running, if any."""
    found: list[Frame] = []
    function: type | None = None
    f = start
    while f is not None:
        code = f.f_code
        if code is _FUNCTION_APPLY and function is None:
            function = f.f_locals.get("cls")
        file = code.co_filename
        if user_file(file):
            found.append(Frame(file, f.f_lineno, code.co_name, id(f), f.f_lasti))
        elif code is _RUN:
            break
        f = f.f_back
    return tuple(found), function


def _here() -> str | None:
    frames, _ = _frames(sys._getframe(1))
    return frames[0].place if frames else None


Repair = Callable[[Call, Recording], "tuple[Any, Any] | None"]


class _Recorder(ProxyTorchDispatchMode):  # type: ignore[no-untyped-call]
    """Receives functional operators on fake tensors.  Only an infrastructure mode may stand in this slot."""

    def __init__(
        self, recording: Recording, has_row: Callable[[Any], bool], decompositions: Callable[[Any], Any], names: bool
    ) -> None:
        TorchDispatchMode.__init__(self, torch._C.DispatchKey.PreDispatch)  # type: ignore[no-untyped-call]
        self._mode_key = torch._C._TorchDispatchModeKey.PROXY
        self.enter_stack = []
        self.pre_dispatch = True
        self.recording, self.has_row, self.decompositions, self.names = recording, has_row, decompositions, names
        self.numbers: dict[int, int] = {}
        self.alive: list[torch.Tensor] = []
        self.memory: dict[tuple[int, tuple[int, ...], torch.dtype], int] = {}
        self.frames: tuple[Frame, ...] = ()
        self.current: Call | None = None
        self.outer: list[tuple[str, str | None]] = []
        self.repair: Repair | None = None
        self.upto: int | None = None
        self.shares = False
        self.masks: dict[str, Any] = {}
        self.drawn: list[str] = []

    def refusal(self, func: Any, place: str | None) -> UnsupportedOperation:
        """The refusal of an operator; one met inside a decomposition is named after what the user called."""
        refused = unsupported(func, place)
        if not self.outer or "data" in refused.reason or "value" in refused.reason:
            return refused
        name, where = self.outer[0]
        return UnsupportedOperation(
            name,
            f"it has no row, and its decomposition needs {refused.operator}, which has none either",
            where or place,
            "Add a row for it (see CONTRIBUTING), or write it with other operators.",
        )

    def number(self, t: torch.Tensor) -> Tensor:
        """The number of a tensor; one never seen is a constant that the code holds."""
        k = self.known(t)
        if k is None:
            k = self.add(t)
            self.recording.constants[k] = t
        return Tensor(k)

    def known(self, t: torch.Tensor) -> int | None:
        """The number of a tensor that was seen; torch copies the wrapper (not the memory) of what a factory made."""
        k = self.numbers.get(id(t))
        if k is None and isinstance(t, FakeTensor):
            k = self.memory.get((t.untyped_storage()._cdata, tuple(t.shape), t.dtype))
            if k is not None:
                self.numbers[id(t)] = k
                self.alive.append(t)
        return k

    def add(self, t: torch.Tensor) -> int:
        k = len(self.recording.metas)
        self.numbers[id(t)] = k
        self.alive.append(t)
        if isinstance(t, FakeTensor):
            self.memory[t.untyped_storage()._cdata, tuple(t.shape), t.dtype] = k
        self.recording.metas.append(Meta(tuple(t.shape), t.dtype))
        return k

    def _packed(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.number(value)
        if isinstance(value, (list, tuple)):
            return [self._packed(v) for v in value]
        return value

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        stopped = not torch.is_grad_enabled()
        frames, function = _frames(sys._getframe(1)) if self.names or stopped else ((), None)
        place = frames[0].place if frames else None
        if function is not None:
            self.recording.functions.setdefault(function.__name__, place)
        stop = stopped and function is None
        call = Call(func, self._packed(args), {k: self._packed(v) for k, v in kwargs.items()}, None, stop, frames)
        self.current = call
        if func is torch.ops.aten.index.Tensor and any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(args[1])):
            raise unsupported(torch.ops.aten.nonzero.default, place or _here())
        if not self.has_row(func) and operator_name(func).startswith(_EMPTY):
            out = func(*args, **kwargs)  # what it holds is not read, or the code's result is arbitrary: zeros will do
            self.recording.calls.append(
                replace(call, func=torch.ops.aten.zeros.default, args=[list(out.shape)], kwargs={}, out=Tensor(self.add(out)))
            )
            return out
        if not self.has_row(func):
            replacement = self.decompositions(func)
            if replacement is not None:
                self.outer.append((call.operator, place))
                with self:
                    out = replacement(*args, **kwargs)
                self.outer.pop()
                if out is not NotImplemented:
                    for t in pytree.tree_leaves(out):
                        if isinstance(t, torch.Tensor) and self.known(t) is None:
                            raise UnsupportedOperation(call.operator, "its decomposition gives a tensor from nowhere", place)
                    return out
            if func.namespace != "prim":
                raise self.refusal(func, place or _here())
        try:
            refuse_as_the_kernel(func, args, kwargs)
            out = func(*args, **kwargs)
        except DataDependentOutputException:  # an operator with a row that looks at its arguments (cov at its weights)
            out = _shaped_as_on_ones(func, args, kwargs)
        except Exception:
            repaired = self.repair(call, self.recording) if self.repair is not None else None
            if repaired is None:
                raise
            out = func(*_made(repaired[0], "cpu"), **_made(repaired[1], "cpu"))
        results = _tensors(out)
        if not any(a.alias_info for a in func._schema.arguments):
            given = {t.untyped_storage()._cdata for t in _tensors((args, kwargs))}
            self.shares = any(t.untyped_storage()._cdata in given for t in results)
        for t in results:
            self.add(t)
        call.out = self._packed(out)
        self.recording.calls.append(call)
        if self.upto is not None and len(self.recording.calls) > self.upto:
            raise Enough
        self.current = None
        return out


class _Functional(FunctionalTensorMode):  # type: ignore[no-untyped-call]
    """Functionalization that keeps operators with a row whole, and refuses writes that hide from autograd."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__(pre_dispatch=True)
        self.recorder = recorder
        self.cut: set[int] = set()
        self.live_storages: set[int] = set()
        self.kept: list[Any] = []
        self.shared: set[int] = set()
        self.unread = Unread()

    def _can_decompose(self, func: Any, args: Any, kwargs: Any) -> bool:
        if (
            self.recorder.has_row(func)
            and not operator_name(func).startswith(_VIEWS)
            and not func._schema.is_mutable
            and not any(a.alias_info for a in func._schema.arguments)
        ):
            return False
        return bool(super()._can_decompose(func, args, kwargs))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, torch._ops.OpOverload):
            if torch.is_autocast_enabled("cpu") and any(t.dtype is torch.float32 for t in _tensors((args, kwargs))):
                raise UnsupportedOperation(
                    "torch.autocast",
                    "it rounds to fewer digits inside the traced code",
                    _here(),
                    "Derive outside of autocast: the derivation is over the reals, and its code runs in any type.",
                )
            if func._schema.is_mutable and func.namespace not in ("aten", "prims"):
                reason = "it writes to its arguments, and torch has no form of it that does not"
                instead = "Wrap it in an operator that returns a new tensor, and add a row for that one."
                raise UnsupportedOperation(operator_name(func), reason, _here(), instead)
            if func._schema.is_mutable and self._written(func, args, kwargs):
                return self._unseen(func, types, args, kwargs)
            if func in _READS_TRUTH and args[0].dtype is torch.bool:
                known = _guard(sys._getframe(1))
                if known is not None:
                    outcome, place = known
                    self.recorder.recording.assumptions[f"the check at {place} does not fail"] = None
                    return outcome
            if "dropout" in operator_name(func) and _does_nothing(func, args, kwargs):
                return args[0]
            if torch.Tag.nondeterministic_seeded in func.tags:
                masked = self._random(func, args, kwargs)
                if masked is not None:
                    return masked
        self.recorder.shares = False
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if self.recorder.shares:  # a view that the operator's schema does not declare: a write to it would be lost
            self.shared |= {
                t.untyped_storage()._cdata for t in _tensors((args, kwargs, out)) if isinstance(t, FunctionalTensor)
            }
        self._flow(func, args, kwargs, out)
        return out

    def _unseen(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """A write under ``no_grad``: the new value, through which the gradient of the old one passes."""
        place = _here()
        self.recorder.recording.unseen[place or operator_name(func)] = None
        with self, torch.enable_grad():
            old = args[0].clone()
        out = super().__torch_dispatch__(func, types, args, kwargs)
        with self, torch.enable_grad():
            args[0].copy_(UNSEEN(args[0], old))
        self.unread.add(args[0])
        return out

    def mark(self, t: Any) -> None:
        """A gradient flows through this tensor, and through all that share its memory unless they were cut off."""
        self.kept.append(t)
        self.live_storages.add(t.untyped_storage()._cdata)

    def live(self, t: torch.Tensor) -> bool:
        """Whether autograd would give a gradient through this tensor."""
        return id(t) not in self.cut and t.untyped_storage()._cdata in self.live_storages

    def _flow(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Follow which tensors autograd would give a gradient through; a view of what is cut off is cut off."""
        results = [t for t in _tensors(out) if isinstance(t, FunctionalTensor)]
        given = [t for t in _tensors((args, kwargs)) if isinstance(t, FunctionalTensor)]
        off = func is torch.ops.aten.detach.default or not torch.is_grad_enabled()
        real = not off and any(t.dtype.is_floating_point for t in results) and any(self.live(g) for g in given)
        self.unread.read(func, given, results, real)
        for t in results:
            storage = t.untyped_storage()._cdata
            shared = [g for g in given if g.untyped_storage()._cdata == storage and g is not t]
            if shared and (off or any(id(g) in self.cut for g in shared)):
                self.cut.add(id(t))
                self.kept.append(t)
            elif real and t.dtype.is_floating_point:
                self.mark(t)

    def _written(self, func: Any, args: Any, kwargs: Any) -> bool:
        """Refuse writes that hide from autograd; True for one whose meaning is known."""
        for spec, value in zip(func._schema.arguments, [*args, *(None,) * len(func._schema.arguments)]):
            if spec.kwarg_only:
                value = kwargs.get(spec.name)
            if spec.alias_info is None or not spec.alias_info.is_write or not isinstance(value, FunctionalTensor):
                continue
            storage, reason = value.untyped_storage()._cdata, ""
            hidden = not torch.is_grad_enabled() and storage in self.live_storages and id(value) not in self.cut
            if hidden and value in self.unread and keeps_its_shape(func):
                return True
            if storage in self.shared:
                reason = (
                    "it writes in place to a tensor that shares its memory with another in a way that torch does not declare"
                )
            elif id(value) in self.cut and (
                storage in self.live_storages or any(self.live(t) for t in _tensors((args, kwargs)))
            ):
                reason = _BEHIND
            elif hidden:
                reason = _BEHIND
            if not reason:
                continue
            frames, function = _frames(sys._getframe(1))
            if function is None:
                place = frames[0].place if frames else None
                raise UnsupportedOperation(operator_name(func), reason, place, "Write it as a new tensor.")
        return False

    def _random(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Refuse a random operator; dropout is a product where its mask is given, and nothing in eval mode."""
        name, bound = operator_name(func), _bound(func, args, kwargs)
        dropout = name in (
            "aten.dropout.default",
            "aten.native_dropout.default",
            "aten.feature_dropout.default",
            "aten.dropout_.default",
        )
        if bound.get("dropout_p", 1) == 0 or bound.get("training") is False or bound.get("dropout", 1) == 0:
            return None
        frames, _ = _frames(sys._getframe(1))
        mask = next((m for n, m in self.recorder.masks.items() if n not in self.recorder.drawn), None) if dropout else None
        if mask is not None:
            x, p = bound["input"], bound["p"]
            self.recorder.drawn.append(next(n for n, m in self.recorder.masks.items() if m is mask))
            with self:
                out = x * mask / (1 - p)
            self._flow(torch.ops.aten.mul.Tensor, (x, mask), {}, out)
            return (out, mask) if name.startswith("aten.native") else out
        instead = "Use eval mode, or draw the random tensor outside and pass it as an input."
        if dropout:
            instead = "Use eval mode, or give its mask as a further input: dropout_mask=<bool tensor of the same shape>."
        if "dropout_p" in bound:
            instead = (
                "Pass dropout_p=0.0, or write the attention out with dropout on its weights, "
                "which takes its mask as an input: dropout_mask=<bool tensor of the weights' shape>."
            )
        raise UnsupportedOperation(name, "it is random", frames[0].place if frames else None, instead)


_READS_TRUTH = {torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default}
_DISPATCH = tuple(
    TORCH + part for part in ("_ops", "_library", "_compile", "_dynamo", "_subclasses", "utils", "overrides", "_tensor.py")
)


def _guard(start: FrameType | None) -> tuple[bool, str] | None:
    """Where a truth value is read only to raise (``if t.any(): raise``, ``if not …: raise``, ``assert``): its good outcome."""
    f = start
    while f is not None and f.f_code.co_filename.startswith((*_DISPATCH, HERE)):
        f = f.f_back
    if f is None:
        return None
    frame = Frame(f.f_code.co_filename, f.f_lineno, f.f_code.co_name, 0, 0)
    node = statement(frame)
    if isinstance(node, ast.Assert):
        return True, frame.place
    if isinstance(node, ast.If) and not node.orelse and isinstance(node.body[-1], ast.Raise):
        return isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not), frame.place
    return None


def _does_nothing(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether a dropout hands its argument on: in eval mode, or with p = 0."""
    bound = _bound(func, args, kwargs)
    return operator_name(func) in _DROPOUTS and (bound.get("train") is False or bound.get("p") == 0)


def _bound(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    names = [a.name for a in func._schema.arguments]
    given: dict[str, Any] = {a.name: a.default_value for a in func._schema.arguments if a.has_default_value()}
    given.update(zip(names, args))
    given.update(kwargs)
    return given


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _tensors(v)]
    return []


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


class _Python(TorchFunctionMode):
    """What is decided above the dispatcher: ``.data`` reads as ``detach``, sizes that are read are watched."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.run.recording.torch_calls.append(getattr(func, "__name__", ""))
        if func in LAYOUT and by_user(sys._getframe(1)):
            asked = f"the inputs are contiguous: the code at {_here()} asks how they lie in memory"
            self.run.recording.assumptions[asked] = None
        if self.run.watch and func in SIZES and isinstance(args[0], torch.Tensor):
            return self.run.reads.read(func(*args, **(kwargs or {})))
        if torch._C._are_functorch_transforms_active():
            raise UnsupportedOperation(
                "torch.func",
                "function transforms inside the traced code have no meaning here",
                _here(),
                "Write the batch as a dimension; dc.derive(d.adjoint) gives second derivatives.",
            )
        if func in MEMORY and by_user(sys._getframe(1)):
            raise UnsupportedOperation(f"Tensor.{func.__name__}", "it looks at the memory that a tensor lies in", _here())
        refused = _REFUSED.get(func)
        if refused is not None:
            name, reason, instead = refused
            raise UnsupportedOperation(name, reason, _here(), instead)
        if func is torch.Tensor.retain_grad:
            return None
        if func is _DATA_GET or getattr(func, "__self__", None) is torch.Tensor.data:
            if getattr(func, "__name__", "") == "__get__":
                return args[0].detach()
            frames, _ = _frames(sys._getframe(1))
            raise UnsupportedOperation(
                "Tensor.data =",
                "it changes a tensor behind autograd's back",
                frames[0].place if frames else None,
                "Write it as a new tensor.",
            )
        return func(*args, **(kwargs or {}))


def unsupported(func: Any, place: str | None) -> UnsupportedOperation:
    """The refusal of an operator, with what to do instead where that is known."""
    name = operator_name(func)
    known = {
        "aten._local_scalar_dense": (
            "it makes a Python number of a tensor's value (data-dependent)",
            "Keep it a tensor, or pass the number as a constant.",
        ),
        "aten.is_nonzero": ("control flow depends on a tensor's value", "Use torch.where."),
        "aten.nonzero": ("the shape of its result depends on the data", "Use torch.where or a mask."),
        "aten.repeat_interleave": ("the shape of its result depends on the data", "Give output_size."),
        "aten._ctc_loss": (
            "it sums over alignments whose number depends on the data",
            "Write its forward recursion out with torch.logaddexp over fixed lengths.",
        ),
        "aten.masked_select": ("the shape of its result depends on the data", "Use torch.where or a mask."),
    }
    for prefix, (reason, instead) in known.items():
        if name.startswith(prefix):
            return UnsupportedOperation(name, reason, place, instead)
    return UnsupportedOperation(
        name,
        "it has no row and no decomposition into operators that have one",
        place,
        "Add a row for it (see CONTRIBUTING), or write it with other operators.",
    )


def fake_mode() -> FakeTensorMode:
    """A mode that makes tensors without data."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def fake(mode: FakeTensorMode, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of that shape without data."""
    with mode:
        return torch.empty(tuple(shape), dtype=dtype)


class Run:
    """One recording in progress: what the traced code needs of it.

    ``input(name, shape, dtype)`` makes a further input while the code runs (a loss's target, shaped like the output).
    """

    def __init__(
        self,
        has_row: Callable[[Any], bool],
        decompositions: Callable[[Any], Any],
        names: bool = True,
        watch: bool = True,
        repair: Repair | None = None,
        upto: int | None = None,
    ) -> None:
        self.recording = Recording()
        self.watch, self.reads = watch, Reads()
        self.recording.reads, self.recording.log = self.reads.values, self.reads.log
        self.mode = fake_mode()
        self.recorder = _Recorder(self.recording, has_row, decompositions, names)
        self.recorder.repair, self.recorder.upto = repair, upto
        self.functional = _Functional(self.recorder)
        self.wrapped: dict[str, Any] = {}
        self.inner: dict[str, torch.Tensor] = {}

    def size(self, poly: Poly, sizes: Mapping[str, int]) -> int:
        """A size that is no tensor's, such as a module's attribute, as the recorded code gets it."""
        return Watched.of(poly.at(sizes), poly, self.reads.log) if self.watch else poly.at(sizes)

    def input(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """An input of the recorded code; call it inside :func:`record`."""
        with no_dispatch():
            raw = torch.empty(tuple(shape), dtype=dtype, device="meta")
        inner = self.mode.fake_tensor_converter.from_meta_and_device(self.mode, raw, torch.device("cpu"))
        self.recording.inputs[name] = self.recorder.add(inner)
        t = FunctionalTensor.to_functional(inner)
        if dtype.is_floating_point:
            self.functional.mark(t)
            self.functional.unread.add(t)
        self.wrapped[name], self.inner[name] = t, inner
        if name.startswith("dropout_mask"):
            self.recorder.masks[name] = t
        return t


def record(code: Callable[[Run], Any], run: Run) -> Recording:
    """Record ``code(run)``.

    Raises:
        RecordingFailed: the code raised.
        UnsupportedOperation: an operator that cannot be derived.
    """
    recording, recorder = run.recording, run.recorder
    quiet = not _LOG.disabled
    _LOG.disabled = True  # it prints a traceback for each size that does not fit; trying those is the point here
    try:
        with (
            run.reads.watching() if run.watch else nullcontext(),
            _eager(),
            torch.enable_grad(),
            enable_python_dispatcher(),
            run.mode,
            recorder,
            run.functional,
            _Python(run),
        ):
            out = _run(code, run)
            recording.output = _unwrapped(out, recorder)
            for name, t in run.wrapped.items():
                end = t.from_functional()
                if end is not run.inner[name]:
                    recording.written[name] = recorder.number(end).number
    except (DataDependentOutputException, DynamicOutputShapeException) as e:
        raise unsupported(e.func, _place(e)) from None
    except (UnsupportedOperation, Enough):
        raise
    except Exception as e:
        raise RecordingFailed(e, recording, recorder.current, _place(e)) from e
    finally:
        _LOG.disabled = not quiet
    return recording


def _eager() -> Any:
    """Compiled parts of the code run as they are written."""
    return torch.compiler.set_stance("force_eager")


def _run(code: Callable[[Run], Any], run: Run) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of sizes that do not fit each other; trying those is the point here
        return code(run)


_RUN: CodeType = _run.__code__


def _unwrapped(value: Any, recorder: _Recorder) -> Any:
    if isinstance(value, FunctionalTensor):
        return recorder.number(value.from_functional())
    if isinstance(value, torch.Tensor):
        return recorder.number(value)
    if isinstance(value, dict):
        return {k: _unwrapped(v, recorder) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_unwrapped(v, recorder) for v in value)
    if hasattr(value, "__dataclass_fields__"):
        return tuple(_unwrapped(getattr(value, n), recorder) for n in value.__dataclass_fields__)
    return value


def _place(error: BaseException) -> str | None:
    found = None
    tb = error.__traceback__
    while tb is not None:
        file = tb.tb_frame.f_code.co_filename
        if user_file(file):
            found = f"{os.path.basename(file)}:{tb.tb_lineno}"
        tb = tb.tb_next
    return found


def _made(value: Any, device: str) -> Any:
    """Tensors of the shapes that stand in arguments."""
    if isinstance(value, Meta):
        return torch.empty(value.shape, dtype=value.dtype, device=device)
    if isinstance(value, (list, tuple)):
        return [_made(v, device) for v in value]
    if isinstance(value, dict):
        return {k: _made(v, device) for k, v in value.items()}
    return value


def _shaped_as_on_ones(func: Any, args: Any, kwargs: Any) -> Any:
    """Tensors without data, of the shapes that an operator gives for tensors of ones."""
    with torch.no_grad(), no_dispatch():
        ones = [pytree.tree_map_only(torch.Tensor, lambda t: torch.ones(t.shape, dtype=t.dtype), a) for a in (args, kwargs)]
        out = func(*ones[0], **ones[1])
    return pytree.tree_map_only(torch.Tensor, lambda t: torch.empty(t.shape, dtype=t.dtype), out)


def succeeds(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operator takes tensors of these shapes (tensors are given as :class:`Meta`)."""
    try:
        with torch.no_grad(), no_dispatch():
            made = {k: _made(v, "meta") for k, v in kwargs.items() if k not in ("device", "pin_memory")}
            func(*_made(args, "meta"), **made)
    except Exception:
        return False
    return True


_table: dict[Any, Any] = {}


def decomposition(func: Any) -> Any:
    """A torch decomposition of an operator into simpler ones (core ATen), or None."""
    if not _table:
        from torch._decomp import core_aten_decompositions, decomposition_table

        _table.update(decomposition_table)
        _table.update(core_aten_decompositions())
    found = _table.get(func)
    if found is None and func._can_decompose():
        return func.decompose
    return found
