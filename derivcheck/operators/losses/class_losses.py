"""Losses over classes: negative log likelihood, cross-entropy with class or soft targets, margins."""

from __future__ import annotations

from typing import Any

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import MINUS_ONE, ONE, ZERO, add, div, mul, neg, power, size_of, sub
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, ints, row, sample
from derivcheck.operators.language.values import Value
from derivcheck.operators.losses.pointwise_losses import MEAN, NONE, SUM, reduced, relu
from derivcheck.operators.sums.softmaxes import log_softmax_terms


def _places(x: Value) -> tuple[int, int]:
    """The class axis of a score tensor, and its rank."""
    return (0 if x.rank == 1 else 1), x.rank


def _picked(b: Builder, logp: Value, target: Value, weight: Value | None, ignore: Any, reduction: int) -> Value:
    """Negative log likelihood of integer targets: minus the score at the target, ignored rows out of sum and count."""
    axis, rank = _places(logp)
    at = b.indices(target.dims)
    t = target.entry(*at)
    b.assume(f"targets lie in 0 … {logp.dims[axis]} − 1 or are {ignore} (ignored)")
    keep = bracket("!=", t - as_poly(ignore))
    score = logp[(*at[:axis], t, *at[axis:])]
    w = ONE if weight is None else weight[t]
    term = mul(MINUS_ONE, keep, w, score)
    count = summation(at, mul(keep, w))
    return reduced(b, at, term, reduction, count)


@row(
    "aten.nll_loss.default",
    "aten.nll_loss2d.default",
    "aten.nll_loss_nd.default",
    gives="loss",
    samples=[
        *(
            sample(floats(7, 3), ints(7, below=3), None, r, i, only="aten.nll_loss_nd.default")
            for r in (NONE, MEAN, SUM)
            for i in (-100, 1)
        ),
        sample(floats(7, 3), ints(7, below=3), floats(3, values="fixed"), only="aten.nll_loss.default"),
        sample(floats(3), ints(below=3), only="aten.nll_loss.default"),
        sample(floats(2, 3, 5, 4), ints(2, 5, 4, below=3), only="aten.nll_loss2d.default"),
        sample(floats(2, 3, 5), ints(2, 5, below=3), floats(3, values="fixed"), NONE, only="aten.nll_loss_nd.default"),
    ],
)
def nll_loss(
    b: Builder, input: Value, target: Value, weight: Value | None = None, reduction: int = MEAN, ignore_index: Any = -100
) -> Value:
    """loss = -sum(n: [t[n] != ignore]*w[t[n]]*x[n, t[n]])/sum(n: [t[n] != ignore]*w[t[n]])"""
    return _picked(b, input, target, weight, ignore_index, reduction)


@row(
    "aten.nll_loss_forward.default",
    "aten.nll_loss2d_forward.default",
    gives="loss",
    samples=[
        sample(floats(7, 3), ints(7, below=3), None, MEAN, 1, only="aten.nll_loss_forward.default"),
        sample(floats(2, 3, 5, 4), ints(2, 5, 4, below=3), None, MEAN, 1, only="aten.nll_loss2d_forward.default"),
    ],
)
def nll_loss_forward(
    b: Builder, input: Value, target: Value, weight: Value | None, reduction: int, ignore_index: Any
) -> tuple[Value, Value]:
    """loss = nll_loss(x, t), with the total weight as a further result"""
    loss = _picked(b, input, target, weight, ignore_index, reduction)
    at = b.indices(target.dims)
    t = target.entry(*at)
    keep = mul(bracket("!=", t - as_poly(ignore_index)), ONE if weight is None else weight[t])
    return loss, b.give((), summation(at, keep) if reduction != NONE else ZERO, 1, stop=True)


@row(
    "aten.cross_entropy_loss.default",
    gives="loss",
    samples=[
        *(sample(floats(7, 3), ints(7, below=3), None, r, i) for r in (NONE, MEAN, SUM) for i in (-100, 1)),
        *(sample(floats(7, 3), ints(7, below=3), floats(3, values="fixed"), r, 1, 0.2) for r in (NONE, MEAN, SUM)),
        sample(floats(7, 3), ints(7, below=3), None, MEAN, -100, 0.1),
        sample(floats(3), ints(below=3)),
        sample(floats(2, 3, 5, 4), ints(2, 5, 4, below=3), floats(3, values="fixed"), MEAN, 2, 0.3),
        *(sample(floats(7, 3), floats(7, 3, values="simplex"), None, r) for r in (NONE, MEAN, SUM)),
        sample(floats(7, 3), floats(7, 3, values="open"), floats(3, values="fixed"), MEAN, -100, 0.2),
        sample(floats(2, 3, 5), floats(2, 3, 5, values="open")),
        sample(floats(3), floats(3, values="open")),
    ],
)
def cross_entropy_loss(
    b: Builder,
    input: Value,
    target: Value,
    weight: Value | None = None,
    reduction: int = MEAN,
    ignore_index: Any = -100,
    label_smoothing: Any = 0.0,
) -> Value:
    """loss = -sum(n: [t[n] != ignore]*w[t[n]]*logp[n, t[n]])/sum(n: [t[n] != ignore]*w[t[n]])"""
    axis, rank = _places(input)
    logp = log_softmax_terms(b, input, axis)
    if target.kind == "float":
        return _soft(b, logp, target, weight, reduction, label_smoothing)
    if label_smoothing == 0:
        return _picked(b, logp, target, weight, ignore_index, reduction)
    at = b.indices(target.dims)
    t = target.entry(*at)
    classes = input.dims[axis]
    b.assume(f"targets lie in 0 … {classes} − 1 or are {ignore_index} (ignored)")
    keep = bracket("!=", t - as_poly(ignore_index))
    w = ONE if weight is None else weight[t]
    c = b.index(classes, "c")
    every = mul(ONE if weight is None else weight[c], logp[(*at[:axis], c, *at[axis:])])
    smooth = b.number(label_smoothing)
    sharp = mul(w, logp[(*at[:axis], t, *at[axis:])])
    mixed = add(mul(sub(ONE, smooth), sharp), mul(div(smooth, size_of(classes)), summation([c], every)))
    return reduced(b, at, mul(MINUS_ONE, keep, mixed), reduction, summation(at, mul(keep, w)))


def _soft(b: Builder, logp: Value, target: Value, weight: Value | None, reduction: int, smoothing: Any) -> Value:
    """Targets that are probabilities: −Σ_c p_c log softmax_c, smoothed towards the uniform distribution."""
    axis, _ = _places(logp)
    dims = (*target.dims[:axis], *target.dims[axis + 1 :])
    at = b.indices(dims)
    c = b.index(target.dims[axis], "c")
    place = (*at[:axis], c, *at[axis:])
    p = target[place]
    if smoothing != 0:
        s = b.number(smoothing)
        p = add(mul(sub(ONE, s), p), div(s, size_of(c.size)))
    term = neg(summation([c], mul(p, ONE if weight is None else weight[c], logp[place])))
    return reduced(b, at, term, reduction, size_of(numel(dims)))


@row(
    "aten.multi_margin_loss.default",
    gives="loss",
    samples=[
        *(sample(floats(5, 3), ints(5, below=3), 1, 1.0, None, r) for r in (NONE, MEAN, SUM)),
        sample(floats(5, 3), ints(5, below=3), 2, 0.5, floats(3, values="fixed")),
        sample(floats(3), ints(below=3)),
        sample(floats(3), ints(1, below=3), 2),
        sample(floats(), ints(below=1)),
    ],
)
def multi_margin_loss(
    b: Builder, input: Value, target: Value, p: Any = 1, margin: Any = 1, weight: Value | None = None, reduction: int = MEAN
) -> Value:
    """loss = mean of w[t]*sum(c: [c != t]*max(0, margin - x[t] + x[c])^p)/C"""
    if input.rank == 0:  # one class, and no other to keep a distance from
        return b.give((), ZERO)
    n = b.indices(input.dims[:-1])  # none for a single row of scores
    c = b.index(input.dims[-1], "c")
    t = target.entry(*(n if target.rank == len(n) else (0,) * target.rank))
    over = add(b.number(margin), neg(input[(*n, t)]), input[(*n, c)])
    cost = mul(bracket("!=", i_poly(c) - t), relu(over) if p == 1 else mul(bracket(">", over), power(over, 2)))
    w = ONE if weight is None else weight[t]
    return reduced(b, n, mul(w, summation([c], cost), power(size_of(c.size), -1)), reduction)


@row(
    "aten.multilabel_margin_loss.default",
    "aten.multilabel_margin_loss_forward.default",
    gives="loss",
    samples=[
        *(sample(floats(5, 3), ints(5, 3, below=3), r, only="aten.multilabel_margin_loss.default") for r in (NONE, MEAN, SUM)),
        sample(floats(3), ints(3, below=3), only="aten.multilabel_margin_loss.default"),
        sample(floats(), ints(below=1), only="aten.multilabel_margin_loss.default"),
        sample(floats(), ints(below=1), MEAN, only="aten.multilabel_margin_loss_forward.default"),
        sample(floats(5, 3), ints(5, 3, below=3), MEAN, only="aten.multilabel_margin_loss_forward.default"),
    ],
)
def multilabel_margin_loss(b: Builder, input: Value, target: Value, reduction: int = MEAN) -> Any:
    """loss = mean of sum(j, c: [t[j] listed before a -1][c not among them]*max(0, 1 - x[t[j]] + x[c]))/C

    torch's own decomposition, which its compiler uses too, takes the classes after a −1 for targets as well.
    """
    if input.rank == 0:  # one class, and no other to keep a distance from
        loss = b.give((), ZERO)
        return loss if b.rule == "multilabel_margin_loss" else (loss, b.give((), bracket(">=", target.entry()), 1, stop=True))
    n = b.indices(input.dims[:-1])
    j, c, i = b.indices((target.dims[-1], input.dims[-1], target.dims[-1]), ("j", "c", ""))
    b.assume(f"targets lie in 0 … {input.dims[-1]} − 1 up to the first −1")
    ended = summation([i], mul(bracket(">=", i_poly(j) - i_poly(i)), bracket("<", target.entry(*n, i))))
    counts = b.define("counts", (*n, j), bracket("==", ended), stop=True, kind="bool")
    t = target.entry(*n, j)
    hit = mul(counts.mask(*n, j), bracket("==", i_poly(c) - t))
    mine = b.define("mine", (*n, c), bracket(">", summation([j], hit)), stop=True, kind="bool")
    other = opposite(mine.mask(*n, c))
    cost = relu(add(ONE, neg(input[(*n, t)]), input[(*n, c)]))
    total = summation([j, c], mul(counts.mask(*n, j), bracket(">=", t), other, cost))
    loss = reduced(b, n, div(total, size_of(c.size)), reduction)
    if b.rule == "multilabel_margin_loss":
        return loss
    at = b.indices(b.dims(input.dims, 1))
    return loss, b.give(at, mine.mask(*at), 1, stop=True)
