"""Index text to terms and Programs: the way back from :mod:`derivcheck.notation.text`.

A Program is definitions ``name[i, j] := term`` (``=`` will do), one a line or parted by ``;``::

    y[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]
    L := sum(n, o: (y[n,o] - t[n,o])^2)/(N*out)

``sum prod max min argmax argmin`` bind indices; ``[a <= b]`` is 1 where that holds, else 0; ``^`` or ``**`` is a
power; ``size(n)`` is the size of an index.  Positions may be integer expressions (``x[2*i + u]``, ``x[i // d]``,
``E[ids[n], d]``).  An index takes the size of the dimension in which it stands alone; where there is none,
``i < H`` says it where the index is bound.  ``input x[N, in]``, ``output y`` and ``(no gradient)`` are read as they
are printed.  What nothing defines is an input.  Outputs are what no other definition uses.

>>> p = parse_program("y[n,o] := sum(i: x[n,i]*W[o,i])", {"x": "N in", "W": "out in"})
>>> print(p)
input  x[N, in]
input  W[out, in]
y[n, o] := sum(i: x[n, i]*W[o, i])
output y
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from derivcheck.errors import NotationError
from derivcheck.notation.functions import functions
from derivcheck.notation.program import Definition, Input, Program
from derivcheck.notation.resolve import Axis, Resolver, index_key
from derivcheck.notation.sizes import Index, Poly, as_poly, entry, extreme, i_poly, size
from derivcheck.notation.syntax import (
    At,
    Call,
    Chain,
    Compare,
    Declare,
    Define,
    Item,
    Name,
    Negative,
    Node,
    Num,
    Power,
    Star,
    complaint,
    expand_groups,
    read,
)
from derivcheck.notation.terms import (
    MINUS_ONE,
    Over,
    Term,
    add,
    bracket,
    func,
    mul,
    number,
    power,
    product,
    ref,
    size_of,
    summation,
)

_TYPED = re.compile(r"\s*(float|int|bool)\s*(?:<\s*([^:>]*?)\s*(?::([^>]*))?>\s*(.*)|:(.*))$", re.S)
REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin")


@dataclass(frozen=True)
class Scope:
    """What the names in a term mean: tensors with their dimensions and kinds, and the free indices."""

    tensors: Mapping[str, Input]
    indices: tuple[Index, ...] = ()

    @classmethod
    def of(cls, program: Program, indices: Iterable[Index] = ()) -> Scope:
        """The tensors of a Program."""
        tensors = {a.name: a for a in program.arguments}
        tensors.update({d.name: Input(d.name, d.dims, d.kind) for d in program.definitions})
        return cls(tensors, tuple(indices))


@lru_cache(maxsize=4096)
def parse_dims(text: str) -> tuple[Poly, ...]:
    """Dimensions as a user writes them: ``"N in"``, ``"N h*d"``, ``"3 2*m"``.

    >>> parse_dims("N h*d 3")
    (N, d*h, 3)
    """
    return tuple(_size(n, text) for n in read(text, "sizes"))


def parse_input(name: str, text: str) -> Input:
    """An input with its dimensions: ``"N in"``, or ``"int<V: N T"`` for integers below V.

    >>> parse_input("ids", "int<V: N T>").below
    V
    """
    if not isinstance(text, str):
        raise NotationError(f"dims of {name!r}: expected text such as 'N in', found {type(text).__name__}")
    try:
        closed = text if ">" in text or "<" not in text else text + ">"
        typed = _TYPED.match(closed)
        if typed is None:
            return Input(name, parse_dims(text))
        kind, first, inside, after, plain = typed.groups()
        if plain is not None:
            return Input(name, parse_dims(plain), kind)
        if inside is None:
            return Input(name, parse_dims(f"{first} {after or ''}"), kind)
        bound = parse_dims(first)
        if kind != "int" or len(bound) != 1:
            raise NotationError(f"expected one bound for int entries before ':', as in 'int<V: N T>', found {text!r}")
        return Input(name, parse_dims(f"{inside} {after or ''}"), kind, bound[0])
    except NotationError as e:
        raise NotationError(f"dims of {name!r}: {e}") from None


def parse_term(text: str, scope: Scope) -> Term:
    """A term whose names ``scope`` gives.

    Raises:
        NotationError: text that cannot be read, an unknown name, another number of positions than dimensions.

    >>> x, n = Input("x", (size("N"),)), Index("n", size("N"))
    >>> print(parse_term("exp(x[n])/sum(n: exp(x[n]))", Scope({"x": x}, (n,))))
    exp(x[n])/sum(n: exp(x[n]))
    """
    tree = read(text, "term")
    resolver = Resolver(text, scope.tensors.values(), closed=True)
    free = {i.key: Axis(i.key, i.size, explicit=True) for i in scope.indices}
    resolver.fallback = {i.key: i.size for i in scope.indices}
    resolver.walk(tree, free)
    resolver.settle()
    return _Reader(text, resolver).term(tree, {i.key: i for i in scope.indices})


def parse_program(text: str, dims: Mapping[str, str] | None = None, groups: Mapping[str, int] | None = None) -> Program:
    """A Program from index text.

    Args:
        text: definitions, and perhaps ``input`` and ``output`` lines.
        dims: dimensions by input.  Without them each input's follow from the indices that it is used with: an index
            whose size nothing tells gets the size of its name in upper case (``n`` runs below ``N``), the same name
            the same size throughout.
        groups: how many indices each star group ``*n`` stands for.

    Raises:
        NotationError: names what was found and what was expected, with line, column and the text.

    >>> parse_program("y[n] := sum(k: A[n,k]*x[k])").dims("A")
    (N, K)
    """
    statements = read(text, "program")
    if groups is not None:
        statements = expand_groups(statements, groups)
    declared = {n: parse_input(n, t) for n, t in (dims or {}).items()}
    defines = [s for s in statements if isinstance(s, Define)]
    outputs: list[str] = []
    for s in statements:
        if isinstance(s, Declare):
            _declare(text, s, declared, outputs)
    if not defines and not outputs:
        raise NotationError(f"the text defines nothing; expected lines such as 'y[n] := x[n]^2', found {text.strip()[:80]!r}")
    closed = dims is not None or any(isinstance(s, Declare) and s.word == "input" for s in statements)
    resolver = Resolver(text, declared.values(), closed)
    resolver.definitions(defines)
    resolver.settle()
    if dims is not None:
        _all_used(text, dims, resolver)
    reader = _Reader(text, resolver)
    definitions = tuple(reader.definition(d) for d in defines)
    names = {d.name for d in definitions}
    used: frozenset[str] = frozenset().union(*(d.term.names - {d.name} for d in definitions))
    used = used.union(*(p.names for d in definitions for p in d.dims))
    for o in outputs:
        if o not in names and o not in resolver.inputs:
            raise NotationError(f"output {o!r} is not defined; defined are {', '.join(d.name for d in definitions)}")
    arguments = tuple(resolver.inputs.values())
    return Program(arguments, definitions, tuple(outputs) or tuple(d.name for d in definitions if d.name not in used))


def _declare(text: str, s: Declare, declared: dict[str, Input], outputs: list[str]) -> None:
    if s.word == "output":
        outputs.extend(s.names)
        return
    if s.word != "input" or len(s.names) != 1:
        raise complaint(text, s.span, f"found {s.word!r} before a name, expected 'input', 'output' or 'name[indices] := term'")
    if s.kind not in ("", "float", "int", "bool"):
        raise complaint(text, s.span, f"found kind {s.kind!r}, expected float, int or bool")
    sizes = tuple(_size(x.value if isinstance(x, Item) else x, text) for x in s.sizes)
    new = Input(s.names[0], sizes, s.kind or "float", None if s.below is None else _size(s.below, text))
    old = declared.get(new.name)
    if old is not None and (old.dims, old.kind) != (new.dims, new.kind):
        raise complaint(
            text, s.span, f"{new.name} is declared with dimensions {_listed(new.dims)}, but dims gives {_listed(old.dims)}"
        )
    declared.setdefault(new.name, new)


def _all_used(text: str, dims: Mapping[str, str], resolver: Resolver) -> None:
    for name in dims:
        if name not in resolver.seen:
            inferred = [n for n in resolver.inputs if n not in dims] or list(resolver.inputs)
            near = get_close_matches(name, sorted(resolver.seen), 1)
            advice = f"; did you mean {near[0]!r}?" if near else f"; it uses {', '.join(inferred)}"
            raise NotationError(f"dims names {name!r}, which the text does not use{advice}")


def _listed(dims: tuple[Poly, ...]) -> str:
    return ", ".join(map(str, dims)) or "none"


def _size(node: Node, text: str) -> Poly:
    """A size expression, in which every name is a size."""
    found = _Reader(text, None).poly(node, {})
    if found is None:
        raise complaint(text, node.span, "expected a size: names, whole numbers, + - * //")
    return found


Env = dict[str, Index]


class _Reader:
    """Syntax tree to terms, the sizes being resolved."""

    def __init__(self, text: str, resolver: Resolver | None) -> None:
        self.text, self.resolver = text, resolver

    def definition(self, d: Define) -> Definition:
        """One definition."""
        assert self.resolver is not None
        axes = self.resolver.heads[d.name]
        indices = tuple(self._index(a) for a in axes)
        kind = self.resolver.kinds[d.name]
        env = {a.key: i for a, i in zip(axes, indices)}
        term = self.term(d.body, env)
        return Definition(d.name, indices, term, stop=bool(d.mark) or kind != "float", kind=kind, rule="given")

    def _index(self, axis: Axis) -> Index:
        name, serial = index_key(axis.key)
        return Index(name, axis.size, serial)

    def _bind(self, items: tuple[Node, ...], env: Env) -> tuple[tuple[Index, ...], Env]:
        assert self.resolver is not None
        inner = dict(env)
        bound = []
        for x in items:
            i = self._index(self.resolver.bound[x.span])
            inner[i.key] = i
            bound.append(i)
        return tuple(bound), inner

    # -- integer expressions ---------------------------------------------------
    def poly(self, n: Node, env: Env) -> Poly | None:
        """The node as an integer expression; None where it is not one."""
        if isinstance(n, Num):
            return as_poly(n.value.numerator) if n.value.denominator == 1 else None
        if isinstance(n, Name):
            if n.name in env:
                return i_poly(env[n.name])
            r = self.resolver
            if r is None or n.name in r.sizes:
                return size(n.name)
            return entry(n.name) if r.kind(n.name) == "int" else None
        if isinstance(n, Item):
            return self.poly(n.value, env)
        if isinstance(n, At):
            if self.resolver is None or self.resolver.kind(n.name) != "int":
                return None
            return entry(n.name, *(self.position(p, env) for p in n.places))
        if isinstance(n, Negative):
            inner = self.poly(n.operand, env)
            return None if inner is None else -inner
        if isinstance(n, Chain):
            return self._chain(n, env)
        if isinstance(n, Power):
            base, exponent = self.poly(n.base, env), self.poly(n.exponent, env)
            if base is None or exponent is None or exponent.constant is None or exponent.constant < 0:
                return None
            return base**exponent.constant
        if isinstance(n, Call) and n.body is None:
            if n.name == "size" and len(n.items) == 1:
                item = n.items[0]
                inside = item.value if isinstance(item, Item) else item
                if isinstance(inside, Name) and inside.name in env:
                    return env[inside.name].size
                raise complaint(self.text, n.span, "size(…) takes the name of an index that is bound here")
            if n.name in ("max", "min"):
                args = [self.poly(x, env) for x in n.items]
                known = [a for a in args if a is not None]
                return extreme(n.name, *known) if known and len(known) == len(args) else None
        return None

    def _chain(self, n: Chain, env: Env) -> Poly | None:
        if "/" in n.operators:
            return None
        total = self.poly(n.operands[0], env)
        for op, x in zip(n.operators, n.operands[1:]):
            right = self.poly(x, env)
            if total is None or right is None:
                return None
            if op in ("//", "%") and not right.terms:
                raise complaint(self.text, x.span, "a whole division by zero")
            total = (
                total + right
                if op == "+"
                else total - right
                if op == "-"
                else total * right
                if op == "*"
                else total // right
                if op == "//"
                else total % right
            )
        return total

    def position(self, n: Node, env: Env) -> Poly:
        """A position in brackets."""
        if isinstance(n, Star):
            raise complaint(self.text, n.span, f"the star group *{n.name} stands only in rows, where its rank is known")
        if isinstance(n, Item) and n.below is not None:
            raise complaint(self.text, n.span, "found '<' in a position; a size is given where an index is bound")
        found = self.poly(n, env)
        if found is None:
            raise complaint(
                self.text,
                n.span,
                f"found {self.text[n.span[0] : n.span[1]]!r} as a position, expected an integer "
                "expression of indices, sizes and integer tensors",
            )
        return found

    # -- terms -------------------------------------------------------------------
    def term(self, n: Node, env: Env) -> Term:
        """The node as a term."""
        if isinstance(n, Num):
            return number(n.value)
        if isinstance(n, Item):
            return self.term(n.value, env)
        if isinstance(n, Name):
            found = self.poly(n, env)
            if found is not None:
                return size_of(found)
            if self.resolver is not None and n.name in self.resolver.seen:
                return ref(n.name)
            return func(n.name)
        if isinstance(n, At):
            found = self.poly(n, env)
            return size_of(found) if found is not None else ref(n.name, *(self.position(p, env) for p in n.places))
        if isinstance(n, Negative):
            return mul(MINUS_ONE, self.term(n.operand, env))
        if isinstance(n, Power):
            return power(self.term(n.base, env), self.term(n.exponent, env))
        if isinstance(n, Chain):
            return self._arithmetic(n, env)
        if isinstance(n, Compare):
            return self._compare(n, env)
        if isinstance(n, Call):
            return self._call(n, env)
        raise complaint(self.text, n.span, "a star group stands only in brackets and before ':'")

    def _arithmetic(self, n: Chain, env: Env) -> Term:
        if n.operators[0] in "+-":
            parts = [self.term(n.operands[0], env)]
            for op, x in zip(n.operators, n.operands[1:]):
                part = self.term(x, env)
                parts.append(part if op == "+" else mul(MINUS_ONE, part))
            return add(*parts)
        if "//" in n.operators or "%" in n.operators:
            found = self._chain(n, env)
            if found is None:
                raise complaint(self.text, n.span, "'//' and '%' stand between integer expressions")
            return size_of(found)
        factors = [self.term(n.operands[0], env)]
        for op, x in zip(n.operators, n.operands[1:]):
            part = self.term(x, env)
            factors.append(part if op == "*" else power(part, MINUS_ONE))
        return mul(*factors)

    def _compare(self, n: Compare, env: Env) -> Term:
        factors = []
        for relation, left, right in zip(n.relations, n.sides, n.sides[1:]):
            sign = "==" if relation == "=" else relation
            a, b = self.poly(left, env), self.poly(right, env)
            if a is not None and b is not None:
                factors.append(bracket(sign, a - b))
            else:
                factors.append(bracket(sign, add(self.term(left, env), mul(MINUS_ONE, self.term(right, env)))))
        return mul(*factors)

    def _call(self, n: Call, env: Env) -> Term:
        if n.body is not None:
            bound, inner = self._bind(n.items, env)
            body = self.term(n.body, inner)
            if n.name == "sum":
                return summation(bound, body)
            return product(bound, body) if n.name == "prod" else Over(n.name, bound, body)
        found = self.poly(n, env)
        if found is not None:
            return size_of(found)
        if n.name in REDUCTIONS:
            raise complaint(self.text, n.span, f"expected indices and ':' as in {n.name}(i: x[i])")
        row = functions().get(n.name)
        if row is None:
            near = get_close_matches(n.name, [*functions(), *REDUCTIONS], 1)
            raise complaint(
                self.text,
                n.span,
                f"there is no function {n.name!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(functions())}"),
            )
        if len(n.items) != row.arity:
            raise complaint(
                self.text, n.span, f"{n.name} takes {row.arity} argument{'s' * (row.arity != 1)}, found {len(n.items)}"
            )
        return func(n.name, *(self.term(x, env) for x in n.items))
