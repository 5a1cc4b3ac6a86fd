"""Recording torch code.  This file and the modes that it stacks (``dispatch.py``, ``functional.py``, ``python_calls.py``) are
where torch's private interfaces are used.

A recording runs the code once on fake tensors (shapes and dtypes, no data) and lists the operators that it
calls, in functional form: in-place operators and writes through views become operators that give new values.
It is made above autograd, so that ``linear``, ``softmax`` or ``detach`` stand in it as such.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.utils._mode_utils import no_dispatch

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.tracing.recording.data import Recording
from derivcheck.tracing.recording.dispatch import Enough, Recorder, RecordingPlan, scripted, unsupported
from derivcheck.tracing.recording.fakes import fake
from derivcheck.tracing.recording.functional import Functional
from derivcheck.tracing.recording.marks import Marks
from derivcheck.tracing.recording.python_calls import PythonCalls
from derivcheck.tracing.recording.reads import Reads
from derivcheck.tracing.recording.stack import place_of, run_code
from derivcheck.tracing.recording.types_read import classes_said, noticing
from derivcheck.tracing.recording.unseen import unseen_refused
from derivcheck.tracing.watching.watched import Watched

_OWN = (torch.nn.functional, torch.functional)
_ASKING = [(m, n) for m in _OWN for n in vars(m) if n.startswith("has_torch_function")]
_LOG = logging.getLogger("torch._subclasses.fake_tensor")


class RecordingFailed(Exception):
    """The code raised while it was recorded: ``.cause`` says what, ``.call`` the operator that it stood in, if any.

    ``.repaired`` is whether operators before it ran with other arguments than the code's.
    """

    def __init__(self, cause: BaseException, recorder: Recorder, place: str | None) -> None:
        super().__init__(str(cause))
        self.cause, self.recording, self.call, self.place = cause, recorder.recording, recorder.current, place
        self.repaired = recorder.repaired


class Run:
    """One recording in progress: what the traced code needs of it.

    ``input(name, shape, dtype)`` makes a further input while the code runs (a loss's target, shaped like the output).
    """

    def __init__(
        self,
        plan: RecordingPlan,
        watch: bool = True,
        modules: Iterable[dict[str, Any]] = (),
        mode: FakeTensorMode | None = None,
        classes: bool = True,
    ) -> None:
        """Stack the modes: Python calls over functionalization over the recorder; ``classes`` is whether code in the modules
        reads ``__class__``."""
        self.modules, self.marks, self.classes = tuple(modules), Marks(), classes
        self.recording = Recording()
        self.mode = FakeTensorMode(allow_non_fake_inputs=True) if mode is None else mode
        self.recorder = Recorder(self.recording, plan)
        self.watch, self.reads = watch, Reads(self.recorder.number_of, watch)
        self.recording.reads, self.recording.log = self.reads.values, self.reads.log
        self.functional = Functional(self.recorder, plan.pure)
        self.recorder.mode = self.mode if plan.pure else None
        self.recorder.calls, self.functional.reads = PythonCalls(self.recorder, self.reads, self.marks), self.reads
        self.wrapped: dict[str, Any] = {}
        self.inner: dict[str, torch.Tensor] = {}

    def size(self, poly: Poly, sizes: Mapping[str, int]) -> Any:
        """A size that is no tensor's, such as a module's attribute, as the recorded code gets it."""
        return Watched.of(poly.at(sizes), poly, self.reads.log) if self.watch else poly.at(sizes)

    def input(
        self, name: str, shape: Sequence[int], dtype: torch.dtype, kind: type[torch.Tensor] = torch.Tensor
    ) -> torch.Tensor:
        """An input of the recorded code; call it inside :func:`record`."""
        with torch._C.DisableTorchFunction():
            with no_dispatch():
                raw = torch.empty(tuple(shape), dtype=dtype, device="meta")
            inner = fake(self.mode, raw)
            self.recording.inputs[name] = self.recorder.add(inner)
            t = inner if self.functional.pure else FunctionalTensor.to_functional(inner)
        if dtype.is_floating_point and not self.functional.pure:
            self.functional.mark(t)
            self.functional.unread.add(t)
        if kind is torch.nn.Parameter:
            t._is_param = True  # what isinstance asks for
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
    calls = PythonCalls(recorder, run.reads, run.marks)
    quiet = not _LOG.disabled
    _LOG.disabled = True  # it prints a traceback for each size that does not fit; trying those is the point here
    try:
        with (
            run.reads.stands.watching((*map(vars, _OWN), *run.modules)) if run.watch else nullcontext(),
            _as_written(),
            _eager(),
            unseen_refused(run.functional),
            torch.enable_grad(),
            enable_python_dispatcher(),
            run.mode,
            nullcontext() if run.functional.pure else recorder,
            run.functional,
            run.marks.listening(),
            calls,
            noticing(calls.note),
            classes_said() if run.classes else nullcontext(),
        ):
            try:
                out = run_code(code, run)
            finally:
                if recorder.refused is not None:
                    raise recorder.refused
            if recorder.unfit is not None:
                raise recorder.unfit
            if recorder.failed is not None:
                what, place = recorder.failed
                reason = "it raises here, and the code catches that and goes another way, which other sizes may not"
                raise UnsupportedOperation(what, reason, place, "Ask for the sizes instead.")
            recording.asks_for_types = run.reads.asks_for_types
            recording.output = _unwrapped(out, recorder, run.marks)
            for name, t in run.wrapped.items() if not run.functional.pure else ():
                end = t.from_functional()
                if end is not run.inner[name]:
                    recording.written[name] = recorder.number(end).number
    except (DataDependentOutputException, DynamicOutputShapeException) as e:
        raise unsupported(e.func, place_of(e)) from None
    except Enough as e:
        e.recording = recording
        raise
    except UnsupportedOperation:
        raise
    except Exception as e:
        if "TorchScript interpreter" in str(e):
            raise scripted(place_of(e)) from None
        raise RecordingFailed(e, recorder, place_of(e)) from e
    finally:
        _LOG.disabled = not quiet
    return recording


@contextmanager
def _as_written() -> Iterator[None]:
    """torch's functions that are written in Python run as the code's own: what they read and call is seen."""
    before = [(m, n, vars(m)[n]) for m, n in _ASKING]
    for module, name, _ in before:
        setattr(module, name, lambda *tensors: False)
    try:
        yield
    finally:
        for module, name, f in before:
            setattr(module, name, f)


def _eager() -> Any:
    """Compiled parts of the code run as they are written."""
    return torch.compiler.set_stance("force_eager")


def _unwrapped(value: Any, recorder: Recorder, marks: Marks) -> Any:
    """What the code returned, with tensors as their numbers in the recording; dataclasses are tuples of their fields."""
    value = marks.cut(value)
    if isinstance(value, FunctionalTensor):
        return recorder.number(value.from_functional())
    if isinstance(value, torch.Tensor):
        return recorder.number(value)
    if isinstance(value, dict):
        return {k: _unwrapped(v, recorder, marks) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_unwrapped(v, recorder, marks) for v in value)
    if hasattr(value, "__dataclass_fields__"):
        return tuple(_unwrapped(getattr(value, n), recorder, marks) for n in value.__dataclass_fields__)
    return value
