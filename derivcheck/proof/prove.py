"""Is a hand-written backward the gradient, for every size?

Modular: each definition of the claim is first matched with a definition that the derivation has, the forward's names
standing as they are; what is still open is inlined, the latest name first, as little as needed.  The normal form proves,
numbers refute, and what neither decides is undecided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.program import Definition, Program
from derivcheck.notation.sizes import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms import rename
from derivcheck.proof import polynomials
from derivcheck.proof.atoms import Expression, elements_in
from derivcheck.proof.conditions import conditions
from derivcheck.proof.constants import exact_constants
from derivcheck.proof.equality import MODES
from derivcheck.proof.normal import of_term, vanishes
from derivcheck.proof.refute import Evidence, compared
from derivcheck.proof.report import Part, Proof
from derivcheck.proof.space import OutOfTime, Space, Unreduced
from derivcheck.proof.spelling import expression_text
from derivcheck.proof.substitution import inlined, moved



def prove_programs(forward: Program, adjoint: Program, claimed: Program, *, outputs: Mapping[str, str] | None = None,
                   time_limit: float = 5.0) -> Proof:
    """Whether the claimed gradients are those of the adjoint, for every size.

    Args:
        forward: the forward.
        adjoint: its gradient, as :func:`derivcheck.derivation.sweep.adjoint` derives it.
        claimed: definitions of gradients, over the names of the forward's inputs and definitions and its upstream
            gradient.  An output ``x_bar`` or ``x`` claims the gradient of ``x``; definitions' adjoints may be claimed too.
        outputs: gradient name → the claim's definition of it, where its outputs bear other names.
        time_limit: seconds after which what is open is undecided.

    Raises:
        InputError: an output that names nothing that has a gradient, or a claim that reads unknown names.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.parse import parse_program
    >>> f = parse_program("L := sum(n: x[n]^2)", {"x": "N"})
    >>> b = parse_program("x_bar[n] := 2*x[n]*grad_output", {"x": "N", "grad_output": ""})
    >>> prove_programs(f, adjoint(f), b).status
    'proved'
    """
    read: dict[str, None] = {}
    exact = []
    for p in (forward, adjoint, claimed):
        new, said = exact_constants(p)
        exact.append(new)
        read.update(dict.fromkeys(said))
    proof = _Prover(*exact, outputs or {o: o for o in claimed.outputs}, time_limit).run()
    return replace(proof, conditions=(*read, *proof.conditions)) if read else proof


@dataclass(frozen=True)
class _Claim:
    """A gradient that is claimed: its public name, the definition that claims it, the definition that it should be."""

    name: str
    claim: str
    target: str


class _Prover:
    def __init__(self, forward: Program, adjoint: Program, claimed: Program, outputs: Mapping[str, str], time_limit: float) -> None:
        self.start = perf_counter()
        self.deadline = self.start + time_limit
        self.forward, self.adjoint = forward, adjoint
        own = {d.name for d in forward.definitions} | {d.name for d in adjoint.definitions}
        self.known: dict[str, Definition] = {d.name: d for d in (*forward.definitions, *adjoint.definitions)}
        self.order = {n: k for k, n in enumerate(self.known)}
        self.inputs = {a.name: a for a in (*forward.arguments, *adjoint.arguments)}
        names: dict[str, str] = {}
        for d in claimed.definitions:
            names[d.name] = f"claimed {d.name}" if d.name in own or d.name in self.inputs or d.name in claimed.outputs else d.name
        self.claimed = claimed.rename(names)
        self.claims = list(self._claims(outputs, names))
        self._check_names(claimed)
        self.definitions = dict(self.known)
        for d in self.claimed.definitions:
            self.definitions[d.name] = d
            self.order[d.name] = len(self.order)
        self.alias: dict[str, str] = {}
        self.below = {a.name: a.below for a in self.inputs.values() if a.below is not None}
        self.below.update({a.name: a.below for a in claimed.arguments if a.below is not None})
        self.spaces: dict[int, Space] = {}
        self.forms: dict[tuple[int, str], Expression] = {}
        self.evidence: Evidence | None = None
        self.bridges: dict[str, tuple[tuple[Index, ...], str, tuple[Poly, ...]]] = {}
        self.top = frozenset(i for d in self.definitions.values() for i in d.indices)

    # -- what is claimed ----------------------------------------------------------
    def _claims(self, outputs: Mapping[str, str], names: Mapping[str, str]) -> Iterator[_Claim]:
        upstream = {f"{o}_bar": u.name for o, u in zip(self.forward.outputs, (a for a in self.adjoint.arguments if a.role == "upstream"))}
        for gradient, o in outputs.items():
            bars = [n for n in (f"{gradient}_bar", gradient) if n.endswith("_bar")]
            target = next((n for n in bars if n in self.known), None) or next((upstream[n] for n in bars if n in upstream), None)
            if target is None:
                has = ", ".join(n.removesuffix("_bar") for n in self.known if n.endswith("_bar"))
                raise InputError(f"{gradient!r} is not the name of a gradient here; the gradients are those of {has}")
            yield _Claim(bars[0].removesuffix("_bar") if bars[0] in self.known else gradient.removesuffix("_bar"), names.get(o, o), target)

    def _check_names(self, claimed: Program) -> None:
        have = {**{n: a.dims for n, a in self.inputs.items()}, **{n: d.dims for n, d in self.known.items()}}
        for a in claimed.arguments:
            if a.name not in have:
                raise InputError(f"the backward reads {a.name!r}, which the forward does not have; it has {', '.join(have)}")
            if a.dims != have[a.name]:
                found, wanted = (", ".join(map(str, dims)) for dims in (a.dims, have[a.name]))
                raise InputError(f"the backward reads {a.name} with dimensions ({found}); the forward has ({wanted})")

    # -- the proof ------------------------------------------------------------------
    def run(self) -> Proof:
        parts: list[Part] = []
        try:
            self._match()
        except (OutOfTime, RecursionError):
            pass
        for c in self.claims:
            parts.append(self._one(c))
        spaces = list(self.spaces.values())
        rules = sorted({r for s in spaces for r in s.rules}) if any(p.status == "proved" for p in parts) else []
        assumed = dict.fromkeys((*self.forward.conditions, *self.claimed.conditions))
        assumed.update(dict.fromkeys(conditions((*self.known.values(), *self.claimed.definitions), self.definitions)))
        for s in spaces:
            assumed.update(dict.fromkeys(s.conditions))
        sizes = ", ".join(self.forward.sizes())
        if sizes:
            assumed[f"{sizes} ≥ 1"] = None
        example = self.evidence.counterexample if self.evidence else None
        tried = self.evidence.tried if self.evidence else ()
        return Proof(tuple(parts), tuple(c.replace('claimed ', '') for c in assumed), tuple(rules), example, tried, self.forward.notes,
                     perf_counter() - self.start, self.forward, self.adjoint)

    def _space(self, mode: int) -> Space:
        found = self.spaces.get(mode)
        if found is None:
            found = self.spaces[mode] = Space(self.below, deadline=self.deadline, top=self.top, **MODES[mode])
        return found

    def _form(self, mode: int, name: str) -> Expression:
        """The normal form of a definition, over its own indices, with matched names replaced."""
        found = self.forms.get((mode, name))
        if found is None:
            d = self.definitions[name]
            found = self._bridged(mode, of_term(self._space(mode), rename(d.term, self.alias)))
            self.forms[mode, name] = found
        return found

    def _bridged(self, mode: int, u: Expression) -> Expression:
        """Matched definitions of the claim replaced by those that they are equal to."""
        used = elements_in(u) & self.bridges.keys()
        if not used:
            return u
        space = self._space(mode)
        return inlined(space, u, {n: (self.bridges[n][0], space.one("element", *self.bridges[n][1:])) for n in used})

    def _match(self) -> None:
        """Find, for each definition of the claim, one that is equal to it with the forward's names as they are."""
        space = self._space(0)
        for d in self.claimed.definitions:
            try:
                target = self._equal(space, d)
            except Unreduced:
                target = None
            if target is None:
                continue
            if d.kind == "float":
                self.bridges[d.name] = (d.indices, target.name, _across(d, target))
            elif d.dims == target.dims:
                self.alias[d.name] = target.name

    def _equal(self, space: Space, d: Definition) -> Definition | None:
        own = d.name.removeprefix("claimed ")
        candidates = [k for k in self.known.values() if _wide(k) == _wide(d) and k.kind == d.kind and k.recurrent == d.recurrent]
        candidates.sort(key=lambda k: k.name not in (own, f"{own}_bar"))
        mine = self._form(0, d.name)
        if not d.recurrent:
            mine = self._inlined_claims(space, mine)
        for k in candidates:
            if d.recurrent:  # by induction: equal, if equal whenever all earlier elements are
                if d.dims != k.dims:
                    continue
                mine = self._bridged(0, of_term(space, rename(d.term, {**self.alias, d.name: k.name})))
            flat = {i: as_poly(0) for i in (*d.indices, *k.indices) if i.size.constant == 1}
            pairs = {a: i_poly(b) for a, b in zip(_long(d), _long(k))}
            if moved(space, mine, {**flat, **pairs}) == (moved(space, self._form(0, k.name), flat) if flat else self._form(0, k.name)):
                return k
        return None

    def _inlined_claims(self, space: Space, u: Expression) -> Expression:
        """Names of the claim that matched nothing replaced by what they mean."""
        while True:
            names = [n for n in elements_in(u) if n in self.definitions and n not in self.known
                     and not self.definitions[n].recurrent]
            if not names:
                return u
            last = max(names, key=self.order.__getitem__)
            u = inlined(space, u, {last: (self.definitions[last].indices, self._form(0, last))})

    def _moved(self, space: Space, u: Expression, old: tuple[Index, ...], new: tuple[Index, ...]) -> Expression:
        if old == new:
            return u
        return moved(space, u, {a: i_poly(b) for a, b in zip(old, new)})

    def _one(self, c: _Claim) -> Part:
        start = perf_counter()
        claim = c.claim
        bridge = self.bridges.get(claim)
        if claim == c.target or (bridge is not None and bridge[1] == c.target and self._dims(claim) == self._dims(c.target)):
            return Part(c.name, "proved", (), "as it stands", seconds=perf_counter() - start)
        wrong = self._shape(c, claim)
        if wrong:
            return Part(c.name, "refuted", (), wrong, seconds=perf_counter() - start)
        rest = ""
        for mode in range(len(MODES)):
            try:
                opened, left = self._reduced(mode, claim, c.target)
                if left is None:
                    return Part(c.name, "proved", tuple(opened), _how(MODES[mode], opened), seconds=perf_counter() - start)
                rest = rest or left
            except (OutOfTime, RecursionError):
                rest = rest or "the time limit was reached"
                if mode == 0:
                    self._numbers()
                break
            except Unreduced as e:
                rest = rest or str(e)
            if mode == 0:
                self._numbers()
            if self._refuted(c):
                break
        if self._refuted(c):
            return Part(c.name, "refuted", (), "", seconds=perf_counter() - start)
        return Part(c.name, "undecided", (), rest, seconds=perf_counter() - start)

    def _dims(self, name: str) -> tuple[Poly, ...]:
        return self.definitions[name].dims if name in self.definitions else self.inputs[name].dims

    def _shape(self, c: _Claim, claim: str) -> str:
        found, wanted = self._dims(claim), self._dims(c.target)
        if found == wanted:
            return ""
        return f"it has dimensions ({', '.join(map(str, found))}), expected ({', '.join(map(str, wanted))})"

    def _reduced(self, mode: int, claim: str, target: str) -> tuple[list[str], str | None]:
        """The names that were opened, and what is left of claim − target (None: nothing)."""
        space = self._space(mode)
        indices = self._indices(target)
        left = self._over(mode, claim, indices)
        right = self._over(mode, target, indices)
        d = polynomials.plus(left, polynomials.scaled(right, -1))
        opened: list[str] = []
        if self._recurrent(target) and not self._recurrent(claim):
            return self._induction(mode, claim, target, left, right, indices)
        while True:
            if vanishes(space, d):
                return opened, None
            name = self._next(d)
            if name is None:
                return opened, expression_text(d)
            opened.append(name)
            d = inlined(space, d, {name: (self.definitions[name].indices, self._form(mode, name))})

    def _induction(self, mode: int, claim: str, target: str, left: Expression, right: Expression,
                   indices: tuple[Index, ...]) -> tuple[list[str], str | None]:
        """A closed form that satisfies the recurrence is its solution: one step, the start included."""
        space = self._space(mode)
        own = self.definitions[target].indices
        step = inlined(space, right, {target: (own, self._moved(space, left, indices, own))})
        d = polynomials.plus(left, polynomials.scaled(step, -1))
        space.used("one-step induction")
        opened: list[str] = []
        while True:
            if vanishes(space, d):
                return opened, None
            name = self._next(d)
            if name is None:
                return opened, expression_text(d)
            opened.append(name)
            d = inlined(space, d, {name: (self.definitions[name].indices, self._form(mode, name))})

    def _recurrent(self, name: str) -> bool:
        return name in self.definitions and self.definitions[name].recurrent

    def _indices(self, name: str) -> tuple[Index, ...]:
        if name in self.definitions:
            return self.definitions[name].indices
        return tuple(Index("abcdefgh"[k % 8], p, k // 8) for k, p in enumerate(self.inputs[name].dims))

    def _over(self, mode: int, name: str, indices: tuple[Index, ...]) -> Expression:
        space = self._space(mode)
        if name not in self.definitions:
            return space.one("element", name, tuple(i_poly(i) for i in indices))
        return self._moved(space, self._form(mode, name), self.definitions[name].indices, indices)

    def _next(self, d: Expression) -> str | None:
        """The latest name that can be replaced by what it means: the claim's first, then adjoints, then the forward's."""
        open_ = [n for n in elements_in(d) if n in self.definitions and not self.definitions[n].recurrent]
        return max(open_, key=self.order.__getitem__, default=None)

    # -- numbers ------------------------------------------------------------------
    def _numbers(self) -> None:
        if self.evidence is not None:
            return
        try:
            self.evidence = compared(self._together(), [(c.name, self._named(c.claim), c.target) for c in self.claims
                                                         if self._dims(c.claim) == self._dims(c.target)])
        except UnsupportedOperation:
            self.evidence = Evidence((), None)

    def _refuted(self, c: _Claim) -> bool:
        e = self.evidence
        return e is not None and e.counterexample is not None and e.counterexample.name == c.name

    def _named(self, name: str) -> str:
        return name.replace("claimed ", "claimed_")

    def _together(self) -> Program:
        """One Program that defines the forward, the gradient and the claim."""
        definitions = (*self.known.values(), *(self.claimed.rename({d.name: self._named(d.name) for d in self.claimed.definitions})).definitions)
        return replace(self.adjoint, arguments=tuple(self.inputs.values()), definitions=tuple(definitions))


def _long(d: Definition) -> tuple[Index, ...]:
    return tuple(i for i in d.indices if i.size.constant != 1)


def _wide(d: Definition) -> tuple[Poly, ...]:
    """The dimensions without those of size 1, which ``keepdim`` adds."""
    return tuple(i.size for i in _long(d))


def _across(d: Definition, target: Definition) -> tuple[Poly, ...]:
    """The element of the target that an element of the claim is."""
    own = iter(_long(d))
    return tuple(as_poly(0) if i.size.constant == 1 else i_poly(next(own)) for i in target.indices)


def _how(mode: Mapping[str, bool], opened: list[str]) -> str:
    words = []
    if opened:
        names = list(dict.fromkeys(n.removeprefix("claimed ") for n in opened))
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        words.append(f"with {', '.join(names[:6])}{more} written out")
    if mode.get("expand"):
        words.append("functions written through exp")
    if mode.get("ranges"):
        words.append("ranges split at their ends")
    return "; ".join(words) or "as it stands"
