"""The mode that lists the operators which reach it, in functional form, on tensors without data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
from torch.utils import _pytree as pytree
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from derivcheck.errors import UnsupportedOperation
from derivcheck.tracing.recording.composites import PARTS, PERMUTES, VIEWS
from derivcheck.tracing.recording.constants import Constants
from derivcheck.tracing.recording.data import Call, CallSite, Meta, Recording, Tensor, operator_name
from derivcheck.tracing.recording.decompositions import decomposition, has_row, written_in_python
from derivcheck.tracing.recording.kernel_shapes import refuse_as_the_kernel, results_alone
from derivcheck.tracing.recording.reads import leaves, rewatched
from derivcheck.tracing.recording.shapes_alone import shaped
from derivcheck.tracing.recording.stack import frames_of, here
from derivcheck.tracing.recording.trials import made_of, shaped_as_on_ones
from derivcheck.tracing.watching.decimals import Decimals
from derivcheck.tracing.watching.log import CodeLine, Escape, outside

_ASSERTS = "aten._assert_"
_EMPTY = (
    "aten.empty.",
    "aten.empty_like.",
    "aten.new_empty.",
    "aten.empty_strided.",
    "aten.empty_permuted.",
    "aten.new_empty_strided.",
)
Repair = Callable[[Call, Recording], "tuple[Any, Any] | None"]


@dataclass(frozen=True)
class RecordingPlan:
    """What a recording is made for.

    Attributes:
        names: the user's variable names are looked up, and custom functions are noted.
        repair: other arguments for an operator that fails at these sizes.
        upto: so many operators are enough.
        pure: the code writes to no tensor, so that writes need not be followed.
    """

    names: bool = False
    repair: Repair | None = None
    upto: int | None = None
    pure: bool = False


class Enough(Exception):
    """As many operators were recorded as were asked for; ``recording`` has them."""

    recording: Recording


class Parted(Enough):
    """It goes another way than the first one, or would cut a tensor into more pieces than the code of a layer looks at."""


class Recorder(ProxyTorchDispatchMode):  # type: ignore[no-untyped-call]
    """Receives functional operators on fake tensors.  Only an infrastructure mode may stand in this slot."""

    def __init__(self, recording: Recording, plan: RecordingPlan) -> None:
        """Stand in the slot of torch's own proxy mode, without the set-up of its tracer."""
        TorchDispatchMode.__init__(self, torch._C.DispatchKey.PreDispatch)  # type: ignore[no-untyped-call]
        self._mode_key = torch._C._TorchDispatchModeKey.PROXY
        self.enter_stack = []
        self.pre_dispatch = True
        self.recording, self.names, self.repair, self.upto = recording, plan.names, plan.repair, plan.upto
        self.numbers: dict[int, int] = {}
        self.alive: list[torch.Tensor] = []
        self.memory: dict[tuple[int, tuple[int, ...], torch.dtype], int] = {}
        self.frames: tuple[CallSite, ...] = ()
        self.current: Call | None = None
        self.outer: list[tuple[str, str | None]] = []
        self.refused: Exception | None = None  # a refusal, which the code may have caught: it has taken another way then
        self.failed: tuple[str, str | None] | None = None  # what torch raised, where
        self.unfit: RuntimeError | None = None  # shapes that did not broadcast, before an operator was repaired
        self.repaired = False  # whether an operator got other arguments than the code's, or ones that did not broadcast
        self.shares = False
        self.masks: dict[str, Any] = {}
        self.drawn: list[str] = []
        self.decimals = Decimals()
        self.given: tuple[Any, ...] = ()
        self.calls: Any = nullcontext()
        self.computed = Constants(recording)
        self.mode: FakeTensorMode | None = None

    @contextmanager
    def passing(self, *arguments: Any) -> Iterator[None]:
        """While the code's own numbers are on their way into operators."""
        before, self.given = self.given, tuple(leaves(arguments))
        try:
            yield
        finally:
            self.given = before

    def refusal(self, func: Any, place: str | None) -> UnsupportedOperation:
        """The refusal of an operator; one met inside a decomposition is named after what the user called."""
        refused = unsupported(func, place)
        if not self.outer or "data" in refused.reason or "value" in refused.reason:
            return refused
        name, where = self.outer[0]
        if refused.operator == name:  # its decomposition is a prim, which calls it again
            return unsupported(func, where or place)
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
            if torch._is_functional_tensor(t):
                raise scripted(here())
            k = self.add(t)
            self.recording.constants[k] = self.decimals.kept(t)
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

    def number_of(self, t: torch.Tensor) -> int | None:
        """The number of a tensor as the code has it; None where it is none of the recording's."""
        if isinstance(t, FunctionalTensor):
            t = torch._from_functional_tensor(t.elem)
        k = self.known(t)
        return None if k in self.recording.constants else k

    def permuted(self, t: torch.Tensor, parts: bool = False) -> bool:
        """Whether a tensor's elements lie in another order than its indices say, at sizes in general; with ``parts``, or with
        others between them."""
        number = self.number_of(t)
        while number is not None:
            call = self.computed.made_by(number)
            if call is None or call.operator in PERMUTES or call.operator not in VIEWS or parts and call.operator in PARTS:
                return call is not None and (call.operator in PERMUTES or parts and call.operator in PARTS)
            number = call.args[0].number
        return False

    def value(self, t: torch.Tensor, read: Callable[[torch.Tensor], Any]) -> Any:
        """What ``read`` gives of a tensor that is made of constants alone, else None; what it owes to sizes is not watched any
        more."""
        if isinstance(t, FunctionalTensor):
            t = torch._from_functional_tensor(t.elem)
        found = self.computed.of(self.known(t))
        if found is None:
            return None
        value, sizes = found
        if sizes:
            self.recording.log.escapes.append(
                Escape(sizes, "the values of a tensor made", CodeLine.of(outside(sys._getframe(1))))
            )
        with torch.no_grad(), no_dispatch():
            return read(value)

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
        return self.listed(func, args, kwargs or {})

    def listed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """List one operator with what it gives; one without a row goes as the operators that it decomposes into."""
        if operator_name(func).startswith(_ASSERTS):
            return None  # of the data, and no result: where it does not hold the code itself says so
        call = self.current = self._begun(func, args, kwargs)
        if func is torch.ops.aten.index.Tensor and any(t.dtype in (torch.bool, torch.uint8) for t in tensors_in(args[1])):
            raise unsupported(torch.ops.aten.nonzero.default, call.place or here())
        if not has_row(func):
            if operator_name(func).startswith(_EMPTY):
                return self._empty(call, args, kwargs)
            out = self._decomposed(call, args, kwargs)
            if out is not NotImplemented:
                return out
        if self.upto is not None and _pieces(func, args) > _MOST_PIECES:
            raise Parted
        out = self._result(call, args, kwargs)
        results = tensors_in(out)
        if not any(a.alias_info for a in func._schema.arguments):
            given = {t.untyped_storage()._cdata for t in tensors_in((args, kwargs))}
            self.shares = any(t.untyped_storage()._cdata in given for t in results)
        for t in results:
            self.add(t)
        call.out = self._packed(out)
        self.recording.calls.append(call)
        if self.upto is not None and len(self.recording.calls) > self.upto:
            raise Enough
        self.current = None
        return out

    def _begun(self, func: Any, args: Any, kwargs: Any) -> Call:
        """The call without its result: where the user made it, and whether gradients stop there."""
        stopped = not torch.is_grad_enabled()
        frames, function = frames_of(sys._getframe(2)) if self.names or stopped else ((), None)
        if function is not None:
            self.recording.functions.setdefault(function.__name__, frames[0].place if frames else None)
        stop = stopped and function is None  # the forward of an autograd.Function runs without gradients, and has one
        call = Call(func, self._packed(args), {k: self._packed(v) for k, v in kwargs.items()}, None, stop, frames)
        call.given = self.given
        return call

    def _empty(self, call: Call, args: Any, kwargs: Any) -> Any:
        """Memory that is not filled: what it holds is not read, or the code's result is arbitrary; zeros will do."""
        out = call.func(*args, **kwargs)
        zeros, shape = torch.ops.aten.zeros.default, list(out.shape)
        self.recording.calls.append(replace(call, func=zeros, args=[shape], kwargs={}, out=Tensor(self.add(out))))
        return out

    def _decomposed(self, call: Call, args: Any, kwargs: Any) -> Any:
        """What the operators give that stand for one without a row; NotImplemented for a prim, which runs as it is.

        Raises:
            UnsupportedOperation: there are none, or it is complex.
        """
        func, place = call.func, call.place
        if _complex(func, args, kwargs):
            raise UnsupportedOperation(call.operator, REALS, place or here(), PARTS_APART)
        replacement = decomposition(func)
        if replacement is None and (replacement := written_in_python(func)) is not None:
            self.recording.functions.setdefault(func._schema.name, place)
        if replacement is not None and all(name != call.operator for name, _ in self.outer):  # a prim may call itself
            self.outer.append((call.operator, place))
            with self, self.calls:
                out = replacement(*rewatched(args, kwargs, self.given), **kwargs)
            self.outer.pop()
            if out is not NotImplemented:
                for t in pytree.tree_leaves(out):
                    if isinstance(t, torch.Tensor) and self.known(t) is None:
                        raise UnsupportedOperation(call.operator, "its decomposition gives a tensor from nowhere", place)
                return out
        if func.namespace != "prim":
            raise self.refusal(func, place or here())
        return NotImplemented

    def _result(self, call: Call, args: Any, kwargs: Any) -> Any:
        """What the operator gives on tensors without data: by shapes alone where that is quicker, repaired where it fails."""
        func = call.func
        try:
            refuse_as_the_kernel(func, args, kwargs)
            out = results_alone(func, args)
            if out is None:
                out = NotImplemented if self.mode is None else shaped(self.mode, func, args, kwargs)
            return func(*args, **kwargs) if out is NotImplemented else out
        except DataDependentOutputException:  # an operator with a row that looks at its arguments (cov at its weights)
            return shaped_as_on_ones(func, args, kwargs)
        except Exception:
            repaired = self.repair(call, self.recording) if self.repair is not None else None
            if repaired is None:
                raise
            self.unfit, self.repaired = None, True
            made = made_of(repaired[0], "cpu")
            out = results_alone(func, made)
            return func(*made, **made_of(repaired[1], "cpu")) if out is None else out


_MOST_PIECES = 10_000  # far sizes make millions of the rows of a flattened matrix


def _pieces(func: Any, args: Any) -> int:
    """How many tensors an operator cuts its first one into, where a size says it."""
    split, unbind = torch.ops.aten.split.Tensor, torch.ops.aten.unbind.int
    if func not in (split, unbind) or not args[0].dim():
        return 1
    each, rest = (max(1, args[1]), args[2:]) if func is split else (1, args[1:])
    return -(-int(args[0].shape[rest[0] if rest else 0]) // int(each))


REALS = "it computes with complex numbers, and derivcheck derives over the reals"
PARTS_APART = "Write it with real and imaginary parts."


def _complex(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operator takes or gives complex numbers."""
    if any(t.is_complex() for t in tensors_in((args, kwargs))):
        return True
    if any(isinstance(v, complex) for v in (*args, *kwargs.values())):
        return True
    name = operator_name(func)
    if not any(part in name for part in ("complex", "polar", "fft", "stft", "eig")):
        return False
    try:
        return any(t.is_complex() for t in tensors_in(func(*args, **kwargs)))
    except Exception:  # said where it is run in earnest
        return False


def scripted(place: str | None) -> UnsupportedOperation:
    """The refusal of TorchScript: what it runs is out of sight of a trace."""
    reason = "a scripted or traced function runs its operators where a trace does not see them"
    return UnsupportedOperation("torch.jit", reason, place, "Give the Python function or module that it was made of.")


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


def tensors_in(value: Any) -> list[torch.Tensor]:
    """The tensors in arguments or results."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in tensors_in(v)]
    return []
