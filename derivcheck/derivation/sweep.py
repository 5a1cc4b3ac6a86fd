"""The reverse sweep: the adjoint of a Program is a Program.

For each definition, last first: every reference in it receives the definition's adjoint times the local
derivative (SymPy's, node by node), carried through ``Σ`` by linearity and through ``Π`` by exclusion; the
positions are then solved into sums and deltas (:mod:`derivcheck.derivation.positions`).  Each
contribution is one *path* of the chain rule and is kept apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from derivcheck.derivation import matrices
from derivcheck.derivation.cholesky import adjoint_of_factor, factors_named, is_factor
from derivcheck.derivation.positions import solve
from derivcheck.derivation.scalar import derivative
from derivcheck.derivation.tidy import factored, in_own_names
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.polynomials import Index, Poly, Size, fresh, i_poly
from derivcheck.notation.program.definitions import Definition, Input, Path
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.recurrence import groups
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import ONE, ZERO, add, mul, ref
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import freshen, product, substitute
from derivcheck.notation.terms.walk import bound_indices

_Found = dict[tuple[Ref, tuple[Index, ...]], list[Term]]
NOTHING = ""  # no path reaches a definition: its adjoint is 0, is not defined, and is not handed on


@dataclass(frozen=True)
class _Contribution:
    """What one reference receives from one definition: the local derivative under the sums that it stands in."""

    target: str
    at: tuple[Poly, ...]
    bound: tuple[Index, ...]
    local: Term


def adjoint(program: Program, wrt: Iterable[str] | None = None) -> Program:
    """The gradient of a Program as a Program.

    Args:
        program: the forward.
        wrt: names of inputs; default every floating-point input.

    Returns:
        A Program whose inputs are the forward's and the upstream gradient (``grad_output``, one per floating
        output as ``grad_output_0``, … where there are several), and whose outputs are ``<name>_bar``, in the order
        of ``wrt``.  It contains the forward definitions that it needs.

    Raises:
        UnsupportedOperation: a node without a derivative (a ``max`` outside its witness form).

    Source: reverse mode as in Griewank & Walther, *Evaluating Derivatives*, 2nd ed. 2008, section 3.2.

    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.notation.terms.build import ref, mul
    >>> from derivcheck.notation.terms.substitute import summation
    >>> n, i, o = Index("n", size("N")), Index("i", size("in")), Index("o", size("out"))
    >>> y = Definition("y", (n, o), summation([i], mul(ref("x", n, i), ref("w", o, i))))
    >>> f = Program((Input("x", (n.size, i.size)), Input("w", (o.size, i.size))), (y,), ("y",))
    >>> print(adjoint(f, ["w"]).definitions[-1].term)
    sum(n: grad_output[n, o]*x[n, i])
    """
    names = tuple(wrt) if wrt is not None else tuple(a.name for a in program.arguments if a.kind == "float")
    for name in names:
        if program.argument(name).kind != "float":
            raise InputError(f"{name!r} holds {program.argument(name).kind} values and has no gradient; leave it out of wrt")
    return _Sweep(factors_named(apart(program, names)), names).run()


def apart(program: Program, wrt: Iterable[str]) -> Program:
    """The Program with definitions renamed that bear the name of an adjoint to be defined: ``x_bar`` beside an input x.

    A gradient that is derived again has such names; ``<name>_bar`` is then the new adjoint, the old one ``<name>_bar_1``.
    """
    wanted = {f"{n}_bar" for n in wrt}
    taken = program.names | wanted
    names: dict[str, str] = {}
    for d in program.definitions:
        if d.name in wanted:
            k = 1
            while f"{d.name}_{k}" in taken:
                k += 1
            names[d.name] = f"{d.name}_{k}"
            taken |= {names[d.name]}
    return program.rename(names) if names else program


class _Sweep:
    def __init__(self, program: Program, wrt: tuple[str, ...]) -> None:
        """See :func:`adjoint`."""
        self.forward = program
        self.wrt = wrt
        self.active = _active(program, wrt)
        self.paths: dict[str, list[Path]] = {}
        self.contributions: dict[str, list[tuple[str, tuple[Index, ...], _Contribution]]] = {}
        self.alias: dict[str, str] = {}  # adjoint name → the input that it simply is, or NOTHING
        self.out: list[Definition] = []
        self.bar_name = bar_names(program)
        self.upstream = self._upstream()

    def _upstream(self) -> dict[str, list[Input]]:
        """The upstream gradient of each floating output."""
        prefix = "grad_output"
        while any(i == prefix or i.startswith(prefix + "_") for i in self.forward.inputs):
            prefix = "grad_" + prefix
        outs = [o for o in self.forward.outputs if self.forward.kind(o) == "float"]
        found: dict[str, list[Input]] = {}
        for k, o in enumerate(outs):
            name = prefix if len(outs) == 1 else f"{prefix}_{k}"
            found.setdefault(o, []).append(Input(name, self.forward.dims(o), role="upstream"))
        return found

    def run(self) -> Program:
        """Sweep, last definition first, and close the adjoints of the inputs."""
        order = self.forward.definitions
        for group in reversed(groups(order)):
            self._group(group)
        for name in self.wrt:
            self._close(name, self._indices(name), rule="chain rule")
        outputs = tuple(self.bar_name[n] for n in self.wrt)
        ups = tuple(u for o in dict.fromkeys(self.forward.outputs) for u in self.upstream.get(o, ()))
        ups = tuple(sorted(ups, key=lambda u: (len(u.name), u.name)))
        own = (replace(a, role="argument") if a.role == "upstream" else a for a in self.forward.arguments)
        arguments = (*own, *ups)
        f = self.forward
        every = (*order, *self.out)
        whole = Program(arguments, every, outputs, f.conditions, f.notes, "tuple", f.requires, only=f.only)
        return whole.needed(outputs)

    # -- one definition, or one group of mutually recursive ones -------------
    def _group(self, group: Sequence[Definition]) -> None:
        """One definition, or several that refer to each other; those hand on before they are closed: their adjoints do, too."""
        live = [d for d in group if d.name in self.active and (self.contributions.get(d.name) or d.name in self.upstream)]
        if len(group) > 1 or group[0].recurrent:
            live = [d for d in group if d.name in self.active] if live else []
        recurrent = len(group) > 1 or (len(live) == 1 and live[0].recurrent)
        if recurrent:
            for d in live:
                self._propagate(d, self.bar_name[d.name])
        for d in reversed(live):
            self._close(d.name, self._indices(d.name), d.rule, d.place, named=recurrent)
        if not recurrent:
            for d in live:
                if self.alias.get(self.bar_name[d.name]) != NOTHING:
                    self._propagate(d, self.alias.get(self.bar_name[d.name], self.bar_name[d.name]))

    def _indices(self, name: str) -> tuple[Index, ...]:
        """Readable indices for the adjoint of a name: the definition's own, or those of the first reference to it."""
        for d in self.forward.definitions:
            if d.name == name:
                return d.indices
        dims = self.forward.argument(name).dims
        chosen: list[Index] = []
        shares = self.contributions.get(name, ())
        for axis, length in enumerate(dims):
            pick: Index | None = None
            for _, _own, share in shares:
                i = share.at[axis].index
                if i is not None and i.size is length and not any((i.name, i.serial) == (c.name, c.serial) for c in chosen):
                    pick = i
                    break
            if pick is None:
                names = [s.at[axis] for _, _, s in shares if s.at[axis].indices]
                hint = min((i.name for i in names[0].indices), default="a") if names else "abcdefgh"[axis % 8]
                letter = str(length)[0].lower()  # K is counted by k, where that says nothing else
                taken = {*self.forward.names, *self.forward.sizes(), *(i.name for i in chosen)}
                if isinstance(length.atom, Size) and letter.isalpha() and letter not in taken:
                    hint = letter
                pick = fresh(Index(hint, length), chosen)
            chosen.append(pick)
        return tuple(chosen)

    def _propagate(self, d: Definition, bar: str) -> None:
        """Hand the adjoint of ``d`` on to what it refers to."""
        if is_factor(d):
            self._propagate_factor(d, bar)
            return
        cotangent = ref(bar, *d.indices)
        for share in _contributions(d, self.active):
            local = in_own_names(share.local, d)
            self.contributions.setdefault(share.target, []).append(
                (d.name, d.indices, _Contribution(share.target, share.at, share.bound, mul(cotangent, local)))
            )

    def _propagate_factor(self, d: Definition, bar: str) -> None:
        """The same for a Cholesky factor, whose adjoint has lines of its own."""
        lines = adjoint_of_factor(d, bar, (*self.forward.names, *(o.name for o in self.out), *self.bar_name.values()))
        self.out.extend(lines.definitions)
        assert isinstance(d.term, Over)
        moves = dict(zip(d.term.indices, map(i_poly, (lines.rows, lines.columns))))
        found: _Found = {}
        _walk(d, substitute(d.term.body, moves), lines.cotangent, (lines.rows, lines.columns), self.active, found)
        for (r, bound), locals_ in found.items():
            share = _Contribution(r.name, r.at, bound, add(*locals_))
            self.contributions.setdefault(r.name, []).append((d.name, d.indices[:-2], share))

    def _close(self, name: str, targets: tuple[Index, ...], rule: str, place: str | None = None, named: bool = False) -> None:
        """Close an adjoint: the sum of its paths, tidied; ``named``: it was handed on by its name already."""
        bar = self.bar_name[name]
        paths: list[Path] = [Path("", ref(u.name, *targets)) for u in self.upstream.get(name, ())]
        for through, own, share in self.contributions.get(name, ()):
            paths.append(Path(through, _path(targets, own, share)))
        paths = [p for p in paths if p.term is not ZERO]
        named = named or name in self.wrt
        if not paths and not named:
            self.alias[bar] = NOTHING
            return
        if len(paths) == 1 and not paths[0].through and not named:
            self.alias[bar] = self.upstream[name][0].name
            return
        term = factored(add(*(p.term for p in paths)))
        self.out.append(
            Definition(bar, targets, term, rule="chain rule" if not rule else rule, place=place, paths=tuple(paths))
        )


def bar_names(program: Program) -> dict[str, str]:
    """``<name>_bar`` for each name; a definition's steps aside where the name is taken."""
    taken = set(program.names)
    found: dict[str, str] = {}
    for name in (*program.inputs, *(d.name for d in program.definitions)):
        bar = f"{name}_bar"
        while bar in taken:
            bar += "_bar"
        found[name] = bar
        taken.add(bar)
    return found


def _path(targets: tuple[Index, ...], own: tuple[Index, ...], share: _Contribution) -> Term:
    """One contribution over the target's indices."""
    bound = [*own, *share.bound]
    body, positions = share.local, share.at
    # A target index may be the very index that the reference reads there; any other use of its name steps aside.
    for axis, a in enumerate(targets):
        for b in list(bound):
            if (b.name, b.serial) == (a.name, a.serial) and positions[axis].index is not b:
                c = fresh(b, [*bound, *targets, *body.free, *bound_indices(body)])
                move = {b: i_poly(c)}
                body = substitute(body, move)
                positions = tuple(p.substitute(move) for p in positions)
                bound[bound.index(b)] = c
    body = freshen(body, targets)
    return solve(targets, positions, bound, body)


def _active(program: Program, wrt: tuple[str, ...]) -> frozenset[str]:
    """The names through which a gradient flows to ``wrt``."""
    found = set(wrt)
    changed = True
    while changed:  # more than once only where definitions are mutually recursive
        changed = False
        for d in program.definitions:
            if d.name not in found and not d.stop and d.kind == "float" and not d.term.names.isdisjoint(found):
                found.add(d.name)
                changed = True
    return frozenset(found)


def _contributions(d: Definition, active: frozenset[str]) -> list[_Contribution]:
    """The references in a definition with their local derivatives, those at one place added up."""
    found: _Found = {}
    _walk(d, d.term, ONE, (), active, found)
    return [_Contribution(r.name, r.at, bound, add(*locals_)) for (r, bound), locals_ in found.items()]


def _walk(
    d: Definition,
    t: Term,
    cotangent: Term,
    bound: tuple[Index, ...],
    active: frozenset[str],
    found: _Found,
) -> None:
    """Go down to every reference that a gradient flows to, with the local derivative and the sums on the way."""
    if t.names.isdisjoint(active):
        return
    if isinstance(t, Ref):
        if t.name in active:
            found.setdefault((t, bound), []).append(cotangent)
    elif isinstance(t, Add):
        for a in t.args:
            _walk(d, a, cotangent, bound, active, found)
    elif isinstance(t, (Mul, Pow, Func)):
        for k, a in enumerate(t.children):
            if not a.names.isdisjoint(active) and not isinstance(a, (Bracket, Number, SizeOf)):
                _walk(d, a, mul(cotangent, derivative(t, k)), bound, active, found)
    elif isinstance(t, Over) and t.kind in MATRICES:
        over = _freshened(d, t, cotangent, bound)
        rows, columns = over.indices
        _walk(d, over.body, mul(cotangent, matrices.slope(t, rows, columns, d)), bound + over.indices, active, found)
    elif isinstance(t, Over):
        if t.kind not in ("sum", "prod"):
            raise UnsupportedOperation(
                t.kind, "a gradient would have to flow through an extreme; refer to its witness", d.place
            )
        if (solved := matrices.solution(t, active)) is not None:
            _walk_solution(d, solved, cotangent, bound, active, found)
            return
        over = _freshened(d, t, cotangent, bound)
        local = cotangent if t.kind == "sum" else mul(cotangent, _others(over))
        _walk(d, over.body, local, bound + over.indices, active, found)
    elif not isinstance(t, (Bracket, Number, SizeOf)):
        raise UnsupportedOperation(type(t).__name__, "it has no derivative", d.place)


def _freshened(d: Definition, t: Over, cotangent: Term, bound: tuple[Index, ...]) -> Over:
    """The reduction with bound indices that stand nowhere else on the way down."""
    over = freshen(t, [*d.indices, *bound, *cotangent.free, *bound_indices(cotangent)])
    assert isinstance(over, Over)
    return over


def _walk_solution(
    d: Definition,
    solved: matrices.SystemSolution,
    cotangent: Term,
    bound: tuple[Index, ...],
    active: frozenset[str],
    found: _Found,
) -> None:
    """Go down to what is solved for, and to the matrix with the solution itself in the slope."""
    over = _freshened(d, solved.inverse, cotangent, bound)
    rows, columns = over.indices
    _walk(d, over.body, mul(cotangent, solved.slope(rows, columns, d)), bound + over.indices, active, found)
    inner = _freshened(d, solved.term, cotangent, bound)
    again = matrices.solution(inner, active)
    assert again is not None
    for k, a in enumerate(inner.body.children):
        if a is not again.inverse and not a.names.isdisjoint(active) and not isinstance(a, Bracket):
            _walk(d, a, mul(cotangent, derivative(inner.body, k)), bound + inner.indices, active, found)


def _others(t: Over) -> Term:
    """``Π`` over all places but this one: right also where a factor is zero."""
    moves: dict[Index, Poly] = {}
    inner: list[Index] = []
    for i in t.indices:
        j = fresh(i, [*t.indices, *t.body.free, *bound_indices(t.body), *inner])
        moves[i] = i_poly(j)
        inner.append(j)
    same: Term = mul(*(bracket("==", i_poly(j) - i_poly(i)) for i, j in zip(t.indices, inner)))
    different = opposite(same) if len(inner) == 1 else add(ONE, mul(Number(-1), same))
    return product(inner, add(same, mul(different, substitute(t.body, moves))))
