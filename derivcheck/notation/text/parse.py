"""Index text to terms and Programs: the way back from :mod:`derivcheck.notation.text`.

A Program is definitions ``name[i, j] := term`` (``=`` will do), one a line or parted by ``;``::

    y[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]
    L := sum(n, o: (y[n,o] - t[n,o])^2)/(N*out)

``sum prod max min argmax argmin`` bind indices, and so do row and column of a matrix, ``inv(i, j: a[i,j])[p,q]``,
``cholesky(…)[p,q]``, ``det(i, j: a[i,j])``, ``logdet(…)`` and ``logabsdet(…)``; a tensor may stand there itself,
``inv(a)[p,q]``.
``[a <= b]`` is 1 where that holds, else 0; ``^`` or ``**`` is a
power; ``size(n)`` is the size of an index.  Positions may be integer expressions (``x[2*i + u]``, ``x[i // d]``,
``E[ids[n], d]``).  An index takes the size of the dimension in which it stands alone; where there is none,
``i < H`` says it where the index is bound.  ``input x[N, in]``, ``size K`` (which no dimension tells), ``output y`` and
``(no gradient)`` are read as they are printed.  What nothing defines is an input.  Outputs are what no other definition uses.

>>> p = parse_program("y[n,o] := sum(i: x[n,i]*W[o,i])", {"x": "N in", "W": "out in"})
>>> print(p)
input  x[N, in]
input  W[out, in]
y[n, o] := sum(i: x[n, i]*W[o, i])
output y
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from derivcheck.errors import NotationError
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.domains import dropped_conditions, partial
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.dropped import listening
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.text.dims import parse_input, size_expression
from derivcheck.notation.text.latex.equations import is_latex, read_latex
from derivcheck.notation.text.reader import Reader
from derivcheck.notation.text.resolve import Resolver, SizeLink
from derivcheck.notation.text.star_groups import expand_groups
from derivcheck.notation.text.syntax import Declare, Define, Item, complaint, read
from derivcheck.notation.text.whole_matrices import spelt_out


@dataclass(frozen=True)
class TextScope:
    """What the names in a term mean: tensors with their dimensions and kinds, and the free indices."""

    tensors: Mapping[str, Input]
    indices: tuple[Index, ...] = ()

    @classmethod
    def of(cls, program: Program, indices: Iterable[Index] = ()) -> TextScope:
        """The tensors of a Program."""
        tensors = {a.name: a for a in program.arguments}
        tensors.update({d.name: Input(d.name, d.dims, d.kind) for d in program.definitions})
        return cls(tensors, tuple(indices))


def parse_term(text: str, scope: TextScope) -> Term:
    """A term whose names ``scope`` gives.

    Raises:
        NotationError: text that cannot be read, an unknown name, another number of positions than dimensions.

    >>> x = parse_input("x", "N")
    >>> print(parse_term("exp(x[n])/sum(n: exp(x[n]))", TextScope({"x": x}, (Index("n", x.dims[0]),))))
    exp(x[n])/sum(n: exp(x[n]))
    """
    tree = spelt_out(text, read(text, "term"), {n: len(a.dims) for n, a in scope.tensors.items()})
    resolver = Resolver(text, scope.tensors.values(), closed=True)
    free = {i.key: SizeLink(i.key, i.size, explicit=True) for i in scope.indices}
    resolver.fallback = {i.key: i.size for i in scope.indices}
    resolver.walk(tree, free)
    resolver.settle()
    return Reader(text, resolver).term(tree, {i.key: i for i in scope.indices})


def parse_program(
    text: str,
    dims: Mapping[str, str] | None = None,
    groups: Mapping[str, int] | None = None,
    known: Iterable[Input] = (),
) -> Program:
    """A Program from index text, or from LaTeX.

    Args:
        text: definitions, and perhaps ``input`` and ``output`` lines.
        dims: dimensions by input.  Without them each input's follow from the indices that it is used with: an index
            whose size nothing tells gets the size of its name in upper case (``n`` runs below ``N``), the same name
            the same size throughout.
        groups: how many indices each star group ``*n`` stands for.
        known: tensors that the text may read, and need not; what it defines of them has their dimensions.

    Raises:
        NotationError: names what was found and what was expected, with line, column and the text.

    >>> parse_program("y[n] := sum(k: A[n,k]*x[k])").dims("A")
    (N, K)
    """
    latex = is_latex(text)
    offered = {a.name: a for a in known}
    declared = {**offered, **{n: parse_input(n, t) for n, t in (dims or {}).items()}}
    closed = dims is not None or bool(offered)
    statements = read_latex(text, declared.values(), closed) if latex else read(text, "program")
    if groups is not None:
        statements = expand_groups(statements, groups)
    if not latex:
        said = {s.names[0]: len(s.sizes) for s in statements if isinstance(s, Declare) and s.word == "input" and s.names}
        statements = spelt_out(text, statements, {**{n: len(a.dims) for n, a in declared.items()}, **said})
    defines = [s for s in statements if isinstance(s, Define)]
    outputs: list[str] = []
    sizes: set[str] = set()
    for s in statements:
        if isinstance(s, Declare):
            _declare(text, s, declared, outputs, sizes)
    if twice := sorted(sizes & {*declared, *(d.name for d in defines)}):
        raise NotationError(f"{twice[0]} is declared as a size and is a tensor; expected one of them")
    if not defines and not outputs:
        raise NotationError(f"the text defines nothing; expected lines such as 'y[n] := x[n]^2', found {text.strip()[:80]!r}")
    closed = closed or any(isinstance(s, Declare) and s.word == "input" for s in statements)
    own = {d.name for d in defines} & offered.keys()
    resolver = Resolver(text, [a for a in declared.values() if a.name not in own], closed)
    resolver.sizes |= sizes
    resolver.definitions(defines)
    resolver.expect({n: offered[n].dims for n in own})
    resolver.settle()
    if dims is not None:
        _all_used(text, dims, resolver)
    reader = Reader(text, resolver)
    with listening() as heard:
        definitions = tuple(reader.definition(d) for d in defines)
    names = {d.name for d in definitions}
    used: frozenset[str] = frozenset().union(*(d.term.names - {d.name} for d in definitions))
    used = used.union(*(p.names for d in definitions for p in d.dims))
    for o in outputs:
        if o not in names and o not in resolver.inputs:
            raise NotationError(f"output {o!r} is not defined; defined are {', '.join(d.name for d in definitions)}")
    arguments = tuple(a for a in resolver.inputs.values() if a.name not in offered or a.name in used)
    outputs = outputs or [d.name for d in definitions if d.name not in used]
    dropped = partial(heard, {d.name: d for d in definitions})
    return Program(arguments, definitions, tuple(outputs), dropped_conditions(dropped, definitions), dropped=dropped)


def _declare(text: str, s: Declare, declared: dict[str, Input], outputs: list[str], alone: set[str]) -> None:
    """Take an ``input``, ``output`` or ``size`` line; what ``dims=`` says of the same name must agree."""
    if s.word == "output":
        outputs.extend(s.names)
        return
    if s.word == "size" and not s.sizes and not s.kind and s.below is None:
        alone.update(s.names)
        return
    if s.word != "input" or len(s.names) != 1:
        expected = "'input', 'output', 'size' or 'name[indices] := term'"
        raise complaint(text, s.span, f"found {s.word!r} before a name, expected {expected}")
    if s.kind not in ("", "float", "int", "bool"):
        raise complaint(text, s.span, f"found kind {s.kind!r}, expected float, int or bool")
    sizes = tuple(size_expression(x.value if isinstance(x, Item) else x, text) for x in s.sizes)
    new = Input(s.names[0], sizes, s.kind or "float", None if s.below is None else size_expression(s.below, text))
    old = declared.get(new.name)
    if old is not None and (old.dims, old.kind) != (new.dims, new.kind):
        raise complaint(
            text, s.span, f"{new.name} is declared with dimensions {_listed(new.dims)}, but dims gives {_listed(old.dims)}"
        )
    declared.setdefault(new.name, new)


def _all_used(text: str, dims: Mapping[str, str], resolver: Resolver) -> None:
    for name in dims:
        if name not in resolver.seen:
            inferred = [n for n in resolver.inputs if n not in dims] or list(resolver.inputs)
            near = get_close_matches(name, sorted(resolver.seen), 1)
            advice = f"; did you mean {near[0]!r}?" if near else f"; it uses {', '.join(inferred)}"
            raise NotationError(f"dims names {name!r}, which the text does not use{advice}")


def _listed(dims: tuple[Poly, ...]) -> str:
    return ", ".join(map(str, dims)) or "none"
