"""The check of what an audit has seen: each backward at the tensors that reached it, then under probes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from derivcheck.audit.asking import Answer, answer
from derivcheck.audit.hooks import SeenHook
from derivcheck.audit.observer import Observer, SeenBackward, Sighting
from derivcheck.audit.operators import is_operators, registered
from derivcheck.audit.outcome import HOLDS, UNCHECKED, UNDECIDED, WRONG, JudgedBackward, JudgedKind
from derivcheck.audit.places import code_of, place_of_class, place_of_code, place_raised, shown
from derivcheck.audit.states import kept_states
from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.subject.function import argument_names
from derivcheck.checking.witnesses.fast import agrees
from derivcheck.errors import DerivcheckError, UnsupportedOperation

LINES = 4  # random directions of what cannot be derived


@dataclass(frozen=True)
class UnderTest:
    """A backward that was seen, and what there is to be told of it."""

    seen: SeenBackward

    @cached_property
    def operator(self) -> Any:
        """The custom operator that it is of, or None."""
        return registered(self.seen.function) if is_operators(self.seen.function) else None

    @property
    def name(self) -> str:
        """Its name in the table."""
        return str(self.operator.name if self.operator else self.seen.function.__qualname__.rpartition("<locals>.")[2])

    @property
    def place(self) -> str:
        """Where it is written."""
        cls = self.seen.function
        if self.operator:
            return place_of_code(code_of(self.operator.backward))
        own = next((f for n in ("backward", "vjp", "forward") if (f := _of_users(cls, n)) is not None), None)
        return place_of_class(cls, own)

    def forward(self, sighting: Sighting) -> tuple[Any, dict[str, Any]]:
        """What ``check`` takes: the forward and its named arguments."""
        if self.operator:
            forward, inputs = self.operator.call(sighting.args)
            return forward, inputs
        names = argument_names(self.seen.function, len(sighting.args))
        return self.seen.function, dict(zip(names, sighting.args))


def _of_users(cls: Any, name: str) -> Any:
    """The code of one of its functions; None of what torch gives every Function."""
    f = getattr(cls, name, None)
    return None if f is None or f is getattr(torch.autograd.Function, name, None) else code_of(f)


def judged(observer: Observer, seed: int = 0, told: Callable[[str], None] | None = None) -> Iterator[JudgedBackward]:
    """Each backward that was seen, checked one after the other; the random states stay as they are.

    Args:
        told: called with the name of each before it is checked.
    """
    for seen in observer.seen.values():
        if seen.sightings:
            if told is not None:
                told(UnderTest(seen).name)
            yield _backward(UnderTest(seen), seed)
    yield from (_hook(hook) for hook in observer.hooks.seen.values() if hook.calls)


def unjudged(observer: Observer, done: int) -> Iterator[JudgedBackward]:
    """Those that were seen and were not checked, after so many that were; a hook needs no check of its own."""
    for seen in [s for s in observer.seen.values() if s.sightings][done:]:
        under = UnderTest(seen)
        kinds = (JudgedKind(_inputs(*under.forward(s)[1:]), s.place, UNCHECKED, ("interrupted",)) for s in seen.sightings)
        yield JudgedBackward(under.name, _sort(under), under.place, seen.calls, seen.backwards, tuple(kinds))
    yield from (_hook(hook) for hook in observer.hooks.seen.values() if hook.calls)


def count(observer: Observer) -> int:
    """How many will be checked one after the other."""
    return sum(bool(s.sightings) for s in observer.seen.values())


def _sort(under: UnderTest) -> str:
    return "operator" if under.operator else "Function"


def _backward(under: UnderTest, seed: int) -> JudgedBackward:
    """One backward at every kind of input, up to the first at which it is wrong."""
    seen, kinds, notes = under.seen, list[JudgedKind](), list[str]()
    for k, sighting in enumerate(seen.sightings):
        kinds.append(_kind(under, sighting, seed))
        if kinds[-1].verdict == WRONG and k + 1 < len(seen.sightings):
            notes.append(f"not checked at {len(seen.sightings) - k - 1} more kinds of input, since it is wrong at this one")
            break
    if seen.more:
        notes.append(f"{seen.more} calls were of further kinds of input, which were not checked")
    if not seen.backwards:
        notes.append("no gradient reached it: it was checked with a random one")
    return JudgedBackward(under.name, _sort(under), under.place, seen.calls, seen.backwards, tuple(kinds), tuple(notes))


def _kind(under: UnderTest, sighting: Sighting, seed: int) -> JudgedKind:
    """The check at one kind of input."""
    if sighting.wrapped:
        return JudgedKind("batched tensors", sighting.place, UNCHECKED, ("met under torch.vmap alone",))
    forward, inputs = under.forward(sighting)
    others = [under.forward(s)[1] for s in under.seen.sightings if not s.wrapped]
    dtype, device = _type(inputs)
    label = _inputs(inputs)
    remarks = [f"seen under autocast, checked outside of it in {type_name(dtype)}"] if sighting.autocast else []
    with kept_states(), warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        try:
            order = None if under.seen.twice else 1  # the gradient's own gradient is asked of what the run differentiates twice
            found = answer(forward, inputs, sighting.upstream, others, dtype=dtype, device=device, seed=seed, order=order)
            return _told(found, label, sighting, remarks)
        except UnsupportedOperation as e:
            said = (str(e), *_by_differences(forward, inputs))
        except DerivcheckError as e:
            said = (str(e),)
        except Exception as e:  # whatever the user's code raises at other data
            where = place_raised(e)
            said = (f"{type(e).__name__}{f' at {where}' if where else ''}: {e}",)
    return JudgedKind(label, sighting.place, UNCHECKED, tuple(_first(s) for s in (*said, *remarks)))


def _told(found: Answer, label: str, sighting: Sighting, remarks: list[str]) -> JudgedKind:
    """An answer as plain data, its diagnosis and its fix included."""
    report = found.report
    remarks = [*remarks, *found.remarks, *([found.apart] if found.apart else [])]
    if found.apart and not found.settled:
        return JudgedKind(label, sighting.place, UNDECIDED, tuple(remarks))
    if report.passed:
        return JudgedKind(label, sighting.place, HOLDS, tuple(remarks + report.limits))
    said = [line.strip() for line in str(report).splitlines()[1:]]
    said = [s for s in said if not s.startswith(("next: ", "line ", "or line "))]
    bad = [r for r in report.failures if r.faulty]
    lines = [str(line) for r in bad for line in r.lines]
    fix = next((r.fix for r in bad if r.fix is not None), None)
    lines = lines if fix is None else [line.partition("; it should be ")[0] for line in lines]  # the fix says it
    words, diff = ("", "") if fix is None else (f"{fix.words} ({fix.known})", _diff(fix))
    verdict = WRONG if report.faulty else UNDECIDED
    return JudgedKind(label, sighting.place, verdict, (*said, *remarks), tuple(dict.fromkeys(lines))[:2], words, diff)


def _diff(fix: Any) -> str:
    """The edits, each with its place."""
    lines: list[str] = []
    for e in fix.edits:
        lines += [f"{shown(e.file)}:{e.line}", *(f"-{x}" for x in e.old.splitlines()), *(f"+{x}" for x in e.new.splitlines())]
    return "\n".join(lines)


def _by_differences(forward: Any, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """What differences along lines say of a backward that cannot be derived."""
    run: Any = getattr(forward, "apply", forward)
    args = [_double(v) for v in inputs.values()]
    wanted = [k for k, v in enumerate(inputs.values()) if isinstance(v, torch.Tensor) and v.requires_grad]
    call = run if isinstance(forward, type) else lambda *given: run(**dict(zip(inputs, given)))
    if wanted and agrees(call, args, wanted, lines=LINES):
        return (f"its gradient agrees with differences along {LINES} lines at these tensors, in float64",)
    return ()


def _double(v: Any) -> Any:
    if not isinstance(v, torch.Tensor) or not v.is_floating_point():
        return v
    return v.detach().double().requires_grad_(v.requires_grad)


def _type(inputs: Mapping[str, Any]) -> tuple[torch.dtype, torch.device]:
    """The type and the device to check in: the widest type in which a gradient is asked for."""
    floats = [t for t in _tensors(list(inputs.values())) if t.is_floating_point()]
    asked = [t for t in floats if t.requires_grad] or floats
    if not asked:
        return torch.float64, torch.device("cpu")
    return max((t.dtype for t in asked), key=lambda d: torch.finfo(d).bits), asked[0].device


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _tensors(v)


def _inputs(inputs: Mapping[str, Any]) -> str:
    """``x 8×64, w 64, float32``."""
    shapes = [f"{n} {'×'.join(map(str, t.shape)) or 'a number'}" for n, t in inputs.items() if isinstance(t, torch.Tensor)]
    return ", ".join([*shapes, type_name(_type(inputs)[0])])


def _first(text: str, most: int = 300) -> str:
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= most else line[: most - 1] + "…"


def _hook(hook: SeenHook) -> JudgedBackward:
    """A hook is right where it leaves a gradient as it is: what it made of those of the run says so."""
    code = code_of(hook.hook)
    name = getattr(hook.hook, "__qualname__", type(hook.hook).__name__).rpartition("<locals>.")[2]
    label = f"gradients on {hook.on}"
    if not hook.after:
        kind = JudgedKind(label, hook.place, HOLDS, ("it left every gradient as it was",))
    else:
        kind = JudgedKind(label, hook.place, WRONG, (f"it changes the gradient: {_change(hook)}",))
    return JudgedBackward(f"hook {name}", "hook", place_of_code(code), hook.calls, hook.calls, (kind,))


def _change(hook: SeenHook) -> str:
    """What a hook made of a gradient, in words."""
    pairs = [(a, b) for a, b in zip(hook.before, hook.after) if a is not None and b is not None]
    if len(pairs) < sum(a is not None for a in hook.before):
        return "it takes one away"
    a, b = next(((a, b) for a, b in pairs if a.shape != b.shape or not torch.equal(a, b)), pairs[0])
    if a.shape != b.shape:
        return f"from shape {tuple(a.shape)} to {tuple(b.shape)}"
    a, b = a.double().reshape(-1), b.double().reshape(-1)
    changed, total = int((a != b).sum()), a.numel()
    factor = float((a * b).sum() / (a * a).sum()) if bool(a.any()) else 0.0
    if torch.allclose(b, factor * a, rtol=1e-5, atol=0) and bool(a.any()):
        return f"{factor:.6g} times what arrives" if factor else "it sets it to zero"
    k = int((a - b).abs().argmax())
    return f"{changed} of {total} elements, by at most {float((a - b).abs().max()):.3g} ({float(a[k]):.6g} → {float(b[k]):.6g})"
