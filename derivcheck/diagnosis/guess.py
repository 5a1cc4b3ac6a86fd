"""A guess: a mistake in words, with the gradient that it would give at any case; and the places of an adjoint to change."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from derivcheck.diagnosis.scene import Array, Scene, backward_definitions
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.substitute import rebuild, transform

Put = Callable[[Term], Term]


@dataclass(frozen=True)
class Guess:
    """A hypothesis.

    Attributes:
        kind: the family of mistakes.
        sentence: what is wrong, in the words of the field; the name of the input is put before it.
        predict: the gradient that a backward with this mistake gives at a scene, or None where it would not run there.
        certain: it was seen by running the backward itself, and needs no other sizes to confirm it.
        alternatives: other explanations of the same numbers.
        tell_apart: the input that would tell it from another explanation, or "".
        key: equal for guesses that predict the same, or None.
        terms: the definitions of the adjoint that read otherwise, where it is such a guess.
    """

    kind: str
    sentence: str
    predict: Callable[[Scene], Array | None]
    certain: bool = False
    alternatives: tuple[str, ...] = ()
    tell_apart: str = ""
    key: Hashable = None
    terms: Mapping[str, Term] | None = None


Family = Callable[[Scene, "list[Scene]"], Iterator[Guess]]


@dataclass(frozen=True)
class Example:
    """A wrong and a right backward that run: index text, or a function ``(grad_output=…, **inputs) -> dict``.

    Attributes:
        forward, dims: the forward as index text.
        parameter: the input whose gradient is wrong.
        wrong, right: the backwards.
        says: words that the diagnosis of the wrong one contains.
        special: inputs with values of their own, by name, as nested lists.
        transposed: the upstream gradient arrives transposed in memory.
    """

    forward: str
    dims: Mapping[str, str]
    parameter: str
    wrong: str | Callable[..., Any]
    right: str | Callable[..., Any]
    says: str
    special: Mapping[str, Any] | None = None
    transposed: bool = False


def occurrences(term: Term, bound: tuple[Index, ...] = ()) -> Iterator[tuple[Term, Put, tuple[Index, ...]]]:
    """Each node with a function that puts another in its place, and the indices bound around it."""
    yield term, lambda new: new, bound
    inner = bound + term.indices if isinstance(term, Over) else bound
    kids = term.children
    for k, kid in enumerate(kids):
        for node, deeper, around in occurrences(kid, inner):
            yield node, partial(_put, term, k, deeper), around


def _put(term: Term, k: int, deeper: Put, new: Term) -> Term:
    """The term with something else inside its ``k``-th part."""
    kids = term.children
    return rebuild(term, kids[:k] + (deeper(new),) + kids[k + 1 :])


@dataclass(frozen=True)
class Spot:
    """One place in one definition of the adjoint."""

    definition: Definition
    node: Term
    put: Put
    bound: tuple[Index, ...]

    def changed(self, new: Term) -> dict[str, Term]:
        """The definition with another term at this place."""
        return {self.definition.name: self.put(new)}


def spots(scene: Scene) -> Iterator[Spot]:
    """Every place of the adjoint, tidied and path by path, nearest to the input first; or of its one term."""
    if scene.deep:
        yield from _deep(scene)
        return
    for d in backward_definitions(scene.program, scene.case.forward):
        for node, put, bound in occurrences(d.term):
            yield Spot(d, node, put, bound)
        if len(d.paths) < 2 and (not d.paths or d.paths[0].term is d.term):
            continue
        for k, path in enumerate(d.paths):
            rest = [p.term for j, p in enumerate(d.paths) if j != k]
            for node, put, bound in occurrences(path.term):
                yield Spot(d, node, partial(_beside, rest, put), bound)


def _deep(scene: Scene) -> Iterator[Spot]:
    final = scene.program.definition(f"{scene.name}_bar")
    whole = scene.inlined
    if whole is not None and whole is not final.term:
        for node, put, bound in occurrences(whole):
            yield Spot(final, node, put, bound)


def _beside(rest: list[Term], put: Put, new: Term) -> Term:
    return add(*rest, put(new))


def exchanged(old: Term, new: Term) -> Put:
    """The change that puts one term in the place of another."""
    return lambda t: new if t is old else t


def everywhere(scene: Scene, change: Callable[[Term], Term]) -> dict[str, Term]:
    """The definitions of the adjoint that a change of nodes alters, altered."""
    found = {}
    for d in backward_definitions(scene.program, scene.case.forward):
        new = transform(d.term, change)
        if new is not d.term:
            found[d.name] = new
    return found


def edited(kind: str, sentence: str, terms: Mapping[str, Term]) -> Guess:
    """The guess that these definitions of the adjoint read otherwise."""
    return Guess(kind, sentence, lambda s: s.changed(terms), key=frozenset(terms.items()), terms=terms)


def reread(kind: str, sentence: str, forward: Program) -> Guess:
    """The guess that the backward belongs to another forward."""
    return Guess(kind, sentence, lambda s: s.rederived(forward), key=forward.definitions)


def forward_with(program: Program, name: str, term: Term) -> Program:
    """The forward with one definition that reads otherwise; its own torch spelling no longer holds."""
    definitions = tuple(replace(d, term=term, spelling=None) if d.name == name else d for d in program.definitions)
    return replace(program, definitions=definitions)


def place(scene: Scene, definition: Definition) -> str:
    """Where in the chain rule a definition of the adjoint stands, in words."""
    target = definition.name.removesuffix("_bar")
    return "" if target == scene.name else f" in the gradient of {target}"


def short(term: Term, most: int = 90) -> str:
    """The text of a term, cut where it is long."""
    text = str(term)
    return text if len(text) <= most else text[: most - 1] + "…"
