"""Values made of others by a type: ``vec3(x)``, ``mat3(…)``, ``float3{…}``, ``S{a, b}``."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.kernels.cuda.source.types import (
    FLOAT,
    INT,
    Array,
    Auto,
    Matrix,
    Pointer,
    Quaternion,
    Scalar,
    Struct,
    Type,
    Vector,
)
from derivcheck.kernels.cuda.values.arithmetic import converted
from derivcheck.kernels.cuda.values.values import Aggregate, Braces, CNumber, CRef, Null, Refused, Value, aggregate_of, filled


def constructed(kind: Type, given: Sequence[Value]) -> Value:
    """The value of a type made of arguments, as its constructor makes it."""
    if len(given) == 1 and isinstance(given[0], Braces):
        return braced(kind, given[0])
    given = [g if not isinstance(g, Braces) else braced(kind, g) for g in given]
    if len(given) == 1 and isinstance(given[0], Aggregate) and given[0].type == kind:
        return given[0]
    if isinstance(kind, Auto) and len(given) == 1:
        return given[0]
    if isinstance(kind, Scalar):
        if len(given) > 1 or given and not isinstance(given[0], CNumber):
            raise Refused(f"{kind.name}()", "it is made of what is no number")
        return converted(given[0], kind) if given else CNumber(0, kind)
    if isinstance(kind, Vector):
        return _vector(kind, given)
    if isinstance(kind, Matrix):
        return _matrix(kind, given)
    if isinstance(kind, Quaternion) and given:
        return _quaternion(kind, given)
    if isinstance(kind, Pointer) and len(given) == 1 and isinstance(given[0], (CRef, Null)):
        of = given[0].type if isinstance(given[0], CRef) else kind.to
        if of != kind.to and not (isinstance(of, Scalar) and isinstance(kind.to, Scalar) and of.real and kind.to.real):
            raise Refused("a cast of a pointer", "the memory is read as of another type")
        return given[0]
    if not given:
        return filled(kind, CNumber(0, INT))
    raise Refused("a constructor", f"a {type(kind).__name__.lower()} is not read from these arguments")


def braced(kind: Type, given: Braces) -> Value:
    """The value of a type that a list in braces gives."""
    items = given.items
    if isinstance(kind, Auto):
        raise Refused("a list in braces", "nothing says its type")
    if isinstance(kind, (Array, Struct)):
        if isinstance(kind, Array):
            count = kind.n if kind.n is not None else len(items)
            if len(items) == 1 and isinstance(items[0], Braces) and not isinstance(kind.of, (Array, Struct, Vector, Matrix)):
                return braced(kind, items[0])  # std::array<float, 3>{{…}}
            types: list[Type] = [kind.of] * count
            kind = Array(kind.of, count)
        else:
            types = [t for _, t in kind.fields]
        if len(items) > len(types):
            raise Refused("a list in braces", f"it has {len(items)} items for {len(types)} places")
        refuse_made(kind)
        left = [n for n, _ in kind.fields[len(items) :] if n in kind.own] if isinstance(kind, Struct) else []
        if left:
            raise Refused("a list in braces", f"{left[0]} holds a value of its own where none is given", "Give it.")
        made = [_item(t, i) for t, i in zip(types, items)]
        return Aggregate(kind, tuple(made + [filled(t, CNumber(0, INT)) for t in types[len(made) :]]))
    if isinstance(kind, Scalar) and len(items) == 1:
        return constructed(kind, items)
    return constructed(kind, items) if items else filled(kind, CNumber(0, FLOAT))


def refuse_made(kind: Type) -> None:
    """Refuse to make a value of a struct that has a constructor."""
    if isinstance(kind, Struct) and kind.made:
        raise Refused(f"the constructor of {kind.name}", "it is not read", "Give the fields in braces.")


def _item(kind: Type, item: Value) -> Value:
    if isinstance(item, Braces):
        return braced(kind, item)
    return converted(item, kind)


def _flat(given: Sequence[Value]) -> list[Value]:
    found: list[Value] = []
    for v in given:
        found += v.items if isinstance(v, Aggregate) and isinstance(v.type, Vector) else [v]
    return found


def _vector(kind: Vector, given: Sequence[Value]) -> Value:
    """A vector of the numbers given: a single one fills it, a longer vector is cut."""
    items = _flat(given)
    if len(items) == 1 and len(given) == 1 and isinstance(given[0], CNumber):
        items = items * kind.n
    if not items:
        items = [CNumber(0, INT)] * kind.n
    if len(given) == 1 and len(items) > kind.n:
        items = items[: kind.n]
    if len(items) != kind.n or not all(isinstance(i, CNumber) for i in items):
        raise Refused("a constructor", f"a vector of {kind.n} is made of {len(items)} numbers")
    return Aggregate(kind, tuple(converted(i, kind.of) for i in items))


def _quaternion(kind: Quaternion, given: Sequence[Value]) -> Value:
    """``quat(w, x, y, z)`` and ``quat(w, vector)``; x, y, z, w in memory."""
    items = _flat(given)
    if len(given) in (2, 4) and len(items) == 4 and all(isinstance(i, CNumber) for i in items):
        return Aggregate(kind, tuple(converted(i, kind.of) for i in (*items[1:], items[0])))
    raise Refused("a constructor", "a quaternion is made of w, x, y, z")


def _matrix(kind: Matrix, given: Sequence[Value]) -> Value:
    """A matrix of another one, of a number on its diagonal, or of entries column by column."""
    zero, one = CNumber(0.0, FLOAT), CNumber(1.0, FLOAT)
    if len(given) == 1 and isinstance(given[0], Aggregate) and isinstance(given[0].type, Matrix):
        other = given[0]

        def entry(path: tuple[int, ...]) -> Value:
            i, j = path
            column = other.items[i] if i < len(other.items) else None
            if isinstance(column, Aggregate) and j < len(column.items):
                return column.items[j]
            return one if i == j else zero

        return aggregate_of(kind, entry)
    if len(given) == 1 and isinstance(given[0], CNumber):
        number = converted(given[0], FLOAT)
        return aggregate_of(kind, lambda path: number if path[0] == path[1] else zero)
    items = _flat(given)
    if not items:
        return filled(kind, zero)
    if len(items) != kind.columns * kind.rows or not all(isinstance(i, CNumber) for i in items):
        raise Refused("a constructor", f"a matrix of {kind.columns * kind.rows} entries is made of {len(items)} numbers")
    return aggregate_of(kind, lambda path: converted(items[path[0] * kind.rows + path[1]], FLOAT))


def element_type(kind: Type, k: int) -> Type:
    """The type of an element."""
    if isinstance(kind, (Array, Vector, Quaternion)):
        return kind.of
    if isinstance(kind, Matrix):
        return kind.column
    raise Refused(f"[{k}]", "it is taken of what has no elements")
