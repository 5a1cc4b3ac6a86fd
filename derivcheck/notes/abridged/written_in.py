"""Values that the user's code does not name are written into their uses, while the lines stay short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from derivcheck.derivation.cholesky import is_factor
from derivcheck.derivation.sweep import adjoint
from derivcheck.derivation.tidy import factored
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import MINUS_ONE
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import inline, transform, with_polys
from derivcheck.notation.terms.walk import factors, polys, subterms
from derivcheck.notes.abridged.length import length
from derivcheck.notes.abridged.parts import parts
from derivcheck.notes.abridged.tidied import tidied
from derivcheck.notes.writing.extremes import chosen

WIDTH = 70  # characters of a line that a value is written into, which stands in others, too
LONE, TWO_LINES = 105, 105  # of each addend, and of all, where it stands nowhere else
GRADIENT = 145  # and of a gradient that is read through it,
ADDEND, ADDENDS = 50, 450  # or of each of its addends, and of all
BRIEF = 20  # a softmax is of something with a name where that is longer
SHORT = 24  # what stands in several lines is written into each where it is no longer than this

Meanings = Mapping[str, tuple[tuple[Index, ...], Term]]


def written_in(program: Program, keep: Iterable[str] = (), limited: bool = True, wrt: Iterable[str] | None = None) -> Program:
    """The same Program with values that have no name in the user's code written into their uses.

    Args:
        program: a forward.
        keep: names that stay as they are, like those of ``variable`` and the outputs.
        limited: only while the lines stay short.
        wrt: the inputs whose gradients are read; default all.

    >>> from dataclasses import replace
    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("z[n] := x[n] - m[n]; y[n] := z[n]^2", {"x": "N", "m": "N"})
    >>> nameless = replace(p, definitions=tuple(replace(d, variable="") for d in p.definitions))
    >>> print(written_in(nameless).definitions[0].term)
    (x[n] - m[n])^2
    """
    return _Writing(program, frozenset(keep), limited, frozenset(wrt if wrt is not None else program.inputs)).run()


class _Writing:
    """The definitions as they become shorter in number."""

    def __init__(self, program: Program, keep: frozenset[str], limited: bool, wrt: frozenset[str]) -> None:
        self.program, self.limited, self.wrt = program, limited, wrt
        self.kept = keep | set(program.outputs) | {n for g in program.groups if len(g) > 1 for n in (d.name for d in g)}
        self.now = {d.name: d for d in program.definitions}
        self.floats = {a.name: a.dims for a in program.arguments if a.kind == "float"}
        self.kinds = {a.name: a for a in program.arguments}

    def run(self) -> Program:
        """Each in order; those that were too long for their uses are tried once more."""
        for _ in range(2):
            for d in self.program.definitions:
                if d.name in self.now and self._may_go(self.now[d.name]):
                    self._write(self.now[d.name])
        tidy = (d if d.recurrent else replace(d, term=tidied(d.term)) for d in self.now.values())
        return replace(self.program, definitions=tuple(tidy))

    def _may_go(self, d: Definition) -> bool:
        if d.name in self.kept or d.recurrent or is_factor(d) or d.variable and not self._the_same(d):
            return False
        if self.limited and is_softmax(d.term):
            return False
        return not d.stop or d.kind == "bool" or _constant(d.term, self.now)

    def _the_same(self, d: Definition) -> bool:
        """Whether it is another value under its name again: ``cos = cos[None]``."""
        if not isinstance(d.term, Ref) or any(p.index is not i for p, i in zip(d.term.at, d.indices)):
            return False
        before = self.now[d.term.name].dims if d.term.name in self.now else self.kinds[d.term.name].dims
        return before == d.dims

    def _write(self, d: Definition) -> None:
        """Write a definition into its uses, where all of them stay readable."""
        uses = [u for u in self.now.values() if d.name in u.term.names and u.name != d.name]
        placed = any(d.name in p.names for u in uses for t in subterms(u.term) for p in polys(t) if not _alone(t, d.name))
        if not uses or placed and not isinstance(d.term, SizeOf):
            return
        if any(d.name in p.names for u in self.now.values() for i in u.indices for p in (i.size,)):
            return
        several = len(uses) > 1 and not all(isinstance(u.term, Ref) for u in uses)
        long = length(d.term)
        summed = any(isinstance(t, Over) for t in subterms(d.term))  # a mean has a name where several lines read it
        if self.limited and (several and (long > SHORT or summed) or long > BRIEF and any(_in_softmax(u, d) for u in uses)):
            return
        new = [replace(u, term=tidied(inline(_placed(u.term, d), {d.name: (d.indices, d.term)})), spelling=None) for u in uses]
        if any(d.name in u.term.names for u in new):  # a position within a position
            return
        plain = isinstance(d.term, (Ref, Number))
        if plain or not self.limited or all(self._readable(u, before, len(uses) > 1) for u, before in zip(new, uses)):
            for u in new:
                self.now[u.name] = u
            del self.now[d.name]

    def _readable(self, d: Definition, before: Definition, several: bool) -> bool:
        """Whether the line stays short, and those of the gradients through it; what stands in one line may break it in two."""
        head = len(d.variable or "y") + 2 * len(d.indices) + 4
        whole, piece = widest(d)
        if whole + head > (WIDTH if several else TWO_LINES) or piece + head > (WIDTH if several else LONE):
            return False
        if not any(n in self.floats or n in self.now for n in d.term.names):
            return True
        return _burden(self._alone(d)) <= max(1.0, _burden(self._alone(before)))

    def _alone(self, d: Definition) -> Program:
        """A Program of one definition: what it reads are inputs."""
        inputs = []
        for n in sorted(d.term.names - {d.name}):
            if n in self.now:
                inputs.append(Input(n, self.now[n].dims, self.now[n].kind if not self.now[n].stop else "bool"))
            elif n in self.kinds:
                inputs.append(self.kinds[n] if n in self.wrt else replace(self.kinds[n], kind="bool"))
        return Program(tuple(replace(a, role="argument") for a in inputs), (d,), (d.name,))


def _placed(term: Term, d: Definition) -> Term:
    """A term with a definition of positions written into the positions that read it."""
    if not isinstance(d.term, SizeOf):
        return term
    value = d.term.value

    def put_in(p: Poly) -> Poly:
        entries = [a for a in p.atoms() if isinstance(a, Entry) and a.name == d.name]
        return p.substitute({a: value.substitute(dict(zip(d.indices, a.at))) for a in entries})

    return transform(term, lambda t: with_polys(t, put_in))


def _alone(t: Term, name: str) -> bool:
    """Whether a reference's name is all that is read under it: it stands in no position."""
    return isinstance(t, Ref) and t.name == name and all(name not in p.names for p in t.at)


def _in_softmax(u: Definition, d: Definition) -> bool:
    """Whether a sum would be written into exponentials that are summed again: a softmax is of something with a name."""
    if not any(isinstance(t, Over) for t in subterms(d.term)):
        return False
    sums = [t for t in subterms(u.term) if isinstance(t, Over) and d.name in t.names]
    return any(isinstance(x, Func) and x.name == "exp" and d.name in x.names for t in sums for x in subterms(t.body))


def is_softmax(term: Term) -> bool:
    """Whether it is an exponential over a sum of such, which has a name in every text."""
    parts = [f for f in factors(term) if not isinstance(f, Bracket)]
    below = [f.base for f in parts if isinstance(f, Pow) and f.exponent is MINUS_ONE]
    return len(parts) == 2 and len(below) == 1 and _of_exponentials(*parts) and _of_exponentials(*below)


def _of_exponentials(*terms: Term) -> bool:
    """Whether an exponential is among them, or is what one of them sums."""
    bodies = [t.body if isinstance(t, Over) else t for t in terms]
    return any(isinstance(f, Func) and f.name == "exp" for t in bodies for f in factors(t))


def _constant(term: Term, now: Mapping[str, Definition]) -> bool:
    """Whether it is constant between jumps: nothing with a gradient is read outside of brackets."""
    if isinstance(term, Bracket):
        return True
    if isinstance(term, Ref):
        return term.name in now and now[term.name].stop and _constant(now[term.name].term, now)
    if isinstance(term, Over) and term.kind not in ("sum", "prod"):
        return False
    return all(_constant(k, now) for k in term.children)


def widest(d: Definition) -> tuple[int, int]:
    """About how many characters the longest of its lines has right of the equals sign, and the longest of their addends."""
    lines = [p.of(d.term) for p in parts(d, d.term)]
    return max(map(length, lines)), max(length(a) for t in lines for a in _addends(t))


def _addends(t: Term) -> tuple[Term, ...]:
    """The addends of a sum that is printed as one."""
    return t.args if isinstance(t, Add) and chosen(t) is None else (t,)


def _burden(program: Program) -> float:
    """How hard the longest gradient of a Program is to read: above 1 it is too long, or is many addends of which one is."""
    try:
        found = adjoint(program)
    except UnsupportedOperation:
        return 0.0
    names = program.names
    own = [replace(d, term=tidied(factored(tidied(d.term)))) for d in found.definitions if d.name not in names]
    lines = [p.of(d.term) for d in own for p in parts(d, d.term)]
    return 2.0 if any(map(_repeats, lines)) else max(map(_hardest, lines), default=0.0)


def _repeats(term: Term) -> bool:
    """Whether a sum of products stands in it three times: what is said so often has a name."""
    found = Counter(_sums(term))
    return any(n > 2 and isinstance(t.children[0], Mul) for t, n in found.items())


def _sums(term: Term) -> Iterator[Term]:
    """The sums in a term, as often as they stand in it."""
    if isinstance(term, Over):
        yield term
    for inner in term.children:
        yield from _sums(inner)


def _hardest(term: Term) -> float:
    whole = length(term)
    return min(whole / GRADIENT, max(max(map(length, _addends(term))) / ADDEND, whole / ADDENDS))
