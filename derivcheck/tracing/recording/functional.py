"""Functionalization: in-place operators become new values; writes that hide from autograd and randomness are judged."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode

from derivcheck.errors import UnsupportedOperation
from derivcheck.tracing.recording.composites import COMPOSITES, LIKE, copied, viewable
from derivcheck.tracing.recording.data import CallSite, operator_name
from derivcheck.tracing.recording.decompositions import has_row
from derivcheck.tracing.recording.dispatch import Recorder, tensors_in
from derivcheck.tracing.recording.hidden_writes import UNSEEN, Unread, keeps_its_shape
from derivcheck.tracing.recording.naming import statement
from derivcheck.tracing.recording.reads import Reads, rewatched, stripped
from derivcheck.tracing.recording.stack import frames_of, here
from derivcheck.tracing.watching.whose_code import HERE, TORCH

_BEHIND = (
    "it changes a tensor behind autograd's back (no_grad, detach or .data) that autograd may have saved, or through a view: "
    "the gradient would not be the value's"
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
_READS_TRUTH = {torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default}
_DISPATCH = tuple(
    TORCH + part for part in ("_ops", "_library", "_compile", "_dynamo", "_subclasses", "utils", "overrides", "_tensor.py")
)
_ROUNDS = "it rounds to fewer digits inside the traced code"
_OUTSIDE = "Derive outside of autocast: the derivation is over the reals, and its code runs in any type."
_NOTHING = object()  # an operator's own result may be None


class Impure(Exception):
    """Code that was taken to write to no tensor writes to one."""


class Functional(FunctionalTensorMode):  # type: ignore[no-untyped-call]
    """Functionalization that keeps operators with a row whole, and refuses writes that hide from autograd.

    Args:
        pure: the code writes to no tensor (:class:`Impure` where it does): nothing has to be followed, and its tensors are
            not wrapped.
    """

    def __init__(self, recorder: Recorder, pure: bool = False) -> None:
        """``cut`` are tensors behind a detach, ``live_storages`` memory that a gradient flows through; ``kept`` keeps both from
        reuse."""
        super().__init__(pre_dispatch=True)
        self.recorder, self.pure, self.wrote = recorder, pure, False
        self.cut: set[int] = set()
        self.live_storages: set[int] = set()
        self.kept: list[Any] = []
        self.shared: set[int] = set()
        self.unread = Unread()
        self.reads: Reads

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not wrapped to be hidden from torch.compile: nothing is compiled here, and each call of the wrapper takes time."""
        return False

    def _can_decompose(self, func: Any, args: Any, kwargs: Any) -> bool:
        """As torch says, except that an operator with a row stays whole unless it is a view or writes."""
        if (
            has_row(func)
            and not operator_name(func).startswith(_VIEWS)
            and not func._schema.is_mutable
            and not any(a.alias_info for a in func._schema.arguments)
        ):
            return False
        return bool(super()._can_decompose(func, args, kwargs))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operator: what has no functional form is refused or replaced, all else goes torch's own way."""
        kwargs = kwargs or {}
        if isinstance(func, torch._ops.OpOverload):
            found = self._replaced(func, types, args, kwargs)
            if found is not _NOTHING:
                return found
        if func is torch.ops.aten.broadcast_tensors.default and self.recorder.repair is not None:
            return self._broadcast(types, args)
        if self.pure:
            return self._plainly(func, args, kwargs)
        self.recorder.shares = False
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if self.recorder.shares:  # a view that the operator's schema does not declare: a write to it would be lost
            self._shares(t for t in tensors_in((args, kwargs, out)) if isinstance(t, FunctionalTensor))
        self._flow(func, args, kwargs, out)
        return out

    def _replaced(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """The result of a hidden write, of a truth value, of dropout and of a view that is composed; ``_NOTHING`` for all else.

        Raises:
            UnsupportedOperation: its result would not be the function's.
        """
        if torch.is_autocast_enabled("cpu") and any(t.dtype is torch.float32 for t in tensors_in((args, kwargs))):
            raise UnsupportedOperation("torch.autocast", _ROUNDS, here(), _OUTSIDE)
        if func is torch.ops.aten.detach_.default and self._fresh(args[0]):
            return args[0]
        if func._schema.is_mutable:
            self.wrote = True
            if self.pure:
                raise Impure
            if func.namespace not in ("aten", "prims"):
                reason = "it writes to its arguments, and torch has no form of it that does not"
                instead = "Wrap it in an operator that returns a new tensor, and add a row for that one."
                raise UnsupportedOperation(operator_name(func), reason, here(), instead)
            if self._written(func, args, kwargs):
                return self._unseen(func, types, args, kwargs)
        if func in _READS_TRUTH:
            truth = self._truth(func, args[0])
            if truth is not None:
                return truth
        if "dropout" in operator_name(func) and _does_nothing(func, args, kwargs):
            return args[0]
        composed = self._composed(func, args, kwargs)
        if composed is not None:
            op, given = composed
            with self, self.recorder.passing(given):
                out = op(*stripped(given))
            if op is copied and not self.pure and viewable(args[0], out.shape):  # torch gives a view: a write would be lost
                self._shares((out,))
            return out
        masked = self._random(func, args, kwargs) if torch.Tag.nondeterministic_seeded in func.tags else None
        return _NOTHING if masked is None else masked

    def _truth(self, func: Any, t: Any) -> Any:
        """A number read of constants alone, or a truth value that is read only to raise; None where neither is known."""
        constant = self.recorder.value(t, bool if func is torch.ops.aten.is_nonzero.default else torch.Tensor.item)
        known = _guard(sys._getframe(1)) if constant is None and t.dtype is torch.bool else None
        if known is None:
            return constant
        outcome, place = known
        self.recorder.recording.assumptions[f"the check at {place} does not fail"] = None
        return outcome

    def _shares(self, tensors: Iterable[torch.Tensor]) -> None:
        """Note that the memory of these is another tensor's too; they are kept, since memory that is free is used again."""
        for t in tensors:
            self.shared.add(t.untyped_storage()._cdata)
            self.kept.append(t)

    def _fresh(self, t: torch.Tensor) -> bool:
        """Whether ``torch.tensor(...)`` has just made this of numbers, and detaches it: nothing flows through it."""
        number = self.recorder.number_of(t)
        made = None if number is None else self.recorder.computed.made_by(number)
        return made is not None and made.func is torch.ops.aten.lift_fresh.default

    def _broadcast(self, types: Any, args: Any) -> Any:
        """Tensors broadcast; those that do not fit are handed on, for the operator that takes them to say which sizes must be
        equal."""
        try:
            func = torch.ops.aten.broadcast_tensors.default
            return self._plainly(func, args, {}) if self.pure else super().__torch_dispatch__(func, types, args, {})
        except RuntimeError as e:
            self.recorder.unfit, self.recorder.repaired = e, True
            return list(args[0])

    def _plainly(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The call as it is, or what it is composed of."""
        if self._can_decompose(func, args, kwargs) and torch._C._dispatch_has_kernel(func.name()):
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        return self.recorder.listed(func, args, kwargs)

    def _composed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The operator of which a view is composed, and its arguments with numbers that are watched."""
        if func not in COMPOSITES and func not in LIKE or not isinstance(args[0], (FunctionalTensor, FakeTensor)):
            return None
        if func in LIKE:
            return LIKE[func], (args[0], self.reads.dims(args[1]))
        if func is torch.ops.aten.reshape.default:
            kwargs = {**kwargs, "permuted": self.recorder.permuted(args[0])}
        made = COMPOSITES[func](self.reads.dims(args[0]), *rewatched(args, kwargs, self.recorder.given), **kwargs)
        if made is not None and made[0] is torch.ops.aten.reshape.default:  # a flatten is a reshape
            return self._composed(made[0], made[1], {})
        return made

    def _unseen(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """A write under ``no_grad``: the new value, through which the gradient of the old one passes."""
        place = here()
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
        results = [t for t in tensors_in(out) if isinstance(t, FunctionalTensor)]
        given = [t for t in tensors_in((args, kwargs)) if isinstance(t, FunctionalTensor)]
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
            if hidden and value in self.unread and keeps_its_shape(func) and frames_of(sys._getframe(1))[1] is None:
                return True
            if storage in self.shared:
                reason = (
                    "it writes in place to a tensor that shares its memory with another in a way that torch does not declare"
                )
            elif id(value) in self.cut and (
                storage in self.live_storages or any(self.live(t) for t in tensors_in((args, kwargs)))
            ):
                reason = _BEHIND
            elif hidden:
                reason = _BEHIND
            if not reason:
                continue
            frames, function = frames_of(sys._getframe(1))
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
        frames, _ = frames_of(sys._getframe(1))
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


def _guard(start: FrameType | None) -> tuple[bool, str] | None:
    """Where a truth value is read only to raise (``if t.any(): raise``, ``if not …: raise``, ``assert``): its good outcome."""
    f = start
    while f is not None and f.f_code.co_filename.startswith((*_DISPATCH, HERE)):
        f = f.f_back
    if f is None:
        return None
    frame = CallSite(f.f_code.co_filename, f.f_lineno, f.f_code.co_name, 0, 0)
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
