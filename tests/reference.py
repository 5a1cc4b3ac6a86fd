"""The slowest meaning of a Program: Python floats, one element at a time; nothing shared with the package's evaluator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Index, Poly, Size
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term

Element = tuple[int, ...]
FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "log": math.log,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "erf": math.erf,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tan": math.tan,
    "atan": math.atan,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "logsigmoid": lambda x: -math.log(1 + math.exp(-x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "pi": lambda: math.pi,
}


class Reference:
    """Elements of a Program by name, computed on demand and remembered."""

    def __init__(self, program: Program, tensors: Mapping[str, Mapping[Element, Any]], sizes: Mapping[str, int]) -> None:
        self.program, self.sizes = program, sizes
        self.tensors: dict[str, dict[Element, Any]] = {k: dict(v) for k, v in tensors.items()}

    def element(self, name: str, at: Element) -> Any:
        """``name[at]``."""
        table = self.tensors.setdefault(name, {})
        if at not in table:
            d = self.program.definition(name)
            for i, p in zip(d.indices, at, strict=True):
                assert 0 <= p < self.poly(i.size, {}), f"{name}{at} is out of range"
            table[at] = self.value(d.term, dict(zip(d.indices, at)))
        return table[at]

    def all(self, name: str) -> dict[Element, Any]:
        """Every element of an input or a definition."""
        shape = [self.poly(p, {}) for p in self.program.dims(name)]
        return {at: self.element(name, at) for at in itertools.product(*map(range, shape))}

    def poly(self, p: Poly, env: Mapping[Index, int]) -> int:
        """An integer expression."""

        def look(a: Any) -> int:
            if isinstance(a, Size):
                return self.sizes[a.name]
            if isinstance(a, Index):
                return env[a]
            assert isinstance(a, Entry)
            return int(self.element(a.name, tuple(self.poly(q, env) for q in a.at)))

        return int(p.evaluate(look))

    def value(self, t: Term, env: Mapping[Index, int]) -> Any:
        """A term under values of its free indices."""
        if isinstance(t, Number):
            return float(t.value)
        if isinstance(t, SizeOf):
            return self.poly(t.value, env)
        if isinstance(t, Ref):
            return self.element(t.name, tuple(self.poly(p, env) for p in t.at))
        if isinstance(t, Bracket):
            v = self.poly(t.operand, env) if isinstance(t.operand, Poly) else self.value(t.operand, env)
            return float({"==": v == 0, "!=": v != 0, ">=": v >= 0, ">": v > 0}[t.relation])
        if isinstance(t, Add):
            return sum(self.value(a, env) for a in t.args)
        if isinstance(t, Mul):
            if any(isinstance(a, Bracket) and not self.value(a, env) for a in t.args):
                return 0.0
            return math.prod(self.value(a, env) for a in t.args)
        if isinstance(t, Pow):
            return self.value(t.base, env) ** self.value(t.exponent, env)
        if isinstance(t, Func):
            return FUNCTIONS[t.name](*(self.value(a, env) for a in t.args))
        assert isinstance(t, Over)
        ranges = [range(self.poly(i.size, env)) for i in t.indices]
        places = list(itertools.product(*ranges))
        values = [self.value(t.body, {**env, **dict(zip(t.indices, at))}) for at in places]
        if t.kind == "sum":
            return sum(values)
        if t.kind == "prod":
            return math.prod(values)
        if t.kind in ("max", "min"):
            return max(values) if t.kind == "max" else min(values)
        best = max(values) if t.kind == "argmax" else min(values)
        return places[values.index(best)][0]


def central(
    program: Program,
    tensors: dict[str, dict[Element, float]],
    sizes: Mapping[str, int],
    upstream: dict[Element, float],
    name: str,
    at: Element,
    h: float = 1e-5,
) -> float:
    """The central difference of ``Σ upstream·output`` in one element; definitions that stop gradients keep their values."""
    base = Reference(program, tensors, sizes)
    frozen = {d.name: base.all(d.name) for d in program.definitions if d.stop}

    def loss(shift: float) -> float:
        moved = {k: dict(v) for k, v in tensors.items()}
        moved[name][at] += shift
        out = Reference(program, {**moved, **frozen}, sizes).all(program.outputs[0])
        return sum((upstream[p] * v for p, v in out.items()), 0.0)

    return (loss(h) - loss(-h)) / (2 * h)
