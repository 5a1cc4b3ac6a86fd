"""A gradient in sentences: where the value stands, on which ways it reaches the loss, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from derivcheck.notation.integers.polynomials import Poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import ZERO
from derivcheck.notation.terms.nodes import Term
from derivcheck.notes.abridged.abridge import Shown
from derivcheck.notes.abridged.length import length
from derivcheck.notes.abridged.parts import Portion
from derivcheck.notes.explained.ways import Way, ways
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.steps import Formula, chain, without_upstream
from derivcheck.notes.writing.writer import TermWriter

NO_BREAK = "\N{NO-BREAK SPACE}"
HAN = "\u4e00"  # from here on characters that no space stands between
SHORT = 40  # characters of a slope that is told


@dataclass(frozen=True)
class Sentence:
    """Words, and the formulas that stand below them."""

    text: str
    formulas: tuple[Formula, ...] = ()


class Teller:
    """Tells how the loss changes with values, in one ink and language."""

    def __init__(self, w: TermWriter, table: Symbols, page: Shown, words: Mapping[str, str]) -> None:
        self.w, self.table, self.page, self.words = w, table, page, words

    def story(self, name: str) -> list[Sentence]:
        """The lines that are needed, from the loss back to ``name``."""
        gradients = [d for d in self.page.adjoint.definitions if d.name not in self.page.forward.names]
        last = self.table.adjoint_of_name(name)
        told = [self.begin(name)]
        told += self.outputs()
        for d in gradients:
            told += self.gradient(d, closed=d.name == last)
        return told

    def begin(self, name: str) -> Sentence:
        """Where the value stands in the forward."""
        readers = [d for d in self.page.forward.definitions if name in d.term.names and d.name != name]
        value = self.called(name, self.own(name))
        if not readers:
            return Sentence(self.said("nothing", value=value))
        heads = [self.in_text(self.w.head(d)) for d in readers]
        kind = "line" if len(heads) == 1 else "lines"
        lines = self.said(kind, one=heads[0], many=self.joined(heads))
        return Sentence(self.said("begin", value=value, lines=lines), tuple(f for d in readers for f in self.lines(d)))

    def outputs(self) -> list[Sentence]:
        """What is said of outputs whose gradient comes from outside."""
        if self.table.scalar:
            return []
        found = []
        for bar, name in self.table.upstream_of.items():
            if any(bar in d.term.names for d in self.page.adjoint.definitions if d.name not in self.page.forward.names):
                own = self.page.forward.definition(name).indices if name not in self.page.forward.inputs else ()
                at = tuple(i_poly(i) for i in own)
                found.append(Sentence(self.said("outside", value=self.called(name, at), bar=self.called(bar, at))))
        return found

    def gradient(self, d: Definition, closed: bool) -> list[Sentence]:
        """One gradient: the ways, the chain rule, how the lines change, and the formula."""
        if d.name not in self.table.adjoint_of:
            return self.between(d)
        of = self.table.adjoint_of[d.name]
        value = self.called(of, tuple(i_poly(i) for i in d.indices))
        found = ways(d, self.page, self.table)
        one = without_upstream(d.term, self.table)
        if not found or one is ZERO:
            return [Sentence(self.said("nothing", value=value))]
        left, own = self.w.head(d), tuple(self.w.addends(one))
        if [w.last for w in found] == [True]:
            return [Sentence(self.said("last", value=value), (Formula(left, (own,)),))]
        names = self.on(found)
        over = list(found[0].bound)
        kind = "several" if len(found) > 1 else "summed" if over else "once"
        summed = self.joined([self.in_text(self.w.index(i)) for i in over])
        rule = chain(d, self.w, self.page.forward, self.page.adjoint)
        told = [
            Sentence(
                self.said(kind, value=value, way=names, over=summed),
                (Formula(left, (rule,)),) if rule and rule != own else (),
            )
        ]
        slopes = [self.slope(w, d, of) for w in found]
        if all(slopes) and rule and rule != own:
            told.append(Sentence(self.said("slope", local=self.joined([s for s in slopes if s]))))
        further = self.page.further(d) if closed else None
        rights = [one] if further is None else [one, further]
        told.append(Sentence(self.words["put"], tuple(self.line(d, part, *rights) for part in self.page.parts(d))))
        return [*told, *self.nothing(of, found)]

    def between(self, d: Definition) -> list[Sentence]:
        """A line on the way that is no gradient: of the adjoint of a Cholesky factor."""
        line = Formula(self.w.head(d), (tuple(self.w.addends(without_upstream(d.term, self.table))),))
        others = (x for x in self.page.adjoint.definitions if x.name not in self.page.forward.names)
        first = next(x for x in others if x.name not in self.table.adjoint_of)
        return [Sentence(self.words["between"] if d is first else "", (line,))]

    def nothing(self, of: str, found: list[Way]) -> list[Sentence]:
        """The lines that read the value, and through which nothing comes."""
        taken = {w.through for w in found} | {of}
        rest = [d for d in self.page.forward.definitions if of in d.term.names and d.name not in taken and not d.stop]
        heads = [self.in_text(self.w.head(d)) for d in rest]
        return [Sentence(self.said("zero", ways=self.joined(heads)))] if rest else []

    # -- parts of sentences ---------------------------------------------------------------
    def on(self, found: list[Way]) -> str:
        """All ways in words: directly, through what."""
        names = [self.way(w) for w in found if w.through and not w.last]
        kind = "direct" if not names else "both" if len(names) < len(found) else "through"
        return self.said(kind, ways=self.joined(names))

    def way(self, w: Way) -> str:
        """A way in words: ``ŷ[n,j] for every n``."""
        one = self.called(w.through, w.at)
        over = self.joined([self.in_text(self.w.index(i)) for i in w.bound])
        return self.said("every" if w.bound else "plain", one=one, over=over)

    def slope(self, w: Way, d: Definition, of: str) -> str:
        """``∂ŷ[n,j]/∂W[j,k] = x[n,k]`` as part of a sentence; "" where it is long or no product."""
        if w.last or not w.through or w.slope is None or length(w.slope) > SHORT:
            return ""
        at = tuple(i_poly(i) for i in d.indices)
        local = self.w.partial.format(self.w.place(w.through, w.at), self.w.place(of, at))
        return self.in_text(f"{local} = {self.w.term(w.slope)}")

    def lines(self, d: Definition) -> list[Formula]:
        """A value of the forward, part by part."""
        return [self.line(d, part, d.term) for part in self.page.parts(d)]

    def line(self, d: Definition, part: Portion, *terms: Term) -> Formula:
        """What a part of a definition is."""
        rights = [tuple(self.w.addends(part.of(t))) for t in terms]
        return Formula(self.w.place(d.name, part.at), tuple(dict.fromkeys(rights)), where=self.w.where(part.told))

    def own(self, name: str) -> tuple[Poly, ...]:
        """The places that a gradient's own line counts."""
        d = self.page.adjoint.definition(self.table.adjoint_of_name(name))
        return tuple(i_poly(i) for i in d.indices)

    def called(self, name: str, at: tuple[Poly, ...]) -> str:
        """A value in a sentence."""
        return self.in_text(self.w.place(name, at))

    def in_text(self, formula: str) -> str:
        """A formula inside a sentence."""
        return self.w.formula.format(formula.replace(" ", NO_BREAK) if self.w.formula == "{}" else formula)

    def joined(self, parts: list[str]) -> str:
        """``a, b and c``."""
        if len(parts) < 2:
            return "".join(parts)
        rest = [p.strip() for p in parts[1:]]
        beside = self.words["and"] if rest[-1][0] < HAN else self.words["and"].rstrip()
        return self.words["comma"].join([parts[0], *rest[:-1]]) + beside + rest[-1]

    def said(self, key: str, **parts: str) -> str:
        """The words of that key."""
        loss = self.in_text(self.w.drawn(self.table.loss))
        return self.words[key].format(loss=loss, **parts)
