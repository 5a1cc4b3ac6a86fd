"""What is shown of a derivation: the forward that is read, and its gradient, derived again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from derivcheck.derivation.sweep import adjoint as derived
from derivcheck.derivation.sweep import bar_names
from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Func, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.notes.abridged.closed import closed_forms, shorter, with_named_brackets, without_sums_of_nothing
from derivcheck.notes.abridged.length import length
from derivcheck.notes.abridged.letters import Letters, lettered, letters
from derivcheck.notes.abridged.named import names, without_twins
from derivcheck.notes.abridged.ones import without_ones
from derivcheck.notes.abridged.parts import Portion, parts
from derivcheck.notes.abridged.shifts import without_shifts
from derivcheck.notes.abridged.sizes import with_sizes_of_numbers
from derivcheck.notes.abridged.written_in import written_in
from derivcheck.notes.symbols.symbols import prediction

CLOSED = 95  # characters of a closed form
LONG = 700  # characters of a value that has no closed form with all others written in
FEW = 12  # definitions that a gradient in closed form may be looked for in once more


@dataclass(frozen=True)
class Shown:
    """A derivation as it is read.

    Attributes:
        forward: the Program that is shown.
        adjoint: its gradient.
        closed: by the name of a gradient's definition, its closed form where that is short.
        detail: ``operators``, ``names`` or ``result``.
        called: the names of definitions that are shown under another.
        by: the letters of its indices.
    """

    forward: Program
    adjoint: Program
    closed: dict[str, Term] = field(default_factory=dict)
    detail: str = "names"
    called: dict[str, str] = field(default_factory=dict)
    by: Letters = field(default_factory=Letters)

    @property
    def gradients(self) -> list[Definition]:
        """The definitions that are shown of the gradient; of a ``result``, its closed forms and what they need."""
        own = [d for d in self.adjoint.definitions if d.name not in self.forward.names]
        if self.detail == "operators":
            return own
        put = self.closed if self.detail == "result" else self._alone(own)
        short = {d.name: replace(d, term=put.get(d.name, d.term)) for d in own}
        read = replace(self.adjoint, definitions=tuple(short.get(d.name, d) for d in self.adjoint.definitions))
        return [d for d in read.needed(self.adjoint.outputs).definitions if d.name in short]

    def _alone(self, own: list[Definition]) -> dict[str, Term]:
        """Closed forms that stand in place of the formula: all that read the gradient of a value without a name have one."""
        kept = {d.name for d in self.forward.definitions if d.variable} | {prediction(self.forward)}
        bars = bar_names(self.forward)
        found: dict[str, Term] = {}
        for nameless in (bars[d.name] for d in self.forward.definitions if d.name not in kept):
            uses = [d for d in own if nameless in d.term.names and d.name != nameless]
            forms = {d.name: self.further(d) for d in uses}
            if uses and nameless not in self.adjoint.outputs and all(forms.values()):
                found |= {n: t for n, t in forms.items() if t is not None}
        return found

    def parts(self, d: Definition) -> list[Portion]:
        """The parts that a definition is written in."""
        return parts(d, d.term, self.by.of) if self.detail != "operators" else [Portion(tuple(map(as_poly, d.indices)), {})]

    def further(self, d: Definition) -> Term | None:
        """The closed form of a gradient in an input, where it is short and not its formula already."""
        found = self.closed.get(d.name)
        if found is None or found is d.term or d.name not in self.adjoint.outputs or self.detail != "names":
            return None
        return found if length(found) + len(d.name) + 2 * len(d.indices) <= CLOSED else None


def shown(forward: Program, adjoint: Program, detail: str = "names") -> Shown:
    """What is shown of a forward and its gradient.

    Args:
        forward: a Program.
        adjoint: its gradient, as far as it is shown.
        detail: ``operators``: a line per operator; ``names``: what the code does not name is written into its use;
            ``result``: the forward, and the gradients in closed form.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n,c] := x[n,c]*m[n,0]", {"x": "N C", "m": "N 1"})
    >>> print(shown(f, derived(f)).adjoint.definition("m_bar").term)
    sum(c: grad_output[n, c]*x[n, c])
    """
    return _shown(forward, adjoint.outputs, detail)


@lru_cache(maxsize=64)
def _shown(forward: Program, outputs: tuple[str, ...], detail: str) -> Shown:
    """See :func:`shown`; ``outputs`` are those of the gradient."""
    of = {bar: name for name, bar in bar_names(forward).items()}
    wrt = [of[o] for o in outputs]
    plain = without_ones(forward)
    if detail == "operators":
        read = plain
    else:
        hatted = _kept(plain)
        plain = with_sizes_of_numbers(without_twins(without_shifts(plain)))
        read = written_in(plain, (hatted,) if hatted else (), wrt=wrt)
    called = names(read)
    read = read.rename(called)
    by = letters(read, plain)
    read = lettered(read, by)
    back = _gradient(read, wrt, by, each=detail == "operators")
    closed = {} if detail == "operators" else closed_forms(read, back)
    if detail != "operators":
        closed |= _through_all(read, back, closed, wrt, by)
    return Shown(read, back, closed, detail, called, by)


def _kept(plain: Program) -> str:
    """The prediction, where it is not what the loss makes of it: the logarithm of a softmax is written into the loss."""
    name = prediction(plain)
    made = name and not plain.definition(name).variable
    return "" if made and any(isinstance(t, Func) and t.name == "log" for t in subterms(plain.definition(name).term)) else name


def _through_all(read: Program, back: Program, closed: dict[str, Term], wrt: list[str], by: Letters) -> dict[str, Term]:
    """Closed forms from the forward with every value written in that has no name: a softmax's fall out shorter there."""
    hatted = prediction(read)
    nameless = [d for d in read.definitions if not d.variable and d.name != hatted and d.name not in read.outputs]
    if not nameless or len(read.definitions) > FEW:
        return {}
    whole = written_in(read, (hatted,) if hatted else (), limited=False)
    if any(length(d.term) > LONG for d in whole.definitions):  # its gradient is longer still
        return {}
    whole = lettered(whole, by)
    bars = bar_names(read)
    through = {d.name for d in back.definitions if not d.term.names.isdisjoint(bars.values())}
    found = closed_forms(whole, _gradient(whole, wrt, by), direct=True)
    return shorter(closed, {n: t for n, t in found.items() if n in through})


def forget() -> None:
    """Forget the pages that were thought of before, for timing."""
    _shown.cache_clear()


def step_by_step(forward: Program, name: str) -> Shown:
    """What is shown to explain one gradient: every gradient on the way to it stands by itself."""
    page = _shown(forward, (bar_names(forward)[name],), "names")
    return replace(page, adjoint=_gradient(page.forward, [name], page.by, each=True))


def _gradient(read: Program, wrt: list[str], by: Letters, each: bool = False) -> Program:
    """The gradient of what is read, with its letters."""
    back = with_named_brackets(read, without_sums_of_nothing(read, derived(read, wrt), each))
    return lettered(back, by, {bar: name for name, bar in bar_names(read).items()})
