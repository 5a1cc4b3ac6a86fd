"""The user's domain: which sizes are equal or fixed (``dims=``), what a layer is made for (``where=``); probes stay within."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.text.dims import parse_input
from derivcheck.notation.text.syntax import Application, Chain, Item, Name, Negative, Num, Piece, Power
from derivcheck.notation.text.where import Condition, known_names, of_sizes, parse_where
from derivcheck.notation.values.measure import measure
from derivcheck.tracing.program.inputs import Named

_RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">": torch.gt, "<": torch.lt, ">=": torch.ge, "<=": torch.le, "==": torch.eq, "!=": torch.ne
}  # fmt: skip
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": torch.floor_divide,
    "%": torch.remainder,
}  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "det": torch.linalg.det, "trace": lambda a: a.diagonal(dim1=-2, dim2=-1).sum(-1), "norm": torch.linalg.vector_norm,
    "max": lambda *a: a[0].max() if len(a) == 1 else torch.maximum(*a),
    "min": lambda *a: a[0].min() if len(a) == 1 else torch.minimum(*a),
    "sum": torch.sum, "mean": torch.mean, "abs": torch.abs, "sqrt": torch.sqrt, "exp": torch.exp, "log": torch.log,
}  # fmt: skip


@dataclass(frozen=True)
class UserDomain:
    """What a forward is asked for.

    Attributes:
        data: the conditions on values.
        sizes: what the user's names of sizes are in the Program.
        passed: the inputs that are no tensors.
        said: dims= and where=, as the report repeats them.
        conditions: where=, each as the Program has it among its own.
    """

    data: tuple[Condition, ...] = ()
    sizes: Mapping[str, Poly] | None = None
    passed: Mapping[str, Any] | None = None
    said: str = ""
    conditions: tuple[str, ...] = ()

    def broken(self, tensors: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Condition | None:
        """The first condition on the values that does not hold."""
        if not self.data:
            return None
        here = {n: p.at(sizes) for n, p in (self.sizes or {}).items()}
        scope = {**(self.passed or {}), **here, **tensors}
        return next((c for c in self.data if not _holds(c, scope)), None)

    @property
    def restricted(self) -> frozenset[str]:
        """The names of the inputs whose values it restricts."""
        return frozenset().union(*(c.names for c in self.data))

    def called(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Sizes by the user's names."""
        own = {p.atom.name: n for n, p in (self.sizes or {}).items() if isinstance(p.atom, Size)}
        return {own.get(n, n): v for n, v in sizes.items()}


def named_dims(dims: Mapping[str, str] | None, tensors: Mapping[str, torch.Tensor]) -> Named | None:
    """The dimensions that the user names, of the inputs that there are; None where there are none.

    Raises:
        InputError: dims of what is no input, that do not fit its shape, or that disagree.
    """
    if dims is None:
        return None
    if not isinstance(dims, Mapping):
        raise InputError(f"dims is a {type(dims).__name__}; expected a dict of text by input, as {{'x': 'N in'}}")
    read = {n: parse_input(n, text) for n, text in dims.items()}
    known = {n: a for n, a in read.items() if n in tensors}
    sizes = measure(Program(tuple(known.values()), (), ()), {n: tuple(tensors[n].shape) for n in known})
    return Named({n: a.dims for n, a in known.items()}, sizes)


def domain_of(
    program: Program,
    dims: Mapping[str, str] | None,
    where: str | None,
    passed: Mapping[str, Any],
) -> tuple[Program, UserDomain]:
    """The Program with what is required of its sizes, and the domain.

    Raises:
        InputError: dims of what is no input, or of another number of dimensions; a name in ``where`` that nothing has; text
            that is no condition.
    """
    names: dict[str, Poly] = {n: size(n) for n in program.sizes()}
    mine = {n: parse_input(n, text) for n, text in (dims or {}).items()}
    required = _ties(program, mine, names)
    conditions = () if where is None else parse_where(where)
    numbers = {n: v for n, v in passed.items() if isinstance(v, (int, float))}
    data: list[Condition] = []
    words = [str(r) for r in required]
    for c in conditions:
        known_names(c, names, [*program.inputs, *numbers])
        needs = of_sizes(c, names)
        if needs is None:
            data.append(c)
        elif (needs.left - needs.right).constant is None or not needs.holds({}):
            required.append(needs)
    program = replace(
        program,
        requires=tuple(dict.fromkeys((*program.requires, *required))),
        conditions=tuple(dict.fromkeys((*program.conditions, *words, *map(str, conditions)))),
    )
    said = [", ".join(f"{n}[{', '.join(map(str, a.dims))}]" for n, a in mine.items())] if mine else []
    said += [", ".join(map(str, conditions))] if conditions else []
    return program, UserDomain(tuple(data), names, numbers, "; ".join(said), tuple(map(str, conditions)))


def held_by_numbers(program: Program, sizes: Mapping[str, int], passed: Mapping[str, Any]) -> dict[str, Requirement]:
    """The sizes that an integer given beside the tensors equals, as what holds them, in words too.

    Code that is not read (``reference=`` says what it means) may take such a number for the size, as ``num_channels=4`` beside
    four channels: a kernel would reach beyond its tensors at another.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n,c] := x[n,c]")
    >>> list(held_by_numbers(p, {"N": 3, "C": 4}, {"num_channels": 4, "eps": 1e-5}))
    ['C = 4, as num_channels']
    """
    counts = {n: v for n, v in passed.items() if isinstance(v, int) and not isinstance(v, bool) and v > 1}
    return {
        f"{n} = {v}, as {names[0]}": Requirement(size(n), "==", as_poly(v))
        for n, v in sizes.items()
        if n in program.sizes() and (names := [k for k, c in counts.items() if c == v])
    }


def _ties(program: Program, mine: Mapping[str, Input], names: dict[str, Poly]) -> list[Requirement]:
    """What named dimensions require of the Program's sizes; each user's name is put into ``names``."""
    required: list[Requirement] = []
    own: dict[str, Poly] = {}
    later: list[tuple[Poly, Poly]] = []
    for n, a in mine.items():
        if n not in program.inputs:
            raise InputError(f"dims names {n!r}, which is not an input; those are {', '.join(program.inputs)}")
        there = program.dims(n)
        if len(there) != len(a.dims):
            raise InputError(f"dims of {n!r}: {len(a.dims)} sizes, and it has {len(there)} dimensions")
        for u, p in zip(a.dims, there):
            if isinstance(u.atom, Size) and u.atom.name not in own:
                own[u.atom.name] = p
            else:
                later.append((u, p))
    for u, p in later:
        if not u.sizes() <= own.keys() | names.keys():
            open_ = ", ".join(sorted(u.sizes() - own.keys()))
            raise InputError(f"dims says {u}, which does not tell {open_}; give a dimension that is {open_} alone")
        required.append(Requirement(p, "==", u.substitute({Size(m): q for m, q in {**names, **own}.items()})))
    names.update(own)
    return [r for r in required if (r.left - r.right).constant != 0]


def _holds(c: Condition, scope: Mapping[str, Any]) -> bool:
    """Whether a condition holds in every element.

    Raises:
        InputError: it cannot be evaluated on these shapes.
    """
    try:
        return bool(_RELATIONS[c.relation](_value(c.left, scope), _value(c.right, scope)).all())
    except (RuntimeError, TypeError, IndexError) as e:
        raise InputError(f"where says {c.text!r}, which cannot be evaluated: {str(e).strip().splitlines()[0]}") from None


def _value(node: Piece, scope: Mapping[str, Any]) -> torch.Tensor:
    """A node on numbers, in float64."""
    if isinstance(node, Num):
        return torch.tensor(float(node.value), dtype=torch.float64)
    if isinstance(node, Name):
        v = scope[node.name]
        return v.detach().double().cpu() if isinstance(v, torch.Tensor) else torch.tensor(float(v), dtype=torch.float64)
    if isinstance(node, Item):
        return _value(node.value, scope)
    if isinstance(node, Negative):
        return -_value(node.operand, scope)
    if isinstance(node, Power):
        return torch.pow(_value(node.base, scope), _value(node.exponent, scope))
    if isinstance(node, Application):
        return torch.as_tensor(_FUNCTIONS[node.name](*(_value(x, scope) for x in node.items)))
    assert isinstance(node, Chain)
    total = _value(node.operands[0], scope)
    for sign, x in zip(node.operators, node.operands[1:]):
        total = _OPERATORS[sign](total, _value(x, scope))
    return total
