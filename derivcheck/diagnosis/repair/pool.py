"""Expressions in the user's own variables, each a text with its value: what may be missing from a line.

A candidate is compared with what a definition would have to be, through the Jacobian: no candidate is run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from derivcheck.diagnosis.scene import Array

FIRST = 26  # variables and steps that are looked at
SECOND = 2500  # expressions of one of them
Unary = tuple[str, Callable[[torch.Tensor], torch.Tensor], float, str]


@dataclass(frozen=True, eq=False)
class PoolPart:
    """An expression with its value.

    Attributes:
        text: the torch code.
        value: at the small data.
        cost: how much it is to write.
        words: what the field calls it, or "".
        loose: whether the text needs parentheses within a product.
    """

    text: str
    value: torch.Tensor
    cost: float
    words: str = ""
    loose: bool = False

    @property
    def inner(self) -> str:
        """The text as a factor."""
        return f"({self.text})" if self.loose else self.text


def _u(template: str, f: Callable[[torch.Tensor], torch.Tensor], cost: float, words: str = "") -> Unary:
    return template, f, cost, words


ELEMENTWISE: tuple[Unary, ...] = (
    _u("1 - {}", lambda u: 1 - u, 0.5),
    _u("{}**2", lambda u: u * u, 0.5),
    _u("1 - {}**2", lambda u: 1 - u * u, 0.7),
    _u("1 + {}", lambda u: 1 + u, 0.6),
    _u("1 + {}**2", lambda u: 1 + u * u, 0.9),
    _u("{}**3", lambda u: u**3, 0.8),
    _u("{}**0.5", lambda u: u**0.5, 0.8),
    _u("{} * (1 - {})", lambda u: u * (1 - u), 0.7),
    _u("1 - 2 * {}", lambda u: 1 - 2 * u, 0.9),
    _u("{} > 0", lambda u: (u > 0).to(u.dtype), 0.6, "the mask"),
    _u("{} < 0", lambda u: (u < 0).to(u.dtype), 0.7, "the mask"),
    _u("{} >= 0", lambda u: (u >= 0).to(u.dtype), 0.8, "the mask"),
    _u("{} != 0", lambda u: (u != 0).to(u.dtype), 0.8, "the mask"),
    _u("{}.abs() < 1", lambda u: (u.abs() < 1).to(u.dtype), 0.9, "the mask"),
    _u("{}.abs() <= 1", lambda u: (u.abs() <= 1).to(u.dtype), 0.9, "the mask"),
    _u("2 * {} - 1", lambda u: 2 * u - 1, 0.9),
    _u("{}.sign()", lambda u: u.sign(), 0.7, "the sign"),
    _u("{}.abs()", lambda u: u.abs(), 0.8, "the absolute value"),
    _u("{}.exp()", lambda u: u.exp(), 0.7, "the exponential"),
    _u("{}.log()", lambda u: u.log(), 0.8, "the logarithm"),
    _u("{}.sin()", lambda u: u.sin(), 0.8, "the sine"),
    _u("{}.cos()", lambda u: u.cos(), 0.8, "the cosine"),
    _u("{}.tanh()", lambda u: u.tanh(), 0.8, "the tanh"),
    _u("1 - {}.tanh()**2", lambda u: 1 - u.tanh() ** 2, 0.9, "the derivative of tanh"),
    _u("{}.sigmoid()", lambda u: u.sigmoid(), 0.8, "the sigmoid"),
    _u("1 - {}.sigmoid()", lambda u: 1 - u.sigmoid(), 0.9, "one minus the sigmoid"),
    _u("{0}.sigmoid() * (1 - {0}.sigmoid())", lambda u: u.sigmoid() * (1 - u.sigmoid()), 1.0, "the derivative of sigmoid"),
    _u("{}.square().neg().exp()", lambda u: (-u * u).exp(), 1.2, "the Gaussian"),
    _u("({0}**2 + 1)", lambda u: u * u + 1, 1.2),
)
LAID: tuple[Unary, ...] = (
    _u("{}.mT", lambda u: u.transpose(-1, -2), 0.5, "the transpose"),
    _u("{}[..., None]", lambda u: u[..., None], 0.5),
    _u("{}[:, None]", lambda u: u[:, None], 0.6),
    _u("{}[:, None, None]", lambda u: u[:, None, None], 0.9),
    _u("{}[..., None, None]", lambda u: u[..., None, None], 0.9),
    _u("{}.sum(-1, keepdim=True)", lambda u: u.sum(-1, keepdim=True), 0.6, "the sum over the last axis"),
    _u("{}.sum(0)", lambda u: u.sum(0), 0.6, "the sum over the first axis"),
    _u("{}.sum(-2, keepdim=True)", lambda u: u.sum(-2, keepdim=True), 0.8),
    _u("{}.sum(-1)", lambda u: u.sum(-1), 0.8),
    _u("{}.sum()", lambda u: u.sum(), 0.7, "the sum of all"),
    _u("{}.sum((-2, -1), keepdim=True)", lambda u: u.sum((-2, -1), keepdim=True), 1.0),
    _u("{}.sum((0, 2))", lambda u: u.sum((0, 2)), 1.0),
    _u("{}.mean(-1, keepdim=True)", lambda u: u.mean(-1, keepdim=True), 0.6, "the mean over the last axis"),
    _u("{}.mean(0)", lambda u: u.mean(0), 0.7, "the mean over the first axis"),
    _u("{}.norm(dim=-1, keepdim=True)", lambda u: torch.linalg.vector_norm(u, dim=-1, keepdim=True), 0.9, "the norm"),
    _u("{}.softmax(-1)", lambda u: torch.softmax(u, -1), 0.9, "the softmax"),
    _u("{}.flip(-1)", lambda u: u.flip(-1), 0.8, "the reverse"),
    _u("{}.flip(0)", lambda u: u.flip(0), 0.9, "the reverse"),
    _u("{}.cumsum(-1)", lambda u: u.cumsum(-1), 1.0, "the running sum"),
    _u("{}.flip(-1).cumsum(-1).flip(-1)", lambda u: u.flip(-1).cumsum(-1).flip(-1), 1.3, "the running sum from the end"),
    _u("{}.diagonal()", lambda u: u.diagonal(), 1.0, "the diagonal"),
)


def parts(env: Mapping[str, Any], steps: Iterable[tuple[str, Array]], upto: int = FIRST) -> list[PoolPart]:
    """The variables of a function that hold numbers, and its steps that have no name."""
    found: dict[str, PoolPart] = {}
    for n, v in env.items():
        if (
            isinstance(v, torch.Tensor)
            and n.isidentifier()
            and v.numel()
            and v.dtype in (torch.float64, torch.float32, torch.bool)
        ):
            found[n] = PoolPart(n, v.detach().double(), 0.0)
        elif isinstance(v, float) and n.isidentifier():
            found[n] = PoolPart(n, torch.tensor(v, dtype=torch.float64), 0.0)
    named = [p.value for p in found.values()]
    for text, value in steps:
        t = torch.from_numpy(np.array(value, dtype=float))
        if t.numel() and not any(v.shape == t.shape and torch.equal(v, t) for v in named) and len(text) < 50:
            found.setdefault(text, PoolPart(text, t, 0.6, "", not _atom(text)))
            named.append(t)
    return list(found.values())[:upto]


def _atom(text: str) -> bool:
    try:
        return isinstance(ast.parse(text, mode="eval").body, (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.Constant))
    except SyntaxError:
        return False


def of_integers(env: Mapping[str, Any]) -> list[PoolPart]:
    """What integer tensors are for: ones at the targets' places, rows that are chosen, masks of what is padding or ignored."""
    found = []
    integers = {n: v for n, v in env.items() if isinstance(v, torch.Tensor) and v.dtype == torch.int64 and v.ndim and v.numel()}
    for n, v in integers.items():
        for c in sorted(set(v.flatten().tolist()), key=lambda c: (c >= 0, abs(c)))[:4]:
            found.append(PoolPart(f"{n} != {c}", (v != c).double(), 0.9, f"the mask of what {n} leaves out", True))
        for m, w in env.items():
            chosen = (
                isinstance(w, torch.Tensor) and w.is_floating_point() and w.ndim and 0 <= int(v.min()) <= int(v.max()) < len(w)
            )
            if chosen and w.ndim == 1:
                found.append(PoolPart(f"{m}[{n}]", w[v].double(), 0.5))
    for n, v in env.items():
        if isinstance(v, torch.Tensor) and v.dtype == torch.int64 and v.numel() and bool((v >= 0).all()):
            for m, w in env.items():
                if isinstance(w, torch.Tensor) and w.is_floating_point() and w.ndim == v.ndim + 1 and w.shape[:-1] == v.shape:
                    if int(v.max()) < w.shape[-1]:
                        one = torch.nn.functional.one_hot(v, w.shape[-1]).double()
                        found.append(
                            PoolPart(f"torch.nn.functional.one_hot({n}, {m}.shape[-1])", one, 0.8, "the ones at the targets")
                        )
                        break
    return found


def of_maxima(first: list[PoolPart]) -> list[PoolPart]:
    """Ones at the largest of each row: where the gradient of a maximum goes."""
    found = []
    for p in first:
        if p.value.ndim and p.cost == 0 and p.value.is_floating_point() and p.text.isidentifier():
            text = f"torch.nn.functional.one_hot({p.text}.argmax(-1), {p.text}.shape[-1])"
            one = torch.nn.functional.one_hot(p.value.argmax(-1), p.value.shape[-1]).double()
            found.append(PoolPart(text, one, 0.8, "the ones at each row's largest"))
    return found


def compared(first: list[PoolPart]) -> list[PoolPart]:
    """Masks that compare two of the parts."""
    found = []
    for p in first:
        for q in first:
            if p is q or not p.value.ndim or p.cost + q.cost > 0.6 or q.value.ndim not in (0, p.value.ndim):
                continue
            if q.value.ndim and (q.value.shape != p.value.shape or p.text > q.text):
                continue
            for text, mask in (
                (f"{p.inner} > {q.inner}", p.value > q.value),
                (f"{p.inner} < {q.inner}", p.value < q.value),
                (f"{p.inner}.abs() <= {q.inner}", p.value.abs() <= q.value),
                (f"{p.inner}.abs() > {q.inner}", p.value.abs() > q.value),
            ):
                if bool(mask.any()) and not bool(mask.all()) and (q.value.ndim == 0 or "abs" not in text):
                    found.append(PoolPart(text, mask.double(), p.cost + q.cost + 0.8, "the mask", True))
    return found


def products(first: list[PoolPart]) -> list[PoolPart]:
    """Products with the Jacobians that the field has names for: of a softmax, of a norm, of what is centred."""
    found = []
    few = [p for p in first if p.value.ndim][:10]
    for u in few:
        for axis, shown, keep in ((-1, "-1, keepdim=True", True), (0, "0", False)):
            if u.value.ndim < 2 and axis == 0:
                continue
            mean = u.value.mean(axis, keepdim=keep)
            found.append(PoolPart(f"{u.inner} - {u.inner}.mean({shown})", u.value - mean, u.cost + 1.0, "centred", True))
            for v in few:
                if v is u or v.value.shape != u.value.shape:
                    continue
                a, b, cost = u.inner, v.inner, u.cost + v.cost + 1.6
                both = u.value * v.value
                total, middle = both.sum(axis, keepdim=keep), both.mean(axis, keepdim=keep)
                for text, value, words in (
                    (f"{b} * ({a} - ({a} * {b}).sum({shown}))", v.value * (u.value - total), "the Jacobian of a softmax"),
                    (
                        f"{a} - {b} * {a}.sum({shown})",
                        u.value - v.value * u.value.sum(axis, keepdim=keep),
                        "that of log_softmax",
                    ),
                    (f"{a} - {b} * ({a} * {b}).sum({shown})", u.value - v.value * total, "the projection"),
                    (f"{a} - {b} * ({a} * {b}).mean({shown})", u.value - v.value * middle, "the path through the norm"),
                    (
                        f"{a} - {a}.mean({shown}) - {b} * ({a} * {b}).mean({shown})",
                        u.value - mean - v.value * middle,
                        "the paths through mean and variance",
                    ),
                ):
                    found.append(PoolPart(text, value, cost, words, True))
    return [p for p in found if bool(torch.isfinite(p.value).all())]


def shallow(first: list[PoolPart]) -> list[PoolPart]:
    """The parts, and what is most often forgotten of one: ``1 - s``, a mask, another layout."""
    return [*first, *(q for p in first for q in _applied((*ELEMENTWISE[:10], *LAID[:3]), p)), *compared(first)]


def grown(first: list[PoolPart]) -> list[PoolPart]:
    """Expressions of one or two of the parts: functions, sums, other layouts, contractions."""
    found = list(first)
    seen: set[bytes] = {_key(p.value) for p in first}
    ones = [p for p in first if p.value.ndim]

    def keep(part: PoolPart) -> None:
        key = _key(part.value)
        if key not in seen and len(found) < SECOND:
            seen.add(key)
            found.append(part)

    laid: list[PoolPart] = []
    for table in (ELEMENTWISE, LAID):
        for p in first:
            for q in _applied(table, p):
                keep(q)
                laid += [q] if table is LAID else []
    for a, p in enumerate(ones):
        for q in ones[a:]:
            if p.value.shape != q.value.shape:
                continue
            both = PoolPart(f"{p.inner} * {q.inner}", p.value * q.value, p.cost + q.cost + 0.5, "", True)
            for r in _applied(_SUMS, both):
                keep(r)
            if p is not q:
                keep(both)
    for p in ones:
        for q in ones:
            if p is not q and p.value.ndim == q.value.ndim == 2:
                for text, x, y in (
                    (f"{p.inner}.T @ {q.inner}", p.value.mT, q.value),
                    (f"{p.inner} @ {q.inner}", p.value, q.value),
                    (f"{p.inner} @ {q.inner}.T", p.value, q.value.mT),
                ):
                    if x.shape[-1] == y.shape[0]:
                        keep(PoolPart(text, x @ y, p.cost + q.cost + 0.6, "", True))
    for p in (*compared(first), *products(first)):
        keep(p)
    for p in list(found[len(first) :]):  # what was laid out anew, under a function; functions, laid out anew
        if p in laid and p.cost < 0.8:
            for q in _applied(ELEMENTWISE[:8], p):
                keep(q)
    return found


_SUMS: tuple[Unary, ...] = (
    _u("{}.mean(-1, keepdim=True)", lambda u: u.mean(-1, keepdim=True), 0.5, "a mean over the last axis"),
    _u("{}.mean(0)", lambda u: u.mean(0), 0.6, "a mean over the first axis"),
    _u("{}.sum(-1, keepdim=True)", lambda u: u.sum(-1, keepdim=True), 0.5, "a sum over the last axis"),
    _u("{}.sum(0)", lambda u: u.sum(0), 0.5, "a sum over the first axis"),
    _u("{}.sum(-2, keepdim=True)", lambda u: u.sum(-2, keepdim=True), 0.7),
    _u("{}.sum(-1)", lambda u: u.sum(-1), 0.7),
    _u("{}.sum()", lambda u: u.sum(), 0.6, "a sum over all"),
    _u("{}.sum((-2, -1), keepdim=True)", lambda u: u.sum((-2, -1), keepdim=True), 1.0),
    _u("{}.sum((0, 2))", lambda u: u.sum((0, 2)), 1.0),
    _u("{}.sum((0, 2), keepdim=True)", lambda u: u.sum((0, 2), keepdim=True), 1.2),
)


def _applied(table: Iterable[Unary], p: PoolPart) -> Iterator[PoolPart]:
    """A part under each function of a table; without those that fail on its shape or are not finite."""
    for template, f, cost, words in table:
        try:
            value = f(p.value)
        except (RuntimeError, IndexError, ValueError):
            continue
        alike = words.startswith("the mask") and bool((value == value.flatten()[:1]).all())  # it is none on these data
        if value.numel() and bool(torch.isfinite(value).all()) and not alike:
            template = template.replace(".mT", ".T") if p.value.ndim == 2 else template
            text = template.replace("{0}", p.inner).replace("{}", p.inner)
            called = text.endswith(")") and template.startswith("{}.") or template.endswith(("]", ".T", ".mT"))
            yield PoolPart(text, value, p.cost + cost, words and f"{words} of {p.text}", not called)


def _key(t: torch.Tensor) -> bytes:
    return repr(tuple(t.shape)).encode() + np.ascontiguousarray(np.round(t.numpy(), 9)).tobytes()
