"""A row says what an operator means: forward only, one place, with samples to test it on.

>>> from derivcheck.notation.terms.build import add, mul
>>> from derivcheck.operators.language.row import find, sample, floats, row
>>> @row("mylib.scaled_add.default", samples=[sample(floats(2, 3), floats(3), scale=2)])
... def scaled_add(b, x, y, scale=1):
...     "z[*n] = x[*n] + scale*y[*n], broadcast."
...     return b.elementwise(lambda p, q: add(p, mul(b.number(scale), q)), x, y)
>>> find("mylib.scaled_add.default").text
'z[*n] = x[*n] + scale*y[*n], broadcast.'

The gradient of ``mylib::scaled_add`` is then derived like that of any other operator.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.terms.nodes import NO_INDICES, Bracket
from derivcheck.notation.terms.walk import refs, subterms
from derivcheck.operators.language.build import NOTHING_KNOWN, Builder, KnownResults
from derivcheck.operators.language.families import load
from derivcheck.operators.language.values import Value

Meaning = Callable[..., Any]
F = TypeVar("F", bound=Meaning)


@dataclass(frozen=True)
class Like:
    """A tensor of a sample: its shape, its kind and how its values are drawn.

    ``values``: ``normal``, ``positive`` (0.5 … 2), ``unit`` (inside −1 … 1), ``open`` (inside 0 … 1), ``simplex``
    (positive, last axis sums to 1), ``signs`` (±1), ``ties`` (few values), ``distinct`` (no ties), ``fixed`` (0.5 … 2,
    no gradient: a buffer), ``unique`` (integers without repeats along the last axis), ``starts`` (in order from 0),
    ``bounds`` (in order from 0 to below − 1), ``shares`` (of below − 1).
    """

    shape: tuple[int, ...]
    kind: str = "float"
    values: str = "normal"
    below: int | None = None


def floats(*shape: int, values: str = "normal") -> Like:
    """A floating-point tensor of a sample."""
    return Like(shape, "float", values)


def ints(*shape: int, below: int, values: str = "normal") -> Like:
    """A tensor of integers ``0 … below−1`` of a sample."""
    return Like(shape, "int", values, below)


def bools(*shape: int) -> Like:
    """A boolean tensor of a sample."""
    return Like(shape, "bool")


@dataclass(frozen=True)
class Dtype:
    """A dtype of a sample, by torch's name."""

    name: str


@dataclass(frozen=True)
class Sample:
    """Arguments to try a row on.

    ``only`` names the overload that they are for, where a row has several; ``fixed`` keeps the sizes numbers; ``rtol`` is
    wider than usual where torch itself computes with constants of less precision.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    only: str = ""
    rtol: float = 1e-8
    fixed: bool = False


def sample(*args: Any, only: str = "", rtol: float = 1e-8, fixed: bool = False, **kwargs: Any) -> Sample:
    """Arguments to try a row on, tensors given by :func:`floats`, :func:`ints` and :func:`bools`."""
    return Sample(args, kwargs, only, rtol, fixed)


@dataclass(frozen=True)
class OperatorRow:
    """What an operator means.

    Attributes:
        names: the torch overloads, ``aten.linear.default``.
        means: ``f(builder, *arguments) -> Value`` or a tuple of Values; arguments are named as in torch's schema.
        samples: arguments to test it on.
        where: the condition under which it holds, in words (``eps > 0``).
        gives: the name of its result where the user's code gives none.
        family: the file that it stands in.
        textbook: the gradient as a textbook writes it, in index text; proved, not trusted.
        refused: why the operator is refused, where it has no honest meaning here.
    """

    names: tuple[str, ...]
    means: Meaning
    samples: tuple[Sample, ...] = ()
    where: str = ""
    gives: str = "z"
    family: str = ""
    textbook: str = ""
    refused: str = ""

    @property
    def name(self) -> str:
        """The short name: ``linear`` of ``aten.linear.default``."""
        return short(self.names[0])

    @property
    def text(self) -> str:
        """The meaning in index text, the first line of the function's docstring."""
        return (inspect.getdoc(self.means) or "").split("\n\n")[0]


_rows: dict[str, OperatorRow] = {}
_loaded = False


def row(*names: str, samples: Sequence[Sample] = (), where: str = "", gives: str = "z", textbook: str = "") -> Callable[[F], F]:
    """Register what an operator means; a decorator of ``f(b, *arguments)``.

    ``b`` is the :class:`~derivcheck.operators.language.build.Builder`.  A tensor arrives as a ``Value`` (``x[n, i]`` is its
    element), an integer as an integer expression or an int, a float as a Fraction or a term; the function returns
    ``b.give(indices, term)``.  ``names`` are torch's: ``mylib.scaled_add.default`` for ``torch.ops.mylib.scaled_add``.

    Raises:
        ValueError: an operator has a row already, or the name is not one of torch's form.
    """

    def register(means: F) -> F:
        """Add the row under each of its names."""
        added = OperatorRow(tuple(names), means, tuple(samples), where, gives, means.__module__.rpartition(".")[2], textbook)
        for name in names:
            if name.count(".") < 2:
                raise ValueError(f"operator {name!r}: expected namespace.operator.overload, for example mylib.{name}.default")
            if "_backward" in name:
                raise ValueError(f"operator {name!r}: a row says what a forward means; a backward is derived")
            if name in _rows:
                raise ValueError(f"operator {name!r} has a row already")
            _rows[name] = added
        return means

    return register


def refuse(*names: str, reason: str, instead: str) -> None:
    """Refuse an operator by name, rather than have it decomposed into something that would not be right."""

    def means(b: Builder, *args: Any, **kwargs: Any) -> Any:
        b.refuse(reason, instead)

    for name in names:
        _rows[name] = OperatorRow((name,), means, family="refused", refused=reason)


def short(name: str) -> str:
    """``linear`` of ``aten.linear.default``."""
    return name.split(".")[1] if "." in name else name


def rows() -> dict[str, OperatorRow]:
    """All rows by the name of the overload."""
    global _loaded
    if not _loaded:
        _loaded = True
        load()
    return _rows


def find(name: str) -> OperatorRow | None:
    """The row of an overload such as ``aten.add.Tensor``, or None.

    A ``_copy`` variant of a view means what the view means.

    >>> find("aten.linear.default").name
    'linear'
    """
    known = rows()
    found = known.get(name)
    if found is None and "_copy." in name:
        found = known.get(name.replace("_copy.", "."))
    return found


_DIMENSIONS = {"dim", "dims", "dim0", "dim1", "dim2", "start_dim", "end_dim"}


def apply(
    found: OperatorRow,
    builder: Builder,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    known: KnownResults = NOTHING_KNOWN,
    name: str = "",
) -> Value | tuple[Value, ...]:
    """Write an operator's meaning into ``builder`` and return its result.

    Args:
        found: the row.
        builder: collects the definitions.
        args, kwargs: the operator's arguments, named as in torch's schema.
        name: the overload, for messages and the definitions' ``rule``.

    Raises:
        UnsupportedOperation: a form of the operator that has no honest meaning here.
    """
    given, named, place = list(args), dict(kwargs), known.place
    if "self" in named:  # Python keeps that word for methods
        given.insert(0, named.pop("self"))
    operator = name or found.names[0]
    signature = inspect.signature(found.means)
    try:
        bound = signature.bind(builder, *given, **named)
    except TypeError as e:
        raise UnsupportedOperation(operator, f"its row does not know these arguments ({e})", place) from None
    for n in _DIMENSIONS & bound.arguments.keys():
        value = bound.arguments[n]
        if any(isinstance(v, Poly) for v in (value if isinstance(value, (list, tuple)) else (value,))):
            reason = f"which dimension it takes depends on a size ({n} is {value})"
            raise UnsupportedOperation(operator, reason, place, "Give that dimension as a number.")
    builder.begin(operator, short(operator), found.gives, known)
    if found.where:
        builder.condition(found.where)
    start = len(builder.definitions)
    result: Value | tuple[Value, ...] = found.means(*bound.args, **bound.kwargs)
    if not operator.startswith("aten."):
        _fit(builder, start, [*bound.args, *bound.kwargs.values()])
    return result


def _fit(builder: Builder, start: int, arguments: Sequence[Any]) -> None:
    """Require the sizes equal that the row takes as equal.

    torch's own operators raise where sizes do not fit, which ties them; the shape function of a user's operator may let
    anything pass.  An index that stands in a condition may go beyond a tensor's end: the condition is there for that.
    """
    dims: dict[str, Sequence[Poly | None]] = {d.name: d.dims for d in builder.definitions}
    for v in arguments:
        if isinstance(v, Value):
            dims[v.name] = v.dims
            for r in refs(v.closed[1]) if v.closed is not None else ():  # a transpose reads the tensor that it is of
                dims.setdefault(r.name, [None if p.index is None else p.index.size for p in r.at])
    for d in builder.definitions[start:]:
        guarded = NO_INDICES.union(*(t.free for t in subterms(d.term) if isinstance(t, Bracket)))
        for r in refs(d.term):
            for length, place in zip(dims.get(r.name, ()), r.at):
                i = place.index
                if i is not None and length is not None and i not in guarded:
                    builder.require(length, "==", i.size)
