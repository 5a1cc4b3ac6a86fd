"""Recurrent layers: each layer and direction is a recurrence over time, its gates definitions that refer to the step before.

LSTM: Hochreiter & Schmidhuber 1997 with Gers' forget gate; GRU: Cho et al. 2014 in torch's form (the reset gate inside the
candidate's recurrent part).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, func, mul, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, where


class StepVector(NamedTuple):
    """A vector by its elements, and how long it is."""

    at: Callable[[Index], Term]
    size: Poly


def _affine(b: Builder, x: StepVector, w: Value, bias: Value | None, place: Poly) -> Term:
    """``Σ_k x[k]·w[place, k] + bias[place]``."""
    k = b.index(x.size, "")
    total = summation([k], mul(x.at(k), w[place, k]))
    return total if bias is None else add(total, bias[place])


def _gate(b: Builder, x: StepVector, h: StepVector, weights: Sequence[Value | None], g: int, j: Index) -> tuple[Term, Term]:
    """The input part and the recurrent part of gate ``g`` at unit ``j``."""
    w_ih, w_hh, b_ih, b_hh = weights
    assert w_ih is not None and w_hh is not None
    place = g * j.size + i_poly(j)
    return _affine(b, x, w_ih, b_ih, place), _affine(b, h, w_hh, b_hh, place)


def _row_of(v: Value, n: tuple[Index, ...]) -> StepVector:
    return StepVector(lambda k: v[(*n, k)], v.dims[-1])


def _cell_samples(gates: int, states: int, only: str) -> list[Any]:
    h = 4
    one = floats(2, h)
    hx: Any = [one] * states if states > 1 else one
    return [
        sample(floats(2, 3), hx, floats(gates * h, 3), floats(gates * h, h), floats(gates * h), floats(gates * h), only=only),
        sample(floats(2, 3), hx, floats(gates * h, 3), floats(gates * h, h), only=only),
    ]


@row("aten.lstm_cell.default", gives="h", samples=_cell_samples(4, 2, "aten.lstm_cell.default"))
def lstm_cell(
    b: Builder,
    input: Value,
    hx: Sequence[Value],
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> tuple[Value, Value]:
    """c = sigmoid(f)*c0 + sigmoid(i)*tanh(g); h = sigmoid(o)*tanh(c)"""
    h0, c0 = hx
    n = b.indices(input.dims[:-1])
    j = b.index(h0.dims[-1], "j")
    x, h, weights = _row_of(input, n), _row_of(h0, n), (w_ih, w_hh, b_ih, b_hh)
    gates = []
    for g, name in enumerate(("input_gate", "forget_gate", "candidate", "output_gate")):
        left, right = _gate(b, x, h, weights, g, j)
        gates.append(b.define(name, (*n, j), func("tanh" if g == 2 else "sigmoid", add(left, right)))[(*n, j)])
    i, f, candidate, o = gates
    c = b.give((*n, j), add(mul(f, c0[(*n, j)]), mul(i, candidate)), 1)
    return b.give((*n, j), mul(o, func("tanh", c[(*n, j)]))), c


@row("aten.gru_cell.default", gives="h", samples=_cell_samples(3, 1, "aten.gru_cell.default"))
def gru_cell(
    b: Builder, input: Value, hx: Value, w_ih: Value, w_hh: Value, b_ih: Value | None = None, b_hh: Value | None = None
) -> Value:
    """h = (1 - z)*n + z*h0, n = tanh(xn + r*hn)"""
    n = b.indices(input.dims[:-1])
    j = b.index(hx.dims[-1], "j")
    x, h, weights = _row_of(input, n), _row_of(hx, n), (w_ih, w_hh, b_ih, b_hh)
    parts = [_gate(b, x, h, weights, g, j) for g in range(3)]
    r = b.define("reset", (*n, j), func("sigmoid", add(*parts[0])))[(*n, j)]
    z = b.define("update", (*n, j), func("sigmoid", add(*parts[1])))[(*n, j)]
    candidate = b.define("candidate", (*n, j), func("tanh", add(parts[2][0], mul(r, parts[2][1]))))[(*n, j)]
    return b.give((*n, j), add(mul(sub(ONE, z), candidate), mul(z, hx[(*n, j)])))


@row(
    "aten.rnn_tanh_cell.default",
    "aten.rnn_relu_cell.default",
    gives="h",
    samples=[*_cell_samples(1, 1, "aten.rnn_tanh_cell.default"), *_cell_samples(1, 1, "aten.rnn_relu_cell.default")],
)
def rnn_cell(
    b: Builder, input: Value, hx: Value, w_ih: Value, w_hh: Value, b_ih: Value | None = None, b_hh: Value | None = None
) -> Value:
    """h[n, j] = tanh(sum(k: x[n, k]*w[j, k]) + sum(k: h0[n, k]*u[j, k]) + b[j])"""
    n = b.indices(input.dims[:-1])
    j = b.index(hx.dims[-1], "j")
    left, right = _gate(b, _row_of(input, n), _row_of(hx, n), (w_ih, w_hh, b_ih, b_hh), 0, j)
    return b.give((*n, j), _squashed(b.rule, add(left, right)))


def _squashed(rule: str, term: Term) -> Term:
    return mul(term, bracket(">", term)) if "relu" in rule else func("tanh", term)


class InitialStates(NamedTuple):
    """The states before the first step, and which layer and direction of them is meant."""

    states: Sequence[Value]
    slot: Poly


class _Layer:
    """One layer in one direction: definitions over (time, batch, unit) that refer to the step before."""

    def __init__(
        self, b: Builder, kind: str, x: Value, start: InitialStates, weights: Sequence[Value | None], backwards: bool
    ) -> None:
        """One layer in one direction, from its state at the start."""
        self.b, self.kind, self.x, self.weights = b, kind, x, weights[:4]
        time, *batch, _ = x.dims
        w_hh, self.projection = weights[1], weights[4] if len(weights) > 4 else None
        assert w_hh is not None
        self.state = w_hh.dims[1]  # of h; the cell's own is larger under a projection
        self.units = self.state if self.projection is None else self.projection.dims[1]
        saved = b._indices
        b._indices = []
        self.t = b.index(time, "t")
        self.n = b.indices(batch, ["n"] * len(batch))
        self.j = b.index(self.units, "j")
        self.before = i_poly(self.t) + (1 if backwards else -1)
        self.first = bracket("==", (x.dims[0] - 1 - i_poly(self.t)) if backwards else i_poly(self.t))
        self.start = start
        self.last = as_poly(0) if backwards else time - 1
        self.outputs = self._define()
        b._indices = saved

    def previous(self, state: Value, k: int, unit: Index) -> Term:
        """A state at the step before; at the first step the initial one."""
        first = self.start.states[k][(self.start.slot, *self.n, unit)]
        return where(self.first, first, state[(self.before, *self.n, unit)])

    def _define(self) -> list[Value]:
        """The gates and the state, a recurrence over time."""
        b, at = self.b, (self.t, *self.n, self.j)
        dims = tuple(i.size for i in at)
        names = {k: b.unique(k) for k in _STATES[self.kind]}
        values = {k: Value(v, (*dims[:-1], self.state) if k == "h" else dims) for k, v in names.items()}
        x = StepVector(lambda k: self.x[(self.t, *self.n, k)], self.x.dims[-1])
        before = StepVector(lambda k: self.previous(values["h"], 0, k), self.state)

        def gate(g: int) -> tuple[Term, Term]:
            """A gate before its function: from the input and from the state before."""
            return _gate(b, x, before, self.weights, g, self.j)

        def put(name: str, term: Term) -> Term:
            b.put(names[name], at, term, stop=False)
            return values[name][at]

        if self.kind == "lstm":
            i, f = put("i", func("sigmoid", add(*gate(0)))), put("f", func("sigmoid", add(*gate(1))))
            g, o = put("g", func("tanh", add(*gate(2)))), put("o", func("sigmoid", add(*gate(3))))
            c = put("c", add(mul(f, self.previous(values["c"], 1, self.j)), mul(i, g)))
            out = mul(o, func("tanh", c))
            if self.projection is None:
                put("h", out)
            else:
                inner = b.define("unprojected", at, out)
                p = b.index(self.state, "p")
                h = summation([self.j], mul(self.projection[p, self.j], inner[at]))
                b.put(names["h"], (self.t, *self.n, p), h, stop=False)
            return [values["h"], values["c"]]
        if self.kind == "gru":
            r, z = put("r", func("sigmoid", add(*gate(0)))), put("z", func("sigmoid", add(*gate(1))))
            left, right = gate(2)
            m = put("m", func("tanh", add(left, mul(r, right))))
            put("h", add(mul(sub(ONE, z), m), mul(z, self.previous(values["h"], 0, self.j))))
            return [values["h"]]
        put("h", _squashed(self.kind, add(*gate(0))))
        return [values["h"]]


_STATES = {
    "lstm": ("i", "f", "g", "o", "c", "h"),
    "gru": ("r", "z", "m", "h"),
    "rnn_tanh": ("h",),
    "rnn_relu": ("h",),
}


class Stack(NamedTuple):
    """How layers are stacked: the options of torch's schema, in its order."""

    has_biases: bool
    num_layers: int
    dropout: Any
    train: bool
    bidirectional: bool
    batch_first: bool

    @property
    def directions(self) -> int:
        """How many ways each layer goes."""
        return 2 if self.bidirectional else 1

    def weights(self, params: Sequence[Value], slot: int) -> list[Value | None]:
        """Those of one layer and direction: of the input, of the state, both biases, the projection where there is one."""
        per = len(params) // (self.num_layers * self.directions)
        own = list(params[slot * per : slot * per + per])
        biases: list[Value | None] = [*own[2:4]] if self.has_biases else [None, None]
        return [*own[:2], *biases, *(own[-1:] if per % 2 == 1 else [])]


def _sequence(
    b: Builder, kind: str, input: Value, hx: Sequence[Value], params: Sequence[Value], stack: Stack
) -> tuple[Value, ...]:
    """All layers in all directions, and the states at the end."""
    if stack.train and stack.dropout != 0 and stack.num_layers > 1:
        b.refuse("dropout between recurrent layers in training", "Set dropout=0 or call eval().")
    x, batch_first = input, stack.batch_first and input.rank == 3
    if batch_first:
        n, t, k = b.indices((input.dims[0], input.dims[1], input.dims[2]))
        x = b.define("x_t", (t, n, k), input[n, t, k])
    finals: list[list[tuple[Value, Poly]]] = [[] for _ in hx]
    for layer in range(stack.num_layers):
        halves = []
        for direction in range(stack.directions):
            slot = layer * stack.directions + direction
            run = _Layer(b, kind, x, InitialStates(hx, as_poly(slot)), stack.weights(params, slot), direction == 1)
            halves.append(run.outputs[0])
            for states, state in zip(finals, run.outputs):
                states.append((state, run.last))
        x = halves[0] if stack.directions == 1 else _side_by_side(b, *halves)
    out_at = b.indices(b.dims((input.dims[0], input.dims[1], x.dims[-1]) if batch_first else x.dims))
    y = b.give(out_at, x[out_at[1], out_at[0], out_at[2]] if batch_first else x[out_at])
    return y, *(_at_the_end(b, states, k) for k, states in enumerate(finals, 1))


def _side_by_side(b: Builder, onward: Value, back: Value) -> Value:
    """The units of both directions, as the next layer reads them."""
    units = onward.dims[-1]
    saved, b._indices = b._indices, []
    *head, f = b.indices((*onward.dims[:-1], 2 * units))
    low = bracket(">=", units - 1 - i_poly(f))
    both = b.define("both", (*head, f), where(low, onward[(*head, f)], back[(*head, i_poly(f) - units)]))
    b._indices = saved
    return both


def _at_the_end(b: Builder, states: Sequence[tuple[Value, Poly]], k: int) -> Value:
    """Result ``k``: a state of each layer and direction at its last step."""
    slot, *rest = b.indices(b.dims((as_poly(len(states)), *states[0][0].dims[1:]), k))
    parts = [mul(bracket("==", i_poly(slot) - s), state[(last, *rest)]) for s, (state, last) in enumerate(states)]
    return b.give((slot, *rest), add(*parts), k)


def _sequence_samples(kind: str, gates: int, states: int) -> list[Any]:
    """Samples of one and two layers, one and two directions, with and without biases."""
    h, only = 4, f"aten.{kind}.input"

    def weights(layers: int, directions: int, biases: bool) -> list[Any]:
        out: list[Any] = []
        for layer in range(layers):
            width = 3 if layer == 0 else h * directions
            for _ in range(directions):
                out += [floats(gates * h, width), floats(gates * h, h)]
                out += [floats(gates * h), floats(gates * h)] if biases else []
        return out

    def one(layers: int, directions: int, biases: bool, first: bool, shape: tuple[int, ...]) -> Any:
        """A sample with its states and weights."""
        state = floats(layers * directions, 2, h) if len(shape) == 3 else floats(layers * directions, h)
        hx: Any = [state] * states if states > 1 else state
        return sample(
            floats(*shape),
            hx,
            weights(layers, directions, biases),
            biases,
            layers,
            0.0,
            False,
            directions == 2,
            first,
            only=only,
        )

    return [
        one(1, 1, True, False, (5, 2, 3)),
        one(2, 1, False, True, (2, 5, 3)),
        one(1, 2, True, True, (2, 5, 3)),
        *([_projected(only)] if kind == "lstm" else []),
    ]


def _projected(only: str) -> Any:
    """An LSTM whose h is projected to 2 units."""
    weights = [floats(16, 3), floats(16, 2), floats(16), floats(16), floats(2, 4)]
    return sample(floats(5, 2, 3), [floats(1, 2, 2), floats(1, 2, 4)], weights, True, 1, 0.0, False, False, False, only=only)


@row("aten.lstm.input", gives="y", samples=_sequence_samples("lstm", 4, 2))
def lstm(b: Builder, input: Value, hx: Sequence[Value], params: Sequence[Value], *options: Any) -> tuple[Value, ...]:
    """c[t] = f[t]*c[t - 1] + i[t]*g[t]; h[t] = o[t]*tanh(c[t])"""
    return _sequence(b, "lstm", input, hx, params, Stack(*options))


@row("aten.gru.input", gives="y", samples=_sequence_samples("gru", 3, 1))
def gru(b: Builder, input: Value, hx: Value, params: Sequence[Value], *options: Any) -> tuple[Value, ...]:
    """h[t] = (1 - z[t])*m[t] + z[t]*h[t - 1]"""
    return _sequence(b, "gru", input, [hx], params, Stack(*options))


@row(
    "aten.rnn_tanh.input",
    "aten.rnn_relu.input",
    gives="y",
    samples=[*_sequence_samples("rnn_tanh", 1, 1), *_sequence_samples("rnn_relu", 1, 1)],
)
def rnn(b: Builder, input: Value, hx: Value, params: Sequence[Value], *options: Any) -> tuple[Value, ...]:
    """h[t] = tanh(sum(k: x[t, k]*w[j, k]) + sum(k: h[t - 1, k]*u[j, k]) + b[j])"""
    return _sequence(b, b.rule, input, [hx], params, Stack(*options))
