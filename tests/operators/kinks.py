"""Calls at kinks, ties and edges, with the gradients that torch and ours have there: tables of ``docs/conventions.md``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class At:
    """A call at a point: its gradients with an upstream gradient of 1, and those of torch where they differ.

    ``call`` is the text of ``f``, ``data`` its inputs as lists, ``gradients`` one list per input.
    """

    call: str
    f: Callable[..., Any]
    data: dict[str, list[float]]
    gradients: dict[str, list[float]]
    torch: dict[str, list[float]] | None = None
    why: str = ""


NAN, INF = math.nan, math.inf


def _both(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: f(x, y)


def _one(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: f(x)


def _alone(call: str, f: Callable[..., Any], x: list[float], gradient: list[float], *rest: Any, why: str = "") -> At:
    return At(call, _one(f), {"x": x}, {"x": gradient}, {"x": rest[0]} if rest else None, why)


def _pair(
    call: str,
    f: Callable[..., Any],
    x: list[float],
    y: list[float],
    gx: list[float],
    gy: list[float],
    *rest: Any,
    why: str = "",
) -> At:
    apart = {"x": rest[0], "y": rest[1]} if rest else None
    return At(call, _both(f), {"x": x, "y": y}, {"x": gx, "y": gy}, apart, why)


def _matrix(x: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = x.unflatten(0, (2, 2))  # type: ignore[no-untyped-call]
    return made


#: At kinks and ties, where torch and ours are the same.
KINKS = (
    _alone("relu(x)", F.relu, [0.0], [0.0]),
    _alone("leaky_relu(x, 0.1)", lambda x: F.leaky_relu(x, 0.1), [0.0], [0.1]),
    _alone("elu(x, 1.5)", lambda x: F.elu(x, 1.5), [0.0], [1.5]),
    _alone("celu(x, 1.5)", lambda x: F.celu(x, 1.5), [0.0], [1.0]),
    _alone("relu6(x)", F.relu6, [0.0, 6.0], [0.0, 0.0]),
    _alone("hardtanh(x)", F.hardtanh, [-1.0, 1.0], [0.0, 0.0]),
    _alone("hardsigmoid(x)", F.hardsigmoid, [-3.0, 3.0], [0.0, 0.0]),
    _alone("hardswish(x)", F.hardswish, [-3.0, 3.0], [0.0, 1.0]),
    _alone("hardshrink(x, 0.5)", F.hardshrink, [-0.5, 0.5], [0.0, 0.0]),
    _alone("softshrink(x, 0.5)", F.softshrink, [-0.5, 0.5], [0.0, 0.0]),
    _alone("threshold(x, 1, 0)", lambda x: F.threshold(x, 1.0, 0.0), [1.0], [0.0]),
    _alone("abs(x)", torch.abs, [0.0], [0.0]),
    _alone("sqrt(x)", torch.sqrt, [0.0], [INF]),
    _alone("x**0.5, x**0", lambda x: x**0.5 + x**0, [0.0], [INF]),
    _alone("sinc(x)", torch.sinc, [0.0], [0.0]),
    _alone("special.entr(x)", torch.special.entr, [0.0], [INF]),
    _alone("special.i1(x)", torch.special.i1, [0.0], [0.5]),
    _alone("special.i1e(x)", torch.special.i1e, [0.0], [0.5]),
    _alone("clamp(x, -1, 1): at a bound x has it", lambda x: x.clamp(-1.0, 1.0), [-1.0, 1.0], [1.0, 1.0]),
    _alone("clamp(x, 1, 1)", lambda x: x.clamp(1.0, 1.0), [0.0, 1.0, 2.0], [0.0, 1.0, 0.0]),
    _alone("clamp(x, 2, 1): bounds crossed", lambda x: x.clamp(2.0, 1.0), [0.0, 1.5, 3.0], [0.0, 0.0, 0.0]),
    _alone("x.max(), x.amax(0): ties share", lambda x: x.max() + x.amax(0), [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]),
    _alone("x.cummax(0): the later of two", lambda x: x.cummax(0).values, [1.0, 1.0], [1.0, 1.0]),
    _alone("x.median(): ties share", lambda x: x.median(), [1.0, 1.0, 2.0], [0.5, 0.5, 0.0]),
    _alone("x.norm(), of 0", lambda x: x.norm(), [0.0, 0.0], [0.0, 0.0]),
    _alone("vector_norm(x, 3), of 0", lambda x: torch.linalg.vector_norm(x, 3), [0.0, 0.0], [0.0, 0.0]),
    _alone("vector_norm(x, inf): ties share", lambda x: torch.linalg.vector_norm(x, INF), [1.0, -1.0], [0.5, -0.5]),
    _alone(
        "pdist(x, inf): each tie has it all",
        lambda x: F.pdist(x.unflatten(0, (2, 2)), INF),
        [0.0, 0.0, 1.0, 1.0],
        [-1.0, -1.0, 1.0, 1.0],
    ),
    _alone(
        "cdist(x, x), of equal rows",
        lambda x: torch.cdist(x.unflatten(0, (1, 2)), x.unflatten(0, (1, 2))).sum(),
        [1.0, 2.0],
        [0.0, 0.0],
    ),
    _alone("std(x), of equal numbers", lambda x: x.std(), [3.0, 3.0], [0.0, 0.0]),
    _alone("var(x), N = 1", lambda x: x.var(), [3.0], [NAN]),
    _alone("prod(x)", lambda x: x.prod(), [0.0, 3.0, 2.0], [6.0, 0.0, 0.0]),
    _alone("logsumexp(x), of a -inf", lambda x: x.logsumexp(0), [-INF, 1.0], [0.0, 1.0]),
    _alone("softmax(x), of a -inf", lambda x: x.softmax(0)[1] * 1, [-INF, 1.0], [0.0, 0.0]),
    _alone("nan_to_num(x)", torch.nan_to_num, [NAN, INF, 1.0], [0.0, 0.0, 1.0]),
    _alone("nansum(x)", torch.nansum, [NAN, 1.0], [0.0, 1.0]),
    _pair("maximum(x, y)", torch.maximum, [1.0], [1.0], [0.5], [0.5]),
    _pair("minimum(x, y)", torch.minimum, [1.0], [1.0], [0.5], [0.5]),
    _pair("fmax(x, y): x has it; NaN loses", torch.fmax, [1.0, 2.0, NAN], [1.0, NAN, 2.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]),
    _pair("fmin(x, y)", torch.fmin, [1.0, 2.0, NAN], [1.0, NAN, 2.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]),
    _pair("hypot(x, y): none at the origin", torch.hypot, [0.0, 3.0], [0.0, 4.0], [NAN, 0.6], [NAN, 0.8]),
    _pair("atan2(x, y)", torch.atan2, [0.0], [0.0], [0.0], [0.0]),
    _pair("logaddexp(x, y)", torch.logaddexp, [1.0, -INF], [1.0, 1.0], [0.5, 0.0], [0.5, 1.0]),
    _pair("xlogy(x, y)", torch.xlogy, [0.0, 0.0], [2.0, 0.5], [math.log(2), -math.log(2)], [0.0, 0.0]),
    _pair("x**y: 0**0, 0**1, 0**2", torch.pow, [0.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]),
    _pair("remainder(x, y), of a multiple", torch.remainder, [6.0], [3.0], [1.0], [-2.0]),
    _pair("copysign(x, y)", torch.copysign, [0.0, 2.0], [1.0, -3.0], [0.0, -1.0], [0.0, 0.0]),
    _pair("l1_loss(x, y)", F.l1_loss, [1.0], [1.0], [0.0], [0.0]),
    _pair("huber_loss(x, y)", F.huber_loss, [1.0], [0.0], [1.0], [-1.0]),
    _pair(
        "hinge_embedding_loss(x, y), at the margin",
        lambda x, y: F.hinge_embedding_loss(x, y.sign()),
        [1.0],
        [-2.0],
        [-1.0],
        [0.0],
    ),
    At(
        "clamp(x, a, b), a = b",
        lambda x, a, b: torch.clamp(x, a, b),
        {"x": [0.0, 2.0, 1.0], "a": [1.0] * 3, "b": [1.0] * 3},
        {"x": [0.0, 0.0, 1.0], "a": [0.0, 0.0, 0.0], "b": [0.0, 1.0, 0.0]},
    ),
)


_MULTILABEL = torch.tensor([[3, 0, -1, 1]])

#: Where torch's gradient is another number, or none: ours is the function's.
POINTS = (
    _alone(
        "where(x > 0, log(x), 0), x = 0",
        lambda x: torch.where(x > 0, x.log(), torch.zeros_like(x)),
        [0.0, 1.0],
        [0.0, 1.0],
        [NAN, 1.0],
        why="torch multiplies the 0 of the branch not taken by 1/0",
    ),
    _alone(
        "where(x > 0, x^(1/2), 0), x = -1",
        lambda x: torch.where(x > 0, x.sqrt(), torch.zeros_like(x)),
        [-1.0, 4.0],
        [0.0, 0.25],
        [NAN, 0.25],
        why="torch multiplies the 0 of the branch not taken by a NaN",
    ),
    _alone(
        "cosine_similarity(x, 1, eps=0.5), |x| < eps",
        lambda x: F.cosine_similarity(x, torch.ones_like(x), 0, 0.5),
        [0.1, 0.0],
        [2**0.5, 2**0.5],
        [0.8 * 2**0.5, 2**0.5],
        why="there the cosine is x*y/(eps*|y|); torch keeps the slope of 1/|x|",
    ),
    _alone(
        "multilabel_margin_loss, targets 3, 0, then -1",
        lambda x: F.multilabel_margin_loss(x.unsqueeze(0), _MULTILABEL),
        [0.1, 0.2, 0.4, 0.8],
        [-0.5, 0.5, 0.5, -0.5],
        why="eager torch is right; its decomposition, which torch.compile takes, goes on after the -1",
    ),
    _pair(
        "logaddexp(x, y), both -inf",
        torch.logaddexp,
        [-INF],
        [-INF],
        [0.5],
        [0.5],
        [NAN],
        [NAN],
        why="the value is -inf; a tie shares",
    ),
    _pair(
        "kl_div(x, y), y = 0",
        lambda x, y: F.kl_div(x, y, reduction="sum"),
        [-1.0],
        [0.0],
        [0.0],
        [-INF],
        [0.0],
        [NAN],
        why="the slope of y*log(y) at 0 is -inf",
    ),
    _pair(
        "binary_cross_entropy(x, y), saturated",
        lambda x, y: F.binary_cross_entropy(x, y, reduction="sum"),
        [1.0, 0.0, 0.0, 1.0],
        [1.0, 0.0, 1.0, 0.0],
        [-1.0, 1.0, 0.0, 0.0],
        [-100.0, 100.0, 100.0, -100.0],
        [0.0, 0.0, -1e12, 1e12],
        [-INF, INF, INF, -INF],
        why="the slopes of the value, whose logarithms torch bounds at -100; torch divides by max(x(1 - x), 1e-12)",
    ),
)

#: What a printed condition leaves out: the call, an example's length, and the words in ``str(d)``.
CONDITIONS = (
    ("x.var(correction=2)", lambda x: x.var(correction=2), 4, "N >= 2", "torch divides by 0 where nothing is left"),
    (
        "linalg.det(x)",
        lambda x: torch.linalg.det(_matrix(x)),
        4,
        "the matrix is not singular",
        "the value always holds; the gradient raises there, torch's is 0",
    ),
    ("linalg.inv(x)", lambda x: torch.linalg.inv(_matrix(x)), 4, "the matrix is not singular", "torch raises there"),
    ("linalg.slogdet(x)", lambda x: torch.linalg.slogdet(_matrix(x))[1], 4, "the matrix is not singular", "the value is -inf"),
    ("x.max(0).values", lambda x: x.max(0).values, 4, "", "the first of equal ones, as torch on the CPU"),
    ("x.kthvalue(2).values", lambda x: x.kthvalue(2).values, 5, "no ties", "which of equal ones torch takes is its own affair"),
    ("max_pool1d(x, 2)", lambda x: F.max_pool1d(x.unsqueeze(0), 2), 4, "both its maximum", "torch takes the first"),
)
