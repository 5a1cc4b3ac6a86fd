"""Sums of products: two factors at a time, through a matrix product where the indices allow it.

Three factors in one einsum can cost thousands of times more than two steps, so the order of the steps is chosen
when the code is generated, with every symbolic size taken to be 16.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from derivcheck.codegen.graph.nodes import BOOL, FLOAT, INT, Node, OverNode
from derivcheck.codegen.graph.numbers import is_number
from derivcheck.codegen.lowering.convolution import convolution
from derivcheck.codegen.lowering.cumulative import cumulative
from derivcheck.codegen.lowering.frame import LAST, Frame
from derivcheck.codegen.lowering.hollow import if_any, with_none
from derivcheck.codegen.lowering.masks import implied, mask, masked
from derivcheck.codegen.lowering.matrices import solved
from derivcheck.codegen.lowering.picking import picked
from derivcheck.codegen.lowering.positions import may_be_empty
from derivcheck.codegen.lowering.scatter import scatter
from derivcheck.codegen.lowering.summed import SummedProduct
from derivcheck.codegen.lowering.windows import windows
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.build import ONE, mul, power, size_of
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Over, Pow, Term


def is_contraction(low: Frame, term: Term, bound: Sequence[Index]) -> bool:
    """Whether a product under a sum is better summed alone: no factor has all the indices, or a bracket scatters."""
    if isinstance(term, Over):
        return term.kind == "sum"
    if not isinstance(term, Mul):
        return False
    factors = [f for f in term.args if not is_number(f, low.graph.fixed)]
    every = frozenset().union(*(f.free for f in factors)) - low.graph.fixed
    if every.isdisjoint(bound):
        return False
    if any(isinstance(f, Bracket) and f.relation == "==" for f in factors):
        return True
    return not any(f.free >= every for f in factors)


def contract(low: Frame, indices: Sequence[Index], args: Sequence[Term]) -> OverNode:
    """``Σ`` over ``indices`` of the product of ``args``."""
    number, brackets, rest = low.parted(args)
    bound = [i for i in indices if i not in low.graph.fixed]
    asked = SummedProduct(tuple(bound), number, tuple(brackets), tuple(rest))
    for special in (convolution, picked, scatter, windows, cumulative) if brackets or len(rest) == 2 else ():
        found = special(low, asked)
        if found is not None:
            return found
    if not brackets and (apart := _apart(low, bound, number, rest)) is not None:
        return apart
    terms = _grouped(rest)
    left = [b for b in brackets if not implied(low, b, rest, all_of=len(terms) == 1)]
    if not terms:
        terms, left, first = [], left[1:], left[0] if left else None
        values = [low.value(first)] if first is not None else []
    else:
        values = [low.value(t) for t in terms]
    values = _masked(low, values, [low.unbounded(t) for t in terms], left)
    for i in bound:
        if not any(i in v.axes for v in values):
            number = mul(number, size_of(i.size))
    bound = [i for i in bound if any(i in v.axes for v in values)]
    return with_none(low, _steps(low, values, bound, number), bound, rest)


def _apart(low: Frame, bound: list[Index], number: Term, rest: Sequence[Term]) -> OverNode | None:
    """``Σ_k s[n, k]·(x[n, m] − y[k, m])`` as two products, where the difference has more indices than any of its parts.

    Both parts are taken from the mean of the second, so that what is common to all cancels before it is multiplied.
    """
    for f in rest:
        if not isinstance(f, Add) or len(f.args) != 2:
            continue
        one, two = sorted(f.args, key=lambda t: not t.free.isdisjoint(bound))  # the mean is over what is summed
        others = [t for t in rest if t is not f]
        wide = (one.free | two.free) - low.graph.fixed
        if len(wide) < 3 or not others or any(t.free >= wide for t in (one, two, *others)):
            continue
        first, second = low.value(one), low.value(two)
        lacking = [i for i in second.axes if i not in first.axes and i in bound]
        if not lacking or FLOAT != first.node.kind or FLOAT != second.node.kind:
            continue
        middle = _middle(low, total(low, second, lacking), numel(i.size for i in lacking))
        first, second = low.binary("add", first, middle), low.binary("sub", second, middle)
        factors = [low.value(t) for t in others]
        parts = []
        for v in (first, second):
            axes = {i for x in (v, *factors) for i in x.axes}
            times = mul(number, *(size_of(i.size) for i in bound if i not in axes))
            parts.append(_steps(low, [*factors, v], [i for i in bound if i in axes], times))
        return low.binary("add", parts[0], parts[1])
    return None


def _middle(low: Frame, sums: OverNode, count: Poly) -> OverNode:
    """The mean of these; of nothing it is 0, so that it may be taken from something."""
    mean = low.scale(sums, power(size_of(count), -1))
    return if_any(low, mean, count) if may_be_empty(count) else mean


def _grouped(factors: Sequence[Term]) -> list[Term]:
    """Factors over the same indices multiplied together; a divisor with a factor that has its indices."""
    groups: list[list[Term]] = []
    divisors = [f for f in factors if isinstance(f, Pow) and isinstance(f.exponent, Number) and f.exponent.value < 0]
    for f in factors:
        if f in divisors:
            continue
        for g in groups:
            if g[0].free == f.free:
                g.append(f)
                break
        else:
            groups.append([f])
    for f in divisors:
        home = next((g for g in groups if g[0].free >= f.free), None)
        if home is None:
            groups.append([f])
        else:
            home.append(f)
    return [mul(*g) for g in groups]


def _masked(low: Frame, values: list[OverNode], unbounded: Sequence[bool], brackets: Sequence[Bracket]) -> list[OverNode]:
    """The factors with the brackets among them.

    A bracket selects in the smallest factor that has its indices, and in any that may be infinite.  One whose
    indices no factor has is a 0-1 matrix of its own: a selection would need a tensor larger than any factor.
    """
    apart: dict[frozenset[Index], OverNode] = {}
    for b in brackets:
        want = b.free - low.graph.fixed
        holders = [k for k, v in enumerate(values) if want <= set(v.axes)]
        if holders:
            first = min(holders, key=lambda k: len(values[k].axes))
            chosen = {first, *(k for k in holders if k < len(unbounded) and unbounded[k])}
            values = [masked(low, v, b) if k in chosen else v for k, v in enumerate(values)]
        else:
            found = mask(low, b)
            apart[want] = low.binary("and", apart[want], found) if want in apart else found
    return values + [low.as_float(m) for m in apart.values()]


def _steps(low: Frame, values: list[OverNode], bound: list[Index], number: Term) -> OverNode:
    """Multiply two factors at a time, the cheapest pair first, and sum over what no other factor needs."""
    scalars = [v for v in values if not v.axes]
    values = [_matrix_kind(low, v) for v in values if v.axes]
    while len(values) > 1:
        a, b = min(combinations(range(len(values)), 2), key=lambda pair: _cost(values, pair, bound))
        others = [v for k, v in enumerate(values) if k not in (a, b)]
        ready = [i for i in bound if not any(i in v.axes for v in others)]
        values = [*others, _pair(low, values[a], values[b], ready)]
        bound = [i for i in bound if i not in ready]
    result = total(low, values[0], bound) if values else OverNode(low.graph.number(ONE), ())
    if result.node.op in ("sum", "mean") or not scalars:
        result, number = low.scale(result, number), ONE
    front: OverNode | None = None
    for s in scalars:
        front = s if front is None else low.binary("mul", front, s)
    if front is not None:
        result = low.binary("mul", low.scale(front, number), result)
    return result


def _matrix_kind(low: Frame, value: OverNode) -> OverNode:
    """Integers and masks as floats, unless integers are what is being calculated."""
    if value.node.kind in (INT, BOOL) and not low.integer_context:
        return low.as_float(value)
    return value


def total(low: Frame, value: OverNode, indices: Sequence[Index]) -> OverNode:
    """The sum of one factor over those of the indices that it has."""
    dims = [value.axes.index(i) for i in indices if i in value.axes]
    if not dims:
        return value
    return OverNode(low.graph.reduce("sum", value.node, dims), tuple(i for i in value.axes if i not in indices))


def length(i: Index) -> int:
    """A size to weigh costs with."""
    try:
        return max(int(i.size.evaluate(lambda a: 16)), 1)
    except (ZeroDivisionError, TypeError):
        return 16


def _cost(values: Sequence[OverNode], pair: tuple[int, int], bound: Sequence[Index]) -> tuple[int, int, int]:
    """How much a step takes, whether it keeps an inverse that it could have solved with, and how much it leaves."""
    axes = set(values[pair[0]].axes) | set(values[pair[1]].axes)
    others = {i for k, v in enumerate(values) if k not in pair for i in v.axes}
    left = math.prod(length(i) for i in axes if i not in bound or i in others)
    inverses = sum(_inverts(v) for k, v in enumerate(values) if k not in pair)
    return math.prod(length(i) for i in axes), inverses, left


def _inverts(value: OverNode) -> bool:
    node = value.node
    return node.op == "inv" or node.op == "permute" and node.args[0].op == "inv"


@dataclass(frozen=True)
class TwoFactors:
    """Both have ``inner``, over which their product is summed, and ``batch``, which it keeps."""

    left: OverNode
    right: OverNode
    inner: tuple[Index, ...]
    batch: tuple[Index, ...]

    @property
    def rows(self) -> tuple[Index, ...]:
        """What only the left factor has."""
        return tuple(i for i in self.left.axes if i not in self.right.axes)

    @property
    def columns(self) -> tuple[Index, ...]:
        """What only the right factor has."""
        return tuple(i for i in self.right.axes if i not in self.left.axes)

    def turned(self) -> TwoFactors:
        """The factors exchanged."""
        return TwoFactors(self.right, self.left, self.inner, self.batch)


def _pair(low: Frame, left: OverNode, right: OverNode, summed: Sequence[Index]) -> OverNode:
    """One step: the product of two factors, summed over what nothing else needs."""
    left = total(low, left, [i for i in summed if i not in right.axes])
    right = total(low, right, [i for i in summed if i not in left.axes])
    both = [i for i in left.axes if i in right.axes]
    pair = TwoFactors(left, right, tuple(i for i in both if i in summed), tuple(i for i in both if i not in summed))
    if not pair.inner:
        return low.binary("mul", left, right)
    if (found := solved(low, left, right, pair.inner)) is not None:
        return found
    if not pair.rows and not pair.columns:
        if not pair.batch and len(pair.inner) == 1 and left.node.kind == FLOAT == right.node.kind:
            return OverNode(low.graph.node("dot", (left.node, right.node), (), (), FLOAT), ())
        return total(low, low.binary("mul", left, right), pair.inner)
    vector = not (pair.rows and pair.columns)  # one has all the indices: torch's product of many matrices is slow with vectors
    if left.node.kind != FLOAT or right.node.kind != FLOAT or vector and (pair.batch or low.fused):
        return total(low, low.binary("mul", left, right), pair.inner)
    order = low.place

    def early(axes: Sequence[Index]) -> int:
        return min((order.get(i, LAST) for i in axes), default=LAST + 1)

    if early(pair.columns) < early(pair.rows):
        pair = pair.turned()
    if not pair.batch:
        pair = _flat(low, pair)
    return _matrix(low, pair) or _einsum(low, pair)


def _flat(low: Frame, pair: TwoFactors) -> TwoFactors:
    """Summed dimensions that stand together in both factors, as one dimension."""
    left, right, inner = pair.left, pair.right, pair.inner
    if len(inner) < 2:
        return pair
    k, j = left.axes.index(inner[0]), right.axes.index(inner[0])
    n = len(inner)
    if left.axes[k : k + n] != inner or right.axes[j : j + n] != inner:
        return pair
    size = numel(i.size for i in inner)
    one = Index(inner[0].name, size, inner[0].serial)

    def flat(v: OverNode, at: int) -> OverNode:
        dims = [*v.node.dims[:at], size, *v.node.dims[at + n :]]
        return OverNode(low.graph.reshape(v.node, dims), (*v.axes[:at], one, *v.axes[at + n :]))

    return TwoFactors(flat(left, k), flat(right, j), (one,), pair.batch)


def _matrix(low: Frame, pair: TwoFactors) -> OverNode | None:
    """The pair as ``left @ right``, where it is one."""
    if len(pair.inner) != 1:
        return None
    if not pair.rows and len(pair.columns) >= 1 and not pair.batch:
        pair = pair.turned()
    left, right, (k,) = pair.left, pair.right, pair.inner
    batch, rows, columns = pair.batch, pair.rows, pair.columns
    if batch:
        if len(rows) != 1 or len(columns) != 1:
            return None
        first = (*batch, *rows, k)
        return _matmul(low, left, first, right, (*batch, k, *columns), (*batch, *rows, *columns))
    if not columns:
        return _matmul(low, left, (*rows, k), right, (k,), rows)
    lead = right.axes[:-2]
    if len(rows) == 1 and len(columns) > 1 and right.axes[-2:-1] == (k,):
        return _matmul(low, left, (*rows, k), right, right.axes, (*lead, *rows, right.axes[-1]))
    if len(columns) == 1:
        return _matmul(low, left, (*rows, k), right, (k, *columns), (*rows, *columns))
    if len(rows) == 1:
        return _matmul(low, right, (*columns, k), left, (k, *rows), (*columns, *rows))
    return None


def _matmul(
    low: Frame, left: OverNode, first: tuple[Index, ...], right: OverNode, second: tuple[Index, ...], out: tuple[Index, ...]
) -> OverNode:
    a, b = _laid(low, left, first), _laid(low, right, second)
    return OverNode(low.graph.node("matmul", (a, b), (), tuple(i.size for i in out), FLOAT), out)


def _laid(low: Frame, value: OverNode, axes: tuple[Index, ...]) -> Node:
    return low.graph.permute(value.node, [value.axes.index(i) for i in axes])


def _einsum(low: Frame, pair: TwoFactors) -> OverNode:
    """The pair by ``einsum``, with letters like the names of the indices."""
    left, right = pair.left, pair.right
    out = tuple(sorted([*pair.batch, *pair.rows, *pair.columns], key=lambda i: low.place.get(i, LAST)))
    letters: dict[Index, str] = {}
    for i in (*left.axes, *right.axes):
        if i not in letters:
            wish = [i.name[0], *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
            letters[i] = next(c for c in wish if c.isascii() and c.isalpha() and c not in letters.values())

    def spell(axes: Sequence[Index]) -> str:
        return "".join(letters[i] for i in axes)

    spec = f"{spell(left.axes)},{spell(right.axes)}->{spell(out)}"
    return OverNode(low.graph.node("einsum", (left.node, right.node), (spec,), tuple(i.size for i in out), FLOAT), out)
