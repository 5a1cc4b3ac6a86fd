"""Values that the user's code does not name are written into their uses, while the lines stay short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import opposite
from derivcheck.notation.terms.build import MINUS_ONE, add, mul, neg
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Ref, Term, is_negative
from derivcheck.notation.terms.substitute import inline, reduction, substitute, transform
from derivcheck.notation.terms.walk import factors, polys, subterms
from derivcheck.notes.symbols.symbol import Symbol
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.ink import Unicode

WIDTH = 70  # characters of a line that a value is written into
GRADIENT = 100  # and of a gradient that is read through it
SHORT = 24  # what stands in several lines is written into each where it is no longer than this

Meanings = Mapping[str, tuple[tuple[Index, ...], Term]]


def written_in(program: Program, keep: Iterable[str] = (), limited: bool = True) -> Program:
    """The same Program with values that have no name in the user's code written into their uses.

    Args:
        program: a forward.
        keep: names that stay as they are, like those of ``variable`` and the outputs.
        limited: only while the lines stay short.

    >>> from dataclasses import replace
    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("z[n] := x[n] - m[n]; y[n] := z[n]^2", {"x": "N", "m": "N"})
    >>> nameless = replace(p, definitions=tuple(replace(d, variable="") for d in p.definitions))
    >>> print(written_in(nameless).definitions[0].term)
    (x[n] - m[n])^2
    """
    return _Writing(program, frozenset(keep), limited).run()


class _Writing:
    """The definitions as they become shorter in number."""

    def __init__(self, program: Program, keep: frozenset[str], limited: bool) -> None:
        self.program, self.limited = program, limited
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
        return replace(self.program, definitions=tuple(self.now.values()))

    def _may_go(self, d: Definition) -> bool:
        if d.variable or d.name in self.kept or d.recurrent:
            return False
        return not d.stop or d.kind == "bool" or _constant(d.term, self.now)

    def _write(self, d: Definition) -> None:
        """Write a definition into its uses, where all of them stay readable."""
        uses = [u for u in self.now.values() if d.name in u.term.names and u.name != d.name]
        if not uses or any(
            d.name in p.names for u in uses for t in subterms(u.term) for p in polys(t) if not _alone(t, d.name)
        ):
            return
        if any(d.name in p.names for u in self.now.values() for i in u.indices for p in (i.size,)):
            return
        if self.limited and (len(uses) > 1 and length(d.term) > SHORT or any(_in_softmax(u, d) for u in uses)):
            return
        new = [replace(u, term=tidied(inline(u.term, {d.name: (d.indices, d.term)})), spelling=None) for u in uses]
        plain = isinstance(d.term, (Ref, Number))
        if plain or not self.limited or all(self._readable(u, before) for u, before in zip(new, uses)):
            for u in new:
                self.now[u.name] = u
            del self.now[d.name]

    def _readable(self, d: Definition, before: Definition) -> bool:
        """Whether the line stays short, and those of the gradients through it."""
        if length(d.term) + len(d.name) + 3 * len(d.indices) + 4 > WIDTH:
            return False
        if not any(n in self.floats or n in self.now for n in d.term.names):
            return True
        return _longest_gradient(self._alone(d)) <= max(GRADIENT, _longest_gradient(self._alone(before)))

    def _alone(self, d: Definition) -> Program:
        """A Program of one definition: what it reads are inputs."""
        inputs = []
        for n in sorted(d.term.names - {d.name}):
            if n in self.now:
                inputs.append(Input(n, self.now[n].dims, self.now[n].kind if not self.now[n].stop else "bool"))
            elif n in self.kinds:
                inputs.append(self.kinds[n])
        return Program(tuple(replace(a, role="argument") for a in inputs), (d,), (d.name,))


def _alone(t: Term, name: str) -> bool:
    """Whether a reference's name is all that is read under it: it stands in no position."""
    return isinstance(t, Ref) and t.name == name and all(name not in p.names for p in t.at)


def _in_softmax(u: Definition, d: Definition) -> bool:
    """Whether a sum would be written into exponentials that are summed again: a softmax is of something with a name."""
    if not any(isinstance(t, Over) for t in subterms(d.term)):
        return False
    sums = [t for t in subterms(u.term) if isinstance(t, Over) and d.name in t.names]
    return any(isinstance(x, Func) and x.name == "exp" and d.name in x.names for t in sums for x in subterms(t.body))


def _constant(term: Term, now: Mapping[str, Definition]) -> bool:
    """Whether it is constant between jumps: nothing with a gradient is read outside of brackets."""
    if isinstance(term, Bracket):
        return True
    if isinstance(term, Ref):
        return term.name in now and now[term.name].stop and _constant(now[term.name].term, now)
    if isinstance(term, Over) and term.kind not in ("sum", "prod"):
        return False
    return all(_constant(k, now) for k in term.children)


def length(term: Term) -> int:
    """About how many characters it is printed with."""
    return len(_PEN.term(term).replace(" · ", "·"))


def _longest_gradient(program: Program) -> int:
    """How long the longest gradient of a Program is when it is printed."""
    try:
        found = adjoint(program)
    except UnsupportedOperation:
        return 0
    names = program.names
    return max((length(d.term) for d in found.definitions if d.name not in names), default=0)


def tidied(term: Term) -> Term:
    """A term that was put together: brackets of brackets, and minus signs that stand in front of all addends.

    >>> from derivcheck.notation.terms.build import number, ref
    >>> print(tidied(mul(number(-2), add(mul(number(-1), ref("a")), mul(number(-1), ref("b"))))))
    2*(a + b)
    """
    return transform(term, _tidy)


def _tidy(t: Term) -> Term:
    """One node of :func:`tidied`."""
    if isinstance(t, Bracket) and t.relation in ("==", "!=") and isinstance(t.operand, Bracket):
        return t.operand if t.relation == "!=" else opposite(t.operand)
    if isinstance(t, Over) and t.kind == "sum" and (found := _picked(t)) is not None:
        return tidied(found)
    if isinstance(t, Add) and any(_minus_sum(a) is not None for a in t.args):
        return add(*(x for a in t.args for x in _spread(a)))
    if isinstance(t, Mul):
        turned = [a for a in t.args if isinstance(a, Add) and all(map(is_negative, a.args))]
        if turned:
            rest = [a for a in t.args if a not in turned]
            return mul(Number((-1) ** len(turned)), *rest, *(add(*(mul(Number(-1), x) for x in a.args)) for a in turned))
    return t


def _picked(t: Over) -> Term | None:
    """``Σ_k [k = 1]·f(k)`` as ``f(1)``, where 1 is surely one of the places."""
    for b in factors(t.body):
        if not isinstance(b, Bracket) or b.relation != "==" or not isinstance(b.operand, Poly):
            continue
        for k in t.indices:
            found = b.operand.linear_in(k)
            if found is None or abs(found[0]) != 1:
                continue
            at = -found[1] * found[0]
            surely = at.constant is not None and k.size.constant is not None and 0 <= at.constant < k.size.constant
            if surely or at.index is not None and at.index.size is k.size and at.index not in t.indices:
                rest = mul(*(f for f in factors(t.body) if f is not b))
                return reduction("sum", tuple(i for i in t.indices if i is not k), substitute(rest, {k: at}))
    return None


def _minus_sum(t: Term) -> Add | None:
    """The sum that a term is with a minus in front."""
    if isinstance(t, Mul) and len(t.args) == 2 and t.args[0] is MINUS_ONE and isinstance(t.args[1], Add):
        return t.args[1]
    return None


def _spread(t: Term) -> tuple[Term, ...]:
    """The addends of minus a sum; anything else as it is."""
    whole = _minus_sum(t)
    return (t,) if whole is None else tuple(neg(a) for a in whole.args)


_PEN = Unicode(
    Symbols({"grad_output": Symbol("y", bars=1)}, {}, {}, False, Symbol("L")),
)
