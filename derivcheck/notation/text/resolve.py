"""What the names in index text are: each index's size, each tensor's dimensions and kind.

An index that stands alone in a dimension has that dimension's size; sizes travel so through the whole
text until nothing is left open.  Two different sizes for one index are a clash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Index, Poly, size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.terms.nodes import MATRICES
from derivcheck.notation.text.positions import Integers
from derivcheck.notation.text.syntax import (
    Application,
    At,
    Chain,
    Compare,
    Define,
    Item,
    Name,
    Negative,
    Num,
    Piece,
    Span,
    Star,
    children,
    complaint,
)

REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin")
_AFTER_LESS = "expected a size after '<'"
_KEY = re.compile(r"(.+)_([1-9]\d*)$")


def index_key(key: str) -> tuple[str, int]:
    """Name and serial of an index as it is printed: ``i_1`` is the index ``i`` with serial 1."""
    found = _KEY.match(key)
    return (found.group(1), int(found.group(2))) if found else (key, 0)


@dataclass(eq=False)
class SizeLink:
    """An index or a tensor's dimension whose size is to be found; ``link`` leads to one of the same size."""

    key: str
    value: Poly | None = None
    source: str = ""
    explicit: bool = False
    link: SizeLink | None = field(default=None, repr=False)

    @property
    def root(self) -> SizeLink:
        """The axis that holds the size."""
        at = self
        while at.link is not None:
            at = at.link
        return at

    @property
    def size(self) -> Poly:
        """The size, once settled."""
        found = self.root.value
        assert found is not None
        return found


Env = Mapping[str, SizeLink]


def matrix_form(name: str) -> str:
    """How a matrix is written, for who wrote it otherwise."""
    if name not in MATRICES:
        return f"{name} gives a number, which has no positions; expected no brackets after it"
    at = "[p, q]" if MATRICES[name] else ""
    shown = f"{name}(i, j: a[i, j]){at}"
    return f"expected a matrix by its rows and columns, as in {shown}, or a tensor of two dimensions, {name}(a){at}"


class Resolver:
    """Finds sizes and kinds; :meth:`walk` each body, then :meth:`settle`."""

    def __init__(self, text: str, declared: Iterable[Input], closed: bool) -> None:
        """Start from what ``dims=`` and the declarations say; ``closed``: no other tensors are expected."""
        self.text, self.closed = text, closed
        self.inputs: dict[str, Input] = {a.name: a for a in declared}
        self.axes: dict[str, list[SizeLink]] = {
            a.name: [SizeLink(a.name, p, f"dimension {k + 1} of {a.name}") for k, p in enumerate(a.dims)]
            for a in self.inputs.values()
        }
        self.heads: dict[str, tuple[SizeLink, ...]] = {}
        self.kinds: dict[str, str] = {}
        self.bound: dict[Span, SizeLink] = {}
        self.sizes: set[str] = set().union(
            *(p.sizes() for a in self.inputs.values() for p in (*a.dims, *([a.below] if a.below else [])))
        )
        self.seen: set[str] = set()
        self.fallback: dict[str, Poly] = {}
        self._order: list[SizeLink] = []
        self._bare: list[tuple[Name, bool]] = []
        self._first: dict[str, Piece] = {}
        self._integers: dict[str, Span] = {}
        self._below: dict[str, SizeLink] = {}
        self._env_names: set[str] = set()

    def kind(self, name: str) -> str:
        """``float``, ``int`` or ``bool`` of a tensor; "" for an unknown name."""
        return self.kinds.get(name) or (self.inputs[name].kind if name in self.inputs else "")

    # -- walking -------------------------------------------------------------------
    def definitions(self, defines: list[Define]) -> None:
        """Walk all definitions; a later one may be referred to earlier (a mutual recurrence)."""
        envs: list[dict[str, SizeLink]] = []
        for d in defines:
            if d.name in self.heads:
                raise complaint(self.text, d.span, f"{d.name} is defined twice")
            if d.name in self.inputs:
                raise complaint(self.text, d.span, f"{d.name} is defined here and given as an input with dims")
            env = self.bind(d.items, {}, d.span)
            self.heads[d.name] = tuple(env[_name(x)] for x in d.items)
            self.axes[d.name] = list(self.heads[d.name])
            integer = isinstance(d.body, Application) and d.body.name in ("argmax", "argmin")
            self.kinds[d.name] = d.mark if d.mark in ("int", "bool") else "int" if integer else "float"
            envs.append(env)
        for d, env in zip(defines, envs):
            self.walk(d.body, env)
        for d in defines:
            if d.name in self._integers and self.kinds[d.name] == "float":
                if not self._whole(d.body, {_name(x) for x in d.items}):
                    raise complaint(self.text, self._integers[d.name], f"{d.name} holds real numbers and cannot be a position")
                self.kinds[d.name] = "int"

    def expect(self, dims: Mapping[str, tuple[Poly, ...]]) -> None:
        """Give indices of left sides whose size nothing tells the dimensions that their tensors are known to have."""
        for name, sizes in dims.items():
            for axis, p in zip(self.heads[name], sizes):
                if axis.root.value is None and len(sizes) == len(self.heads[name]):
                    axis.root.value = p

    def bind(self, items: tuple[Piece, ...], env: Env, where: Span) -> dict[str, SizeLink]:
        """The axes of newly bound indices by name, beside those of ``env``."""
        inner = dict(env)
        new: set[str] = set()
        for x in items:
            if isinstance(x, Star):
                raise complaint(self.text, x.span, f"the star group *{x.name} stands only in rows, where its rank is known")
            if not isinstance(x, Item) or not isinstance(x.value, Name):
                raise complaint(
                    self.text, x.span, f"found {self.text[x.span[0] : x.span[1]]!r} where an index is bound, expected a name"
                )
            key = x.value.name
            if key in new:
                raise complaint(self.text, x.span, f"the index {key} is bound twice here")
            new.add(key)
            axis = SizeLink(key, source=f"index {key}")
            if x.below is not None:
                axis.value, axis.explicit = self._explicit(x.below, env), True
                axis.source = f"{key} < {axis.value}"
            self._order.append(axis)
            self._env_names.add(key)
            self.bound[x.span] = inner[key] = axis
        return inner

    def _explicit(self, n: Piece, env: Env) -> Poly:
        """The size after ``<``; an outer index in it (a ragged range) must have its size already."""
        outer: dict[str, Index] = {}
        for x in _names(n):
            value = env[x.name].root.value if x.name in env else None
            if value is not None:
                key, serial = index_key(x.name)
                outer[x.name] = Index(key, value, serial)
            elif x.name in env:
                raise complaint(self.text, n.span, f"{_AFTER_LESS}: the size of the index {x.name} is not known yet")
            else:
                self.sizes.add(x.name)
        return Integers(self.text).size(n, outer, _AFTER_LESS)

    def walk(self, n: Piece, env: Env, position: bool = False) -> None:
        """Note every use of a name in a body."""
        if isinstance(n, Name):
            if n.name not in env:
                self._bare.append((n, position))
                if position and (n.name in self.inputs or n.name in self.axes):
                    self._integers.setdefault(n.name, n.span)
        elif isinstance(n, At):
            if position:
                self._integers.setdefault(n.name, n.span)
            self._use(n, env)
            for p in n.places:
                self.walk(p, env, True)
        elif isinstance(n, Application) and n.body is not None:
            if n.name not in (*REDUCTIONS, *MATRICES):
                expected = f"sum, prod, max, min, argmax or argmin, or of a matrix {', '.join(MATRICES)}"
                raise complaint(self.text, n.span, f"found {n.name}(…: …), expected {expected}")
            inner = self.bind(n.items, env, n.span)
            self.walk(n.body, inner, position)
            self._matrix(n, inner, env)
        elif isinstance(n, Application) and (n.places or n.name in MATRICES):
            raise complaint(self.text, n.span, matrix_form(n.name))
        elif isinstance(n, Application) and n.name == "size":
            return
        elif isinstance(n, Application) and n.name in ("sum", "prod", "argmax", "argmin"):
            raise complaint(self.text, n.span, f"expected indices and ':' as in {n.name}(i: x[i])")
        else:
            if isinstance(n, Compare):
                self._compared(n, env)
            for x in children(n):
                self.walk(x, env, position)

    def _matrix(self, n: Application, inner: Env, env: Env) -> None:
        """The positions of ``inv(i, j: a[i, j])[p, q]``; rows, columns and positions alone are of one size."""
        if n.name in MATRICES and len(n.items) != 2 or len(n.places) != MATRICES.get(n.name, 0):
            raise complaint(self.text, n.span, matrix_form(n.name))
        axes = [inner[_name(x)] for x in n.items]
        if n.name in MATRICES and all(not a.explicit for a in axes):
            self._join(axes[0], axes[1], Name(n.span, axes[0].key))
        for place, axis in zip(n.places, axes):
            self.walk(place, env, True)
            alone = place.value if isinstance(place, Item) else place
            if isinstance(alone, Name) and alone.name in env and not env[alone.name].explicit:
                self._join(env[alone.name], axis, alone)

    def _compared(self, n: Compare, env: Env) -> None:
        """``[t[n] == v]`` with an index v: t, where nothing declares it, holds integers."""
        if not all(r in ("==", "=", "!=") for r in n.relations):
            return
        if any(isinstance(s, Name) and s.name in env for s in n.sides):
            for s in n.sides:
                if isinstance(s, At) and s.name not in self.inputs and s.name not in self.axes:
                    self._integers.setdefault(s.name, s.span)

    def _use(self, n: At, env: Env) -> None:
        """A tensor read at positions: it has that many dimensions, and an index alone there has the size of its dimension."""
        self.seen.add(n.name)
        axes = self.axes.get(n.name)
        if axes is None:
            if n.name in env:
                raise complaint(self.text, n.span, f"{n.name} is an index here and takes no brackets")
            if n.name in functions() or n.name in (*REDUCTIONS, *MATRICES):
                raise complaint(self.text, n.span, f"{n.name} is a function: write {n.name}(…)")
            if self.closed and n.name in self.sizes:
                raise complaint(self.text, n.span, f"{n.name} is a size and takes no brackets")
            axes = self.axes[n.name] = [SizeLink(n.name, source=f"dimension {k + 1} of {n.name}") for k in range(len(n.places))]
            self._order.extend(axes)
            self._first[n.name] = n
        if len(axes) != len(n.places):
            dims = ", ".join(str(a.root.value) if a.root.value is not None else "?" for a in axes)
            raise complaint(
                self.text,
                n.span,
                f"{n.name} stands with {len(n.places)} position{'s' * (len(n.places) != 1)}, but has "
                f"{len(axes)} dimension{'s' * (len(axes) != 1)}" + (f" ({dims})" if dims else ""),
            )
        for place, axis in zip(n.places, axes):
            inner = place.value if isinstance(place, Item) else place
            if isinstance(inner, Name) and inner.name in env:
                own = env[inner.name]
                if not own.explicit:
                    self._join(own, axis, inner)
            elif isinstance(inner, (At, Name)):
                self._below.setdefault(inner.name, axis)

    def _join(self, index: SizeLink, axis: SizeLink, where: Name) -> None:
        """Two axes have one size; refused where both are known and differ."""
        a, b = index.root, axis.root
        if a is b:
            return
        if a.value is not None and b.value is not None:
            if a.value is not b.value:
                raise complaint(
                    self.text,
                    where.span,
                    f"the index {where.name} runs over {a.value} ({a.source}), but stands in "
                    f"{axis.source or axis.key} of size {b.value}",
                )
            return
        if a.value is None:
            a.link = b
        else:
            b.link = a

    def _whole(self, n: Piece, env: set[str]) -> bool:
        """Whether a body is integer arithmetic."""
        if isinstance(n, Num):
            return n.value.denominator == 1
        if isinstance(n, Name):
            return n.name in env or n.name in self.sizes or self.kind(n.name) == "int"
        if isinstance(n, At):
            return self.kind(n.name) == "int" or n.name in self._integers
        if isinstance(n, Chain):
            return "/" not in n.operators and all(self._whole(x, env) for x in n.operands)
        if isinstance(n, Negative):
            return self._whole(n.operand, env)
        if isinstance(n, Application):
            return n.name == "size" or n.body is None and n.name in ("max", "min")
        return False

    # -- settling --------------------------------------------------------------------
    def settle(self) -> None:
        """Name what is left open, and turn undefined names into inputs."""
        for axis in self._order:
            root = axis.root
            if root.value is None:
                if axis.key in self.fallback:
                    root.value = self.fallback[axis.key]
                    continue
                if axis.source.startswith("dimension"):
                    continue
                root.value = self._named(axis.key)
                root.source = axis.source
        known = {s for axes in self.axes.values() for a in axes if a.root.value is not None for s in a.root.value.sizes()}
        self.sizes |= known | {s for a in self._order if a.root.value is not None for s in a.root.value.sizes()}
        for name, first in self._first.items():
            if self.closed and self.inputs and not self._declared_enough(name):
                raise complaint(self.text, first.span, self._unknown(name))
            self._new_input(name, first)
        for bare, position in self._bare:
            self._settle_bare(bare, position)
        for name, span in self._integers.items():
            if self.kind(name) not in ("int", ""):
                raise complaint(
                    self.text,
                    span,
                    f"{name} holds {self.kind(name)} values and cannot be a position; declare it as "
                    f"integers, dims={{{name!r}: 'int<V: …>'}}",
                )

    def _declared_enough(self, name: str) -> bool:
        return not get_close_matches(name, [n for n in self.inputs if n not in self.seen], 1)

    def _named(self, key: str) -> Poly:
        upper = key.upper()
        taken = upper in self.axes or upper in self.inputs or upper in self._env_names
        return size(f"{key}_size" if taken else upper)

    def _new_input(self, name: str, first: Piece) -> None:
        """An input that only its uses tell of, once they tell every size of it."""
        dims: list[Poly] = []
        for k, axis in enumerate(self.axes[name]):
            if axis.root.value is None:
                raise complaint(
                    self.text,
                    first.span,
                    f"nothing tells the size of dimension {k + 1} of {name}: no index stands there "
                    f"alone; give dims={{{name!r}: …}}",
                )
            dims.append(axis.root.value)
        integer = name in self._integers
        below = self._below[name].root.value if integer and name in self._below else None
        self.inputs[name] = Input(name, tuple(dims), "int" if integer else "float", below)

    def _settle_bare(self, n: Name, position: bool) -> None:
        """What a name without brackets is: a tensor without dimensions, a size or a constant."""
        name = n.name
        axes = self.axes.get(name)
        if axes is not None or name in self.inputs:
            self.seen.add(name)
            if axes:
                raise complaint(
                    self.text, n.span, f"{name} stands without positions, but has {len(axes)} dimension{'s' * (len(axes) != 1)}"
                )
        elif name in self.sizes or (name in functions() and functions()[name].arity == 0):
            return
        elif name in functions():
            raise complaint(self.text, n.span, f"{name} is a function: write {name}(…)")
        elif self.closed:
            raise complaint(self.text, n.span, self._unknown(name))
        elif position:
            self.sizes.add(name)
        else:
            self.seen.add(name)
            self.axes[name] = []
            self.inputs[name] = Input(name, ())

    def _unknown(self, name: str) -> str:
        """The refusal of a name that is nothing, with the nearest that is something."""
        known = [*self.inputs, *self.heads, *sorted(self.sizes)]
        near = get_close_matches(name, known, 1)
        advice = (
            f"did you mean {near[0]!r}?"
            if near
            else f"give a number in dims={{{name!r}: ''}}; known are {', '.join(known) or 'none'}"
        )
        return f"{name!r} is neither a size, nor an index here, nor a tensor; {advice}"


def _name(item: Piece) -> str:
    assert isinstance(item, Item) and isinstance(item.value, Name)
    return item.value.name


def _names(n: Piece) -> Iterator[Name]:
    """The names in an expression."""
    if isinstance(n, Name):
        yield n
    for x in children(n):
        yield from _names(x)
