"""One dimension has one letter throughout: an axis is counted by the same letter in every line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, Size, i_poly
from derivcheck.notation.program.definitions import Definition, Path
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.substitute import rebuild, with_polys
from derivcheck.notation.terms.walk import refs, subterms

_SPARE = "ijklmnpqrstuvhwabcdefgz"


@dataclass
class Letters:
    """The letters of dimensions.

    Attributes:
        of: for each size the letters of its first axis in a tensor, its second, …
        axes: for each tensor the letters of its axes.
        dims: and their sizes.
    """

    of: dict[Poly, list[str]] = field(default_factory=dict)
    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dims: dict[str, tuple[Poly, ...]] = field(default_factory=dict)

    def indices(self, own: Iterable[Index], letters: Iterable[str]) -> dict[Index, Index]:
        """New indices with these letters, all different."""
        found: dict[Index, Index] = {}
        taken: set[tuple[str, int]] = set()
        for i, letter in zip(own, letters):
            found[i] = _free(letter, i.size, taken)
            taken.add((found[i].name, found[i].serial))
        return found


def letters(program: Program, lines: Program | None = None) -> Letters:
    """Letters for the axes of all tensors of a forward: those that its lines count by most, a given text's own.

    ``lines``: the forward as it was before values were written into their uses.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> letters(parse_program("S[i,j] := sum(k: x[i,k]*x[j,k])", {"x": "N D"})).axes
    {'x': ('i', 'k'), 'S': ('i', 'j')}
    """
    found = Letters()
    found.dims = dims = {a.name: a.dims for a in program.arguments} | {d.name: d.dims for d in program.definitions}
    used = _used(lines or program)
    taken: set[str] = set()
    given = {d.name: tuple(i.name for i in d.indices) for d in program.definitions if d.rule == "given"}
    if given:
        given = {a.name: _read(a.name, len(a.dims), program) for a in program.arguments} | given
    wanted: dict[Poly, int] = {}
    for one in dims.values():
        for p in one:
            wanted[p] = max(wanted.get(p, 0), sum(q is p for q in one))
    for p in sorted(wanted, key=lambda p: (p.atom is None, -len(used.get(p, ())))):  # C before C - 1
        own: list[str] = []
        for letter in (*used.get(p, ()), *_of_size(p), *_SPARE):
            if len(own) < wanted[p] and letter not in taken:
                own.append(letter)
                taken.add(letter)
        found.of[p] = own or [next(iter(used.get(p, ("i",))))]
    for name, one in dims.items():
        seen: dict[Poly, int] = {}
        chosen = []
        for axis, p in enumerate(one):
            k = seen.get(p, 0)
            seen[p] = k + 1
            own_letter = given.get(name, ())[axis : axis + 1]
            chosen.append(own_letter[0] if own_letter and own_letter[0] else found.of[p][min(k, len(found.of[p]) - 1)])
        found.axes[name] = tuple(chosen)
    return found


def _of_size(p: Poly) -> list[str]:
    """A letter that says which size is counted: n for N."""
    letter = p.atom.name[0].lower() if isinstance(p.atom, Size) else ""
    return [letter] if letter.isalpha() and letter.isascii() and p.atom is not Size(letter) else []


def _used(program: Program) -> dict[Poly, list[str]]:
    """The letters that each size is counted by in the forward's definitions, the most frequent first."""
    count: dict[Poly, dict[str, int]] = {}
    for d in program.definitions:
        for k, i in enumerate((*d.indices, *(i for t in subterms(d.term) if isinstance(t, Over) for i in t.indices))):
            each = count.setdefault(i.size, {})
            each[i.name] = each.get(i.name, 0) + (2 if k < len(d.indices) else 1)
    return {p: sorted(each, key=lambda n: -each[n]) for p, each in count.items()}


def _read(name: str, rank: int, program: Program) -> tuple[str, ...]:
    """The letters that an input is first read at; "" where a position is no index alone."""
    found = [""] * rank
    for d in program.definitions:
        for r in refs(d.term):
            if r.name == name:
                for k, p in enumerate(r.at):
                    if not found[k] and p.index is not None and p.index.name not in found:
                        found[k] = p.index.name
    return tuple(found)


def _free(letter: str, size: Poly, taken: set[tuple[str, int]]) -> Index:
    """The index of that letter with the fewest primes that is not taken."""
    serial = 0
    while (letter, serial) in taken:
        serial += 1
    return Index(letter, size, serial)


def lettered(program: Program, by: Letters, of: Mapping[str, str] | None = None) -> Program:
    """The Program with its indices named by the letters; a gradient ``x_bar`` has those of x, which ``of`` says.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n] := x[n]^2; z[m] := sum(k: y[k]) + y[m]", {"x": "N"})
    >>> by = Letters({p.dims("x")[0]: ["n"]}, {"x": ("n",), "y": ("n",), "z": ("n",)})
    >>> print(lettered(p, by).definition("z").term)
    sum(n_1: y[n_1]) + y[n]
    """
    names = dict(of or {})
    return replace(program, definitions=tuple(_definition(d, by, names) for d in program.definitions))


def _definition(d: Definition, by: Letters, of: Mapping[str, str]) -> Definition:
    """A definition, and its paths, over renamed indices."""
    wanted = by.axes.get(of.get(d.name, d.name)) or tuple(i.name for i in d.indices)
    env = by.indices(d.indices, wanted)

    def new(t: Term) -> Term:
        return _Renaming(by, of).term(t, env)

    paths = tuple(Path(p.through, new(p.term)) for p in d.paths)
    return replace(d, indices=tuple(env[i] for i in d.indices), term=new(d.term), paths=paths)


class _Renaming:
    """Renames bound indices; ``env`` has the new index of each that is in scope."""

    def __init__(self, by: Letters, of: Mapping[str, str]) -> None:
        self.by, self.of = by, of

    def term(self, t: Term, env: Mapping[Index, Index]) -> Term:
        """The term with new indices."""
        if isinstance(t, Over):
            inner = dict(env)
            bound: list[Index] = []
            for i in t.indices:
                length = _moved(i.size, env)
                taken = {(j.name, j.serial) for k, j in inner.items() if k not in t.indices or k in t.indices[: len(bound)]}
                inner[i] = self._bound(i, length, t.body, taken)
                bound.append(inner[i])
            return Over(t.kind, tuple(bound), self.term(t.body, inner), tuple(_moved(p, env) for p in t.at))
        if t.children:
            return rebuild(t, tuple(self.term(k, env) for k in t.children))
        return with_polys(t, lambda p: _moved(p, env))

    def _bound(self, i: Index, length: Poly, body: Term, taken: set[tuple[str, int]]) -> Index:
        """A bound index: the letter of the axis that it counts, else another of its size, at last with a prime."""
        wishes = [*self._axes(i, body), *self.by.of.get(i.size, ())] or [i.name]
        for letter in wishes:
            if (letter, 0) not in taken:
                return Index(letter, length)
        return _free(wishes[0], length, taken)

    def _axes(self, i: Index, body: Term) -> list[str]:
        """The letters of the axes that an index counts alone, of those of its size where there are any."""
        found: dict[str, bool] = {}
        for r in refs(body):
            name = self.of.get(r.name, r.name)
            for letter, p, size in zip(self.by.axes.get(name, ()), r.at, self.by.dims.get(name, ())):
                if p.index is i:
                    found[letter] = found.get(letter, False) or size is i.size
        whole = [n for n, of_its_size in found.items() if of_its_size]
        return whole or ([] if i.size in self.by.of else list(found))


def _moved(p: Poly, env: Mapping[Index, Index]) -> Poly:
    if p.indices.isdisjoint(env):
        return p
    values: dict[Index, PolyLike] = {i: i_poly(j) for i, j in env.items()}
    return p.substitute(values)
