"""Elements of a tensor at positions: views where the positions allow them, else indexing.

``x[n, h*d + e]`` is a reshape, ``x[n - 1]`` a shifted slice (0 outside), ``E[ids[n], d]`` an index_select,
``x[i, i]`` a diagonal; anything else is advanced indexing with clamped positions, which is right for every term.
"""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import BOOL, INT, NUMBER, ONE_SIZE, Node, OverNode
from derivcheck.codegen.lowering.flat import joined
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.positions import (
    affine,
    alone,
    free_indices,
    inside,
    known,
    may_be_empty,
    radix,
    repeated,
    trusted,
)
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.atoms import Applied, Entry, Extreme, Floor, exact_quotient
from derivcheck.notation.integers.bounds import nonnegative, numel
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, as_poly, fresh, i_poly
from derivcheck.notation.terms.build import size_of


def read(low: Frame, name: str, at: tuple[Poly, ...]) -> OverNode:
    """``name[at]``."""
    if name not in low.dims:
        raise UnsupportedOperation(name, "nothing defines it", low.at)
    dims = low.dims[name]
    if len(at) != len(dims):
        raise UnsupportedOperation(name, f"it has {len(dims)} dimensions and is read with {len(at)} positions", low.at)
    if name in low.held:
        node = low.held[name]
    elif name in low.steps:
        node, dims, at = _step(low, name, dims, at)
    else:
        kind = low.kinds.get(name, "float")
        node = low.graph.var(name, dims, "scalar" if name in low.scalars else kind)
    taken = {i for p in at for i in p.indices} | set(low.place)
    merges: list[tuple[Index, Index, Index]] = []
    positions = at
    while True:
        move = _split(low, positions)
        if move is None:
            break
        a, by = move
        f = fresh(Index(a.name, _quotient(a.size, by)), taken)
        r = fresh(Index(a.name, by), [*taken, f])
        taken |= {f, r}
        for i in (f, r):
            low.place.setdefault(i, len(low.place))
        positions = tuple(p.substitute({a: by * i_poly(f) + i_poly(r)}) for p in positions)
        merges.append((a, f, r))
    value = _read(low, node, list(positions))
    for a, f, r in reversed(merges):
        value = merged(low, value, a, f, r)
    return value


def _quotient(size: Poly, by: Poly) -> Poly:
    found = exact_quotient(size, by)
    assert found is not None
    return found


def _split(low: Frame, positions: Sequence[Poly]) -> tuple[Index, Poly] | None:
    """An index whose digits are read (``a//d`` and ``a mod d``), and the base."""
    found: dict[Index, list[Poly]] = {}
    for p in positions:
        for atom in p.atoms():
            if isinstance(atom, Floor):
                a = atom.numerator.index
                d = atom.denominator
                if a is None or a in low.graph.fixed or d.indices or d.names or exact_quotient(a.size, d) is None:
                    return None
                found.setdefault(a, []).append(d)
    for a, bases in found.items():
        for d in bases:
            if all(exact_quotient(d, other) is not None for other in bases):
                return a, d
    return None


def merged(low: Frame, value: OverNode, a: Index, f: Index, r: Index) -> OverNode:
    """Two digits back into one index."""
    g = low.graph
    if f not in value.axes and r not in value.axes:
        return value
    axes = [i for i in value.axes if i not in (f, r)]
    low.place.setdefault(a, len(low.place))
    before = [low.place.get(i, len(low.place)) for i in axes]
    if before == sorted(before):  # where the definition has it
        place = sum(1 for p in before if p < low.place[a])
    else:
        place = next(k for k, i in enumerate(value.axes) if i in (f, r))
        place = sum(1 for i in value.axes[:place] if i not in (f, r))
    wanted = tuple(axes[:place] + [f, r] + axes[place:])
    node = low.spread(value, wanted)
    shape = [i.size for i in wanted]
    node = g.reshape(node, [*shape[:place], a.size, *shape[place + 2 :]])
    return OverNode(node, tuple(axes[:place] + [a] + axes[place:]))


def _read(low: Frame, node: Node, positions: list[Poly]) -> OverNode:
    """Views first, one dimension after the other: what Python knows, digits, slices, diagonals; then indexing."""
    g = low.graph
    for k in reversed(range(len(positions))):  # positions that Python knows
        p = positions[k]
        if known(low, p):
            node = _select(low, node, k, p)
            del positions[k]
    whole = tuple(i for p, n in zip(positions, node.dims) if (i := p.index) is not None and i.size is n)
    if len(set(whole)) == len(positions):  # most often: every element as it stands
        return OverNode(node, whole)
    while (found := joined(low, positions, node.dims)) is not None:
        first, end, place = found
        node = g.reshape(node, [*node.dims[:first], numel(node.dims[first:end]), *node.dims[end:]])
        positions[first:end] = [place]
    for k in reversed(range(len(positions))):  # digits in one dimension
        digits = radix(low, positions, k)
        if digits is not None:
            start, order = digits
            node = _window(low, node, k, start, numel(i.size for i in order), ONE_SIZE)
            node = g.reshape(node, [*node.dims[:k], *(i.size for i in order), *node.dims[k + 1 :]])
            positions[k : k + 1] = [i_poly(i) for i in order]
    for k in range(len(positions)):  # the same element again and again
        found_again = repeated(low, positions, k)
        if found_again is not None:
            i, start, times = found_again
            node = g.node("repeat", (node,), (k, times), [*node.dims[:k], times * node.dims[k], *node.dims[k + 1 :]], node.kind)
            node = _window(low, node, k, start, i.size, ONE_SIZE)
            positions[k] = i_poly(i)
    for k, p in enumerate(positions):  # slices
        line = affine(low, p)
        if line is not None and not (nonnegative(line[0] - 1) or nonnegative(-line[0] - 1)):
            continue  # a step that may be 0 reads one element again and again
        if line is not None and (alone(low, positions, k) or p.index is not None):
            slope, i, start = line
            if alone(low, positions, k) or i.size is not node.dims[k]:
                node = _window(low, node, k, start, i.size, slope)
                positions[k] = i_poly(i)
    node, positions = _diagonals(low, node, positions)
    node, axes = _take(low, node, positions)
    return OverNode(node, axes)


def _select(low: Frame, node: Node, k: int, p: Poly) -> Node:
    dims = node.dims[:k] + node.dims[k + 1 :]
    op = "select" if inside(p, node.dims[k]) or p.indices else "select_or_0"
    return low.graph.node(op, (node,), (k, p), dims, node.kind)


def _window(low: Frame, node: Node, k: int, start: Poly, length: Poly, step: Poly) -> Node:
    """``node[start + step·i]`` for i below length along dimension k; 0 outside."""
    size = node.dims[k]
    if start is as_poly(0) and step is ONE_SIZE and length is size:
        return node
    dims = node.dims[:k] + (length,) + node.dims[k + 1 :]
    if step is as_poly(-1) and start is size - 1 and length is size:
        return low.graph.node("flip", (node,), (k,), dims, node.kind)
    last = start + step * (length - 1)
    surely = nonnegative(start) and nonnegative(size - 1 - last) and nonnegative(step - 1)
    return low.graph.node("slice" if surely else "window", (node,), (k, start, length, step), dims, node.kind)


def padded(low: Frame, value: OverNode, k: int, start: Poly, length: Poly) -> OverNode:
    """The value with dimension ``k`` set at ``start`` into zeros of that length."""
    return OverNode(_window(low, value.node, k, -start, length, ONE_SIZE), value.axes)


def _diagonals(low: Frame, node: Node, positions: list[Poly]) -> tuple[Node, list[Poly]]:
    """Two dimensions that are read at one index, as one."""
    while True:
        pair = next(
            (
                (j, k)
                for j in range(len(positions))
                for k in range(j + 1, len(positions))
                if positions[j].index is not None and positions[j] is positions[k] and node.dims[j] is node.dims[k]
            ),
            None,
        )
        if pair is None:
            return node, positions
        j, k = pair
        rest = [m for m in range(len(positions)) if m not in pair]
        dims = [node.dims[m] for m in rest] + [node.dims[j]]
        node = low.graph.node("diagonal", (node,), (j, k), dims, node.kind)
        positions = [positions[m] for m in rest] + [positions[j]]


def _take(low: Frame, node: Node, positions: list[Poly]) -> tuple[Node, tuple[Index, ...]]:
    """Advanced indexing for what is left, one group of positions that share indices at a time."""
    g = low.graph
    axes: list[Poly | Index] = [
        p.index if p.index is not None and _plain(low, positions, k, node) else p for k, p in enumerate(positions)
    ]
    while True:
        first = next((k for k, a in enumerate(axes) if isinstance(a, Poly)), None)
        if first is None:
            return node, tuple(a for a in axes if isinstance(a, Index))
        group, names = [first], _of(low, axes[first])
        grown = True
        while grown:
            grown = False
            for k, a in enumerate(axes):
                if k not in group and not names.isdisjoint(_of(low, a)):
                    group.append(k)
                    names = names | _of(low, a)
                    grown = True
        group.sort()
        for i in names:
            low.place.setdefault(i, len(low.place))
        order = tuple(sorted(names, key=lambda i: low.place[i]))
        polys = [i_poly(a) if isinstance(a, Index) else a for a in (axes[k] for k in group)]
        spots = [_clamped(low, integer(low, p), p, node.dims[k]) for p, k in zip(polys, group)]
        indices = [low.align(v, order) for v in spots]
        indices = [low.tensor(n, INT) for n in indices]
        gathered = _gather(low, node, axes, group, order, indices)
        if gathered is not None:
            return gathered
        if not any(n.rank == len(order) for n in indices):  # together they must show every axis
            indices[0] = low.spread(OverNode(spots[0].node, spots[0].axes), order)
        if group != list(range(group[0], group[0] + len(group))):
            moved = group + [k for k in range(len(axes)) if k not in group]
            node = g.permute(node, moved)
            axes = [axes[k] for k in moved]
            group = list(range(len(group)))
        at, end = group[0], group[-1] + 1
        dims = node.dims[:at] + tuple(i.size for i in order) + node.dims[end:]
        empty = any(
            n.op == "clamp" and may_be_empty(node.dims[k]) and not p.names for n, p, k in zip(indices, polys, range(at, end))
        )
        node = g.node("pick" if empty else "take", (node, *indices), (at,), dims, node.kind)
        axes[at:end] = list(order)


def _gather(
    low: Frame,
    node: Node,
    axes: Sequence[Poly | Index],
    group: Sequence[int],
    order: tuple[Index, ...],
    indices: Sequence[Node],
) -> tuple[Node, tuple[Index, ...]] | None:
    """``x[n, t[n, p]]`` by ``gather``: one dimension at a place of its own for each element of all others."""
    if list(group) != list(range(len(axes))) or len(group) < 2:
        return None
    picks = [k for k in group if not isinstance(axes[k], Index) and axes[k].names]
    plain = [i for a in axes if (i := a if isinstance(a, Index) else a.index) is not None]
    if len(picks) != 1 or len(plain) != len(axes) - 1 or len(set(plain)) != len(plain):
        return None
    (at,) = picks
    if any(i.size is not d for i, d in zip(plain, (d for k, d in enumerate(node.dims) if k != at))):
        return None
    mine = tuple(i for i in order if i not in plain)
    places = OverNode(indices[at], order[len(order) - indices[at].rank :]) if indices[at].rank else None
    if places is None or indices[at].rank != len(order) or any(i not in low.place for i in order):
        return None
    out = (*plain[:at], *mine, *plain[at:])
    index = low.align(places, out)
    sizes = numel(i.size for i in mine)
    lead, tail = [i.size for i in plain[:at]], [i.size for i in plain[at:]]
    index = low.graph.reshape(index, [*lead, sizes, *tail])
    made = low.graph.node("gather", (node, index), (at,), index.dims, node.kind)
    return low.graph.reshape(made, [i.size for i in out]), out


def _plain(low: Frame, positions: Sequence[Poly], k: int, node: Node) -> bool:
    i = positions[k].index
    if i is None or i in low.graph.fixed:
        return False
    first = next(j for j, q in enumerate(positions) if q is positions[k])
    return first == k and node.dims[k] is i.size


def _of(low: Frame, a: Poly | Index) -> frozenset[Index]:
    return frozenset((a,)) if isinstance(a, Index) else free_indices(low, a)


def _clamped(low: Frame, value: OverNode, p: Poly, size: Poly) -> OverNode:
    if value.node.kind == NUMBER or trusted(low, p, size):
        return value
    return OverNode(low.graph.node("clamp", (value.node,), (as_poly(0), size - 1), value.node.dims, INT), value.axes)


# -- integers ----------------------------------------------------------------------------
def integer(low: Frame, p: Poly) -> OverNode:
    """An integer expression as an integer tensor over its indices, or a Python number."""
    if known(low, p):
        return OverNode(low.graph.number(size_of(p)), ())
    rest = Poly((m, c) for m, c in p.terms if known(low, Poly(((m, c),))))
    parts = [(m, c) for m, c in p.terms if not known(low, Poly(((m, c),)))]
    parts.sort(key=lambda part: part[1] < 0)
    total: OverNode | None = None
    for m, c in parts:
        factor = as_poly(abs(c))
        value: OverNode | None = None
        for a, e in m:
            if known(low, as_poly(a)):
                factor = factor * as_poly(a) ** e
                continue
            one = _atom(low, a)
            for _ in range(e):
                value = one if value is None else low.binary("mul", value, one)
        assert value is not None
        if factor is not ONE_SIZE:
            value = low.binary("mul", OverNode(low.graph.number(size_of(factor)), ()), value)
        if total is None:
            if c < 0 and rest.terms:
                total, rest = OverNode(low.graph.number(size_of(rest)), ()), as_poly(0)
                total = low.binary("sub", total, value)
            else:
                total = value if c > 0 else OverNode(low.graph.unary("neg", value.node), value.axes)
        else:
            total = low.binary("add" if c > 0 else "sub", total, value)
    assert total is not None
    if rest.terms:
        minus = all(c < 0 for _, c in rest.terms)
        total = low.binary("sub" if minus else "add", total, OverNode(low.graph.number(size_of(-rest if minus else rest)), ()))
    return total


def _atom(low: Frame, a: Atom) -> OverNode:
    """An atom as an integer tensor."""
    g = low.graph
    if isinstance(a, Index):
        if a.size.indices - g.fixed:
            raise UnsupportedOperation("a ragged index", f"the size of {a} is {a.size}", low.at)
        low.place.setdefault(a, len(low.place))
        return OverNode(g.arange(a.size), (a,))
    if isinstance(a, Entry):
        value = read(low, a.name, a.at)
        if value.node.kind == BOOL:
            return OverNode(g.unary("to_int", value.node, kind=INT), value.axes)
        return value
    if isinstance(a, Floor):
        below = integer(low, a.denominator)
        if below.node.kind == NUMBER and may_be_empty(a.denominator):
            below = OverNode(g.number(size_of(as_poly(Extreme("max", (a.denominator, 1))))), ())
        return low.binary("floordiv", integer(low, a.numerator), below)
    assert isinstance(a, Extreme)
    if isinstance(a, Applied):
        raise UnsupportedOperation(a.kind, "a function of positions that no tensor has", low.at)
    values = [integer(low, p) for p in a.args]
    total = values[0]
    for v in values[1:]:
        axes = low.union([total.axes, v.axes])
        left, right = low.align(total, axes), low.align(v, axes)
        if left.kind == NUMBER:
            left, right = right, left
        if right.kind == NUMBER:
            side = (None, right.params[0]) if a.kind == "min" else (right.params[0], None)
            total = OverNode(g.node("clamp_by", (left,), side, left.dims, INT), axes)
        else:
            total = OverNode(g.binary("maximum" if a.kind == "max" else "minimum", left, right), axes)
    return total


# -- inside a loop -------------------------------------------------------------------------
def _step(
    low: Frame, name: str, dims: tuple[Poly, ...], at: tuple[Poly, ...]
) -> tuple[Node, tuple[Poly, ...], tuple[Poly, ...]]:
    """An earlier step of a recurrence: an element of the Python list of its steps."""
    axis, index = low.steps[name]
    p = at[axis]
    if p.indices - low.graph.fixed or p.names:
        raise UnsupportedOperation(name, "a recurrence that reads all its steps at once", low.at)
    rest = dims[:axis] + dims[axis + 1 :]
    node = low.graph.node("step", (), (name, p), rest, low.kinds.get(name, "float"), loops=p.indices | {index})
    return node, rest, at[:axis] + at[axis + 1 :]
