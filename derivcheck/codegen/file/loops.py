"""Recurrences as Python loops: ``T[k] := [k = 0] + [k >= 1]·T[k-1]·a[k-1]`` computes one step after the other.

Conditions on the loop index alone become ``if``, so that no step reads what is not there yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from derivcheck.codegen.file.scope import Scope
from derivcheck.codegen.graph.nodes import Node
from derivcheck.codegen.graph.numbers import UNARY
from derivcheck.codegen.graph.write import Writer
from derivcheck.codegen.lowering.lower import Lowering
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, Size, i_poly
from derivcheck.notation.integers.relations import holds
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.recurrence import loop
from derivcheck.notation.terms.build import ONE, ZERO
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.substitute import substitute, transform
from derivcheck.notation.terms.walk import subterms


@dataclass
class Branch:
    """What one step computes: definitions in order, or a condition with a branch for each answer."""

    steps: list[tuple[str, Node]] = field(default_factory=list)
    condition: Bracket | None = None
    then: Branch | None = None
    other: Branch | None = None

    def nodes(self) -> Iterator[Node]:
        """Every node in it."""
        for _, n in self.steps:
            yield n
        for b in (self.then, self.other):
            if b is not None:
                yield from b.nodes()


@dataclass
class Loop:
    """A group of recurrent definitions, lowered.

    Attributes:
        index: the loop's index.
        down: from the last position to the first.
        group: the definitions; ``axes`` the dimension of each along which the loop runs.
        needed: those whose whole tensor is used after the loop.
    """

    index: Index
    down: bool
    group: tuple[Definition, ...]
    axes: Mapping[str, int]
    body: Branch
    needed: set[str] = field(default_factory=set)

    def names(self) -> list[str]:
        """What it defines."""
        return [d.name for d in self.group]

    def nodes(self) -> list[Node]:
        """What it computes."""
        return list(self.body.nodes())

    def write(self, writer: Writer, scope: Scope) -> None:
        """Write the loop: a list of steps per definition, stacked at the end; or into what they are views of."""
        spell = writer.spelling.numbers
        variable = scope.names.new(self.index.name)
        scope.loops[self.index] = variable
        length = spell.poly(self.index.size)
        views = {d.name for d in self.group if writer.in_memory and d.name in self.needed and d.kind == "float"}
        for d in self.group:
            steps = scope.names.new(f"{d.name}_steps")
            scope.variables[f"{d.name} steps"] = steps
            if d.name in views:
                dtype, device = writer.spelling.dtype, writer.spelling.device
                whole = scope.variables[d.name]
                writer.line(f"{whole} = torch.empty({writer.spelling.sizes(d.dims)}, dtype={dtype}, device={device})")
                writer.line(f"{steps} = {whole}.unbind({self.axes[d.name]})")
            else:
                writer.line(f"{steps} = [None] * {spell.poly(self.index.size, UNARY)}")
        span = f"{spell.use('range')}({length})"
        with writer.block(f"for {variable} in {spell.use('reversed') + f'({span})' if self.down else span}:", [self.index]):
            self._branch(self.body, writer, scope, variable, views)
        scope.names.taken.discard(variable)  # the next loop may use it again
        for d in self.group:
            if d.name in self.needed and d.name not in views:
                writer.line(f"{scope.variables[d.name]} = {self._stacked(d, writer, scope, length)}")
            writer.drop(scope.variables[f"{d.name} steps"])
        writer.whole({d.name: scope.variables[d.name] for d in self.group if d.name in self.needed})

    def _stacked(self, d: Definition, writer: Writer, scope: Scope, length: str) -> str:
        """The text of the steps of a definition as one tensor."""
        text = f"torch.stack({scope.variables[f'{d.name} steps']}, {self.axes[d.name]})"
        if nonnegative(self.index.size - 1, least=0):
            return text
        dtype = "torch.int64" if d.kind == "int" else "torch.bool" if d.kind == "bool" else writer.spelling.dtype
        shape = writer.spelling.sizes(d.dims)
        return f"{text} if {length} else torch.zeros({shape}, dtype={dtype}, device={writer.spelling.device})"

    def _branch(self, b: Branch, writer: Writer, scope: Scope, variable: str, views: set[str]) -> None:
        """Write one step: its definitions, or ``if`` and ``else``."""
        if b.condition is None:
            for name, node in b.steps:
                step = f"{scope.variables[f'{name} steps']}[{variable}]"
                if name in views:
                    writer.into(step, node)
                else:
                    writer.define(step, node)
            return
        assert b.then is not None and b.other is not None
        with writer.block(f"if {writer.spelling.numbers.condition(b.condition)}:"):
            self._branch(b.then, writer, scope, variable, views)
        with writer.block("else:"):
            self._branch(b.other, writer, scope, variable, views)


def lower_group(low: Lowering, group: Sequence[Definition]) -> Loop:
    """The loop of a group of definitions that refer to themselves or to each other."""
    names = ", ".join(d.name for d in group)
    plan = loop(group)
    if plan is None:
        raise UnsupportedOperation(names, "it refers to itself in a way that no loop over one index computes", group[0].place)
    index = group[0].indices[plan.axes[group[0].name]]
    for d in group:
        if d.indices[plan.axes[d.name]].size is not index.size:
            raise UnsupportedOperation(names, "its recurrences run over different sizes", d.place)
    terms: dict[str, Term] = {}
    definitions: dict[str, Definition] = {}
    for d in plan.order:
        own = d.indices[plan.axes[d.name]]
        if own is not index and index in d.indices:
            raise UnsupportedOperation(names, f"the index {index} runs along two dimensions", d.place)
        terms[d.name] = d.term if own is index else substitute(d.term, {own: i_poly(index)})
        definitions[d.name] = d
    before = low.graph.fixed, low.steps
    low.graph.fixed = low.graph.fixed | {index}
    low.steps = {**low.steps, **{n: (a, index) for n, a in plan.axes.items()}}
    try:
        body = _branches(_Steps(low, definitions, plan.axes), index, terms, ())
    finally:
        low.graph.fixed, low.steps = before
    return Loop(index, plan.down, tuple(group), plan.axes, body)


class _Steps:
    """The definitions of a loop as one step computes them; each of their terms is lowered once, for all branches."""

    def __init__(self, low: Lowering, definitions: Mapping[str, Definition], axes: Mapping[str, int]) -> None:
        self.low, self.definitions = low, definitions
        self.indices = {n: tuple(i for a, i in enumerate(d.indices) if a != axes[n]) for n, d in definitions.items()}
        self.known: dict[tuple[str, Term], Node] = {}

    def node(self, name: str, term: Term) -> Node:
        """What computes the term of that definition."""
        d, indices, found = self.definitions[name], self.indices[name], self.known.get((name, term))
        if found is None:
            found = self.known[name, term] = self.low.define_step(d, indices, term)
        else:
            self.low.remember(d, indices, term)
        return found


def _branches(steps: _Steps, k: Index, terms: Mapping[str, Term], known: tuple[tuple[Bracket, bool], ...]) -> Branch:
    """Lower one step, a branch for each answer to a condition on the loop index; ``known`` are the answers so far."""
    conditions = list(dict.fromkeys(t for term in terms.values() for t in subterms(term) if _on_index(t, k)))
    if not conditions:
        return Branch([(name, steps.node(name, term)) for name, term in terms.items()])
    condition = conditions[0]
    assert isinstance(condition, Bracket)
    made: list[Branch | None] = []
    for answer in (True, False):
        truths = (*known, (condition, answer))
        decided = _decided(k, truths, conditions)
        if decided is None:
            made.append(None)
            continue
        new = {n: _assume(t, decided) for n, t in terms.items()}
        made.append(_branches(steps, k, new, truths))
    then, other = made
    if then is None or other is None:
        found = then or other
        assert found is not None
        return found
    return Branch(condition=condition, then=then, other=other)


def _assume(term: Term, decided: Mapping[Term, bool]) -> Term:
    """The term where these conditions are known."""
    if not any(t in decided for t in subterms(term)):
        return term

    def change(t: Term) -> Term:
        if t in decided:
            return ONE if decided[t] else ZERO
        return t

    return transform(term, change)


def _on_index(t: Term, k: Index) -> bool:
    """Whether it is a condition on the loop index (and sizes) alone."""
    return isinstance(t, Bracket) and isinstance(t.operand, Poly) and t.free == frozenset((k,)) and not t.names


def _decided(k: Index, truths: Sequence[tuple[Bracket, bool]], others: Sequence[Term]) -> dict[Term, bool] | None:
    """What the conditions known so far say of the others; None where they cannot hold together.

    Each condition compares k or N − k with a constant, so that trying every k for every N up to a few more than
    the constants shows every case there is.  Where a condition is of another form, nothing is concluded.
    """
    decided: dict[Term, bool] = dict(truths)
    conditions: list[Bracket] = [b for b, _ in truths] + [o for o in others if isinstance(o, Bracket)]
    most = 0
    symbols: set[str] = set()
    for p in [k.size, *(c.operand for c in conditions)]:
        if not isinstance(p, Poly):
            return decided
        symbols |= p.sizes() if p is k.size else {a.name for a in p.atoms() if isinstance(a, Size)}
        for m, c in p.terms:
            plain = not m or len(m) == 1 and m[0][1] == 1 and (m[0][0] is k or isinstance(m[0][0], Size))
            if not plain or (m and abs(c) != 1):
                return decided
            most = max(most, abs(c)) if not m else most
    if len(symbols) > 1 or most > 40:
        return decided
    known = [(*_line(b, k), v) for b, v in truths]
    asked = [_line(b, k) for b in conditions]
    cases: list[list[bool]] = []
    for n in range(2 * most + 5):
        for i in range(int(k.size.evaluate(lambda a, n=n: n))):  # type: ignore[misc]
            if all(holds(r, u * i + v * n + w) == truth for r, u, v, w, truth in known):
                cases.append([holds(r, u * i + v * n + w) for r, u, v, w in asked])
    if not cases:
        return None
    for b, answers in zip(conditions, zip(*cases)):
        if len(set(answers)) == 1:
            decided[b] = answers[0]
    return decided


def _line(b: Bracket, k: Index) -> tuple[str, int, int, int]:
    """What a condition compares with 0: ``u·k + v·N + w``, whatever size N is."""
    assert isinstance(b.operand, Poly)
    u = v = w = 0
    for m, c in b.operand.terms:
        if not m:
            w += c
        elif m[0][0] is k:
            u += c
        else:
            v += c
    return b.relation, u, v, w
