"""The lines of a backward that could be repaired alone: what its definitions would have to be, on numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import CodeType

import numpy as np

from derivcheck.diagnosis.repair.bench import Bench
from derivcheck.diagnosis.repair.clock import clock
from derivcheck.diagnosis.repair.solve import Solution, System
from derivcheck.diagnosis.repair.subject import Backward, near
from derivcheck.diagnosis.scene import Array
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition, Site
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ref
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Ref, Term
from derivcheck.notation.terms.substitute import rename
from derivcheck.notation.values.evaluator import evaluate

LEAST = 0.5  # seconds for whole lines, where single definitions took all


@dataclass(frozen=True)
class RepairSpot:
    """A definition of the backward with what it would have to be; or a variable that it reads, as it alone reads it.

    Attributes:
        operand: the variable, or "".
    """

    definition: Definition
    site: Site
    solution: Solution
    now: Array
    operand: str = ""

    @property
    def span(self) -> tuple[int, int, int, int] | None:
        """First and last line, first and last column of its expression."""
        s = self.site.span
        return None if s is None or None in s else (s[0], s[1], s[2], s[3])  # type: ignore[return-value]


@dataclass
class Spots:
    """The search for them: for all wrong gradients together, and for each.

    Attributes:
        end: when to stop.
    """

    backward: Backward
    end: float
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        self.bench = self.backward.benches[0]

    @cached_property
    def program(self) -> Program | None:
        """The backward's Program, where it is the backward on these data."""
        found = self.backward.claimed
        return None if found is None or not self._values else found.program

    @cached_property
    def _values(self) -> Mapping[str, Array]:
        """The value of each step of the backward's own trace; none where the trace does not give what the code returns."""
        found = self.backward.claimed
        if found is None:
            return {}
        held = {n: np.asarray(getattr(v, "numpy", lambda v=v: v)()) for n, v in found.values.items()}
        given = {**self.bench.values, **{n: t.numpy() for n, t in self.bench.given.items()}, **held}
        try:
            values = evaluate(found.program, {a.name: given[a.name] for a in found.program.arguments}, self.bench.sizes)
        except Exception:  # sizes that the trace does not hold for
            return {}
        every = {**{k: np.asarray(v) for k, v in given.items()}, **values}
        run = self.backward.gradients(self.bench) or {}
        for n, o in found.outputs.items():
            if n in run and not (
                run[n].shape == every[o].shape and np.allclose(run[n], every[o], rtol=1e-8, atol=1e-12, equal_nan=True)
            ):
                return {}
        return every

    def system(self, names: Sequence[str]) -> System | None:
        """The backward with what it should return; these wrong gradients alone are asked to become right."""
        found, program = self.backward.claimed, self.program
        if found is None or program is None:
            return None
        bad = set(self.backward.names) - set(names)
        targets = {}
        for n, o in found.outputs.items():
            right = self.bench.right.get(n)
            if right is not None and n not in bad and right.size == self._values[o].size:
                targets[o] = right.reshape(self._values[o].shape)
        wanted = {o for n, o in found.outputs.items() if n in names}
        return System(program, self._values, self.bench.sizes, targets) if wanted & set(targets) else None

    def of(self, names: Sequence[str]) -> Iterator[RepairSpot]:
        """The definitions that alone could make these gradients right, and leave the right ones so."""
        system, program = self.system(names), self.program
        if system is None or program is None:
            return
        hopeless = {at for at, own in self._by_line().items() if self._hopeless(system, program, own)}
        left = [d for own in self._by_line().values() for d in own if self._at(d) not in hopeless]
        for d in left:
            if clock() > self.end:
                return
            site, solution = self.site(d), system.solve([d.name])
            if solution is not None and site is not None:
                yield RepairSpot(d, site, solution, self._values[d.name])
        yield from self._operands(system, program, left)

    def _by_line(self) -> dict[tuple[str, int], list[Definition]]:
        """The definitions of each line."""
        found: dict[tuple[str, int], list[Definition]] = {}
        for d in self.program.definitions if self.program is not None else ():
            if d.kind == "float" and self.site(d):
                found.setdefault(self._at(d), []).append(d)
        return found

    def _at(self, d: Definition) -> tuple[str, int]:
        site = self.site(d)
        return (site.file, site.line) if site is not None else ("", 0)

    def _hopeless(self, system: System, program: Program, own: Sequence[Definition]) -> bool:
        """Whether nothing that a line computes could make it right, so none of its definitions could alone."""
        seen = _seen(program, own)
        return bool(seen) and clock() <= self.end and system.impossible(seen)

    def _operands(self, system: System, program: Program, left: Sequence[Definition]) -> Iterator[RepairSpot]:
        """The variables that definitions read, each as one definition alone reads it."""
        copies = with_operands(program, {d.name for d in left})
        values = {**self._values, **{c: self._values[n] for c, (_, n) in copies.of.items()}}
        wide = System(copies.program, values, system.sizes, system.targets)
        for copy, (d, n) in copies.of.items():
            if clock() > self.end:
                return
            solution, site = wide.solve([copy]), self.site(d)
            if solution is not None and site is not None:
                values_ = {d.name: solution.values[copy]}
                yield RepairSpot(d, site, replace(solution, values=values_), self._values[n], n)

    def lines(self, names: Sequence[str]) -> dict[tuple[str, int], tuple[Definition, ...]]:
        """The lines that alone could, all that they compute for others changed at once."""
        system, program = self.system(names), self.program
        if system is None or program is None:
            return {}
        good, end = {}, max(self.end, clock() + LEAST)
        for line, own in self._by_line().items():
            if clock() > end:
                break
            seen = _seen(program, own)
            if seen and system.solve(seen) is not None:
                good[line] = tuple(own)
        return good

    def ranked(self, spots: Sequence[RepairSpot]) -> list[tuple[str, int]]:
        """The lines of these spots, the likelier first.

        A line whose result is already what the derivation has is none; the first of the others is likely, since what comes
        before it is right, and so is one that would have to be what the derivation has, and is not.
        """
        by_line: dict[tuple[str, int], list[RepairSpot]] = {}
        for s in spots:
            by_line.setdefault((s.site.file, s.site.line), []).append(s)
        whole = {at: [s for s in here if not s.operand] or here for at, here in by_line.items()}
        last = {at: max(reversed(here), key=_width) for at, here in whole.items()}  # of those that no span tells apart, too
        computed = [at for at in by_line if not all(passes_on(s.definition.term) for s in by_line[at])] or list(by_line)
        wrong = sorted(at for at in computed if not self._derived(last[at].now)) or sorted(computed)
        meant = [
            at for at in wrong if any(self._derived(s.solution.values[s.definition.name]) for s in whole[at] if not s.operand)
        ]
        return list(dict.fromkeys([*wrong[:1], *meant[:1], *wrong[-1:], *wrong]))

    @cached_property
    def derived_lines(self) -> set[tuple[str, int]]:
        """The lines whose result is what the derivation has."""
        last: dict[tuple[str, int], Definition] = {}
        for d in self.program.definitions if self.program is not None else ():
            if d.kind == "float" and (site := self.site(d)):
                last[(site.file, site.line)] = d
        return {at for at, d in last.items() if self._derived(self.value(d.name))}

    def _derived(self, value: Array) -> bool:
        """Whether an array is what some definition of the forward or of the derived gradient has."""
        flat = np.squeeze(value)
        if flat.size < 2 or np.ptp(flat) == 0:
            return False
        return any(near(flat, k) for k in self._known)

    @cached_property
    def _known(self) -> list[Array]:
        return [np.squeeze(v) for v in self.bench.values.values() if v.dtype.kind == "f" and v.size > 1]

    def site(self, d: Definition) -> Site | None:
        """Where a definition stands in code that may be changed."""
        if not d.sites or any(_within(s, c) for s in d.sites for c in self.backward.kept):
            return None
        return d.sites[0]

    def value(self, name: str) -> Array:
        """A definition's value on the data."""
        return self._values[name]


@dataclass(frozen=True)
class Copies:
    """A Program in which each definition reads copies of its own.

    Attributes:
        of: each copy with the definition that reads it, and what it is a copy of.
    """

    program: Program
    of: Mapping[str, tuple[Definition, str]]


def with_operands(program: Program, names: set[str]) -> Copies:
    """A copy of each variable for each of these definitions that reads it; not of what is read once, which is its own."""
    reads = Counter(n for d in program.definitions for n in d.term.names)
    inputs, found = set(program.inputs), dict[str, tuple[Definition, str]]()
    definitions: list[Definition] = []
    for d in program.definitions:
        new: dict[str, str] = {}
        for n in sorted(d.term.names) if d.name in names and not d.recurrent else ():
            if program.kind(n) == "float" and program.dims(n) and (n in inputs or reads[n] > 1):
                new[n] = f"{n} as {d.name} reads it"
                indices = tuple(Index(f"i{k}", p) for k, p in enumerate(program.dims(n)))
                definitions.append(Definition(new[n], indices, ref(n, *indices)))
                found[new[n]] = d, n
        definitions.append(replace(d, term=rename(d.term, new), paths=(), spelling=None) if new else d)
    return Copies(replace(program, definitions=tuple(definitions)), found)


def _seen(program: Program, own: Sequence[Definition]) -> list[str]:
    """Those of some definitions that others read, or that are returned."""
    names = {d.name for d in own}
    read = set(program.outputs).union(*(d.term.names for d in program.definitions if d.name not in names))
    return [d.name for d in own if d.name in read]


def passes_on(term: Term) -> bool:
    """Whether it computes nothing: an element that is read, or of several the one whose condition holds."""
    if isinstance(term, Add):
        return all(passes_on(a) for a in term.args)
    if isinstance(term, Mul):
        values = [a for a in term.args if not isinstance(a, Bracket)]
        return len(values) == 1 < len(term.args) and isinstance(values[0], Ref)
    return isinstance(term, Ref)


def _width(s: RepairSpot) -> int:
    return s.span[3] - s.span[2] if s.span is not None else 0


def _within(site: Site, code: CodeType) -> bool:
    if site.file != code.co_filename or site.function != code.co_name:
        return False
    lines = [n for _, _, n in code.co_lines() if n is not None]
    return bool(lines) and min(code.co_firstlineno, *lines) <= site.line <= max(lines)
