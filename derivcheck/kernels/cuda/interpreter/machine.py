"""Call expressions: what is called, a function of the source or what the language, CUDA or glm provide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from derivcheck.kernels.cuda.interpreter.calls import Argument, Calls
from derivcheck.kernels.cuda.interpreter.scopes import CScope, declared_name
from derivcheck.kernels.cuda.source.syntax import text
from derivcheck.kernels.cuda.source.types import (
    FLOAT,
    INT,
    Array,
    Auto,
    Matrix,
    Struct,
    Type,
    Vector,
    known_type,
)
from derivcheck.kernels.cuda.values import mathematics, quaternion_functions
from derivcheck.kernels.cuda.values.construct import constructed, refuse_made
from derivcheck.kernels.cuda.values.memory import moved, part, settled, type_of
from derivcheck.kernels.cuda.values.values import (
    Aggregate,
    Braces,
    CNumber,
    CRef,
    Referred,
    Refused,
    Unset,
    Value,
    aggregate_of,
    filled,
)

if TYPE_CHECKING:
    from tree_sitter import Node

_CASTS = ("static_cast", "reinterpret_cast", "const_cast")
_ATOMIC = ("atomicAdd", "gpuAtomicAdd", "atomicSub", "atomicMax", "atomicMin", "atomicExch", "atomicCAS")


class Machine(Calls):
    """Reads functions."""

    def _call_expression(self, node: Node, scope: CScope) -> Value:
        found = self.called(node, scope)
        return self._decayed(found.place) if isinstance(found, Referred) else found

    def called(self, node: Node, scope: CScope) -> Value:
        """What a call gives: a value, or the place that it refers to."""
        function, listed = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        assert function is not None and listed is not None
        given = [n for n in listed.named_children if n.type != "comment"]
        if function.type == "field_expression":
            own_thread = self.thread_call(function, scope)
            return own_thread if own_thread is not None else self._method(function, given, scope)
        if function.type == "primitive_type":
            return self.construction(self.types.read(function, scope), given, scope)
        if function.type == "parenthesized_expression" and len(given) == 1:  # ``(T)(x)``
            cast = self.types.find(text(function).strip("()"), scope)
            if cast is not None:
                return constructed(cast, [self.value(given[0], scope)])
        name, template = _split(function)
        if "numeric_limits<float>::max" in text(function) and not given:
            return CNumber(3.4028234663852886e38, FLOAT)
        if name in self.sources.patterns:
            raise Refused(f"macro {name}()", "macros with parameters are not read", "Write it as a __device__ function.")
        if name in self.sources.macros:
            raise Refused(f"macro {name}", "it stands for a function", "Call the function by its own name.")
        if name in _CASTS and template is not None:
            return constructed(self.types.read(template.named_children[0], scope), [self.value(given[0], scope)])
        of_group = self.group_call(name, given, scope)
        if of_group is not None:
            return of_group
        own = self._own(name, template, given, scope)
        if own is not None:
            return own[0]
        kind = self.types.read(function, scope) if template is not None and name in ("vec", "mat", "array") else None
        if kind is None and template is None:
            kind = self.types.find(text(function).replace(" ", ""), scope)
        if kind is not None:
            return self.construction(kind, given, scope)
        return self._known(name, given, scope)

    def _own(self, name: str, template: Node | None, given: list[Node], scope: CScope) -> tuple[Value] | None:
        """A call of a function of the source, in a tuple; None where it has none of this name that fits."""
        owner = scope.this.type.name if scope.this is not None and isinstance(scope.this.type, Struct) else ""
        method = f"{owner}::{name}"
        if name not in self.sources.functions and method not in self.sources.functions:
            return None
        arguments = self.unordered(given, scope, lambda n: self.argument(n, scope))
        f = self.chosen(name, arguments)
        this = None
        if f is None and method in self.sources.functions:
            f, this = self.chosen(method, arguments), scope.this
        if f is None:
            if mathematics.known_function(name):
                return None
            raise Refused(f"{name}()", "no function of this name takes these arguments")
        types: dict[str, Any] = {}
        for (n, is_type, _), a in zip(f.template, template.named_children if template is not None else ()):
            types[n] = self.types.read(a, scope) if is_type else self.value(_expression(a), scope)
        return (self.call(f, arguments, types, this),)

    def _method(self, function: Node, given: list[Node], scope: CScope) -> Value:
        """``a.f(...)`` and ``p->f(...)`` of the source's own structs; ``this`` is a copy where ``a`` has no place."""
        base, name = function.child_by_field_name("argument"), text(function.child_by_field_name("field"))
        assert base is not None
        arrow = any(c.type == "->" for c in function.children)
        if arrow and base.type != "this":
            this: CRef | None = self._pointed(self.value(base, scope))
        else:
            this = scope.this if base.type == "this" else self.place(base, scope)
        if this is None:
            found = self.value(base, scope)
            this = self.memory.new(found, type_of(found) or Auto())
        owner = this.type.name if isinstance(this.type, Struct) else ""
        arguments = self.unordered(given, scope, lambda n: self.argument(n, scope))
        f = self.chosen(f"{owner}::{name}", arguments)
        if f is None:
            if name == "size" and isinstance(this.type, Array) and this.type.n is not None:
                return CNumber(this.type.n, INT)
            raise Refused(f".{name}()", "nothing defines it")
        return self.call(f, arguments, {}, this)

    def construction(self, kind: Type, given: list[Node], scope: CScope) -> Value:
        """The value of a type made of arguments."""
        refuse_made(kind)
        return constructed(
            kind, [settled(self.value(n, scope)) if n.type != "initializer_list" else self.value(n, scope) for n in given]
        )

    def defaults(self, kind: Struct) -> Value:
        """A struct of which nothing was given: its fields hold what the struct says, if it says anything."""
        refuse_made(kind)
        body, file = self.sources.structs[kind.name]
        found = filled(kind, Unset())
        assert isinstance(found, Aggregate)
        items = list(found.items)
        for member in body.named_children:
            given = member.child_by_field_name("default_value")
            k = kind.index(declared_name(member.child_by_field_name("declarator")))
            if given is not None and k is not None:
                any_function = next(iter(fs[0] for fs in self.sources.functions.values()))
                items[k] = self.stored(self.value(given, CScope(any_function, 0)), kind.fields[k][1])
        return Aggregate(kind, tuple(items))

    def _known(self, name: str, given: list[Node], scope: CScope) -> Value:
        """A call of what the language, CUDA or glm provide."""
        if name.startswith("make_"):
            made = self._made(name.removeprefix("make_"), given, scope)
            if made is not None:
                return made
        if name in ("__ldg", "ldg", "__ldcs", "__ldcg", "__ldca") and len(given) == 1:
            return self.memory.read(self._pointed(self.value(given[0], scope)))
        if name in ("__stcs", "__stcg") and len(given) == 2:
            there = self._pointed(self.value(given[0], scope))
            self.memory.write(there, self.stored(self.value(given[1], scope), there.type))
            return Unset()
        if name in ("value_ptr",):
            at = self.place(given[0], scope)
            if at is not None and isinstance(at.type, Vector):
                return part(at, 0, at.type.of)
        if name in ("atomicAdd", "gpuAtomicAdd") and self.lanes is not None and len(given) == 2:
            return self.atomic(given, scope)
        if name in _ATOMIC:
            raise Refused(f"{name}()", "what other threads add is not read in a __device__ function")
        if name in ("__syncthreads", "__syncwarp", "assert"):
            return self.barrier(name) if self.lanes is not None and name != "assert" else Unset()
        if not mathematics.known_function(name) and not quaternion_functions.known_name(name):
            raise Refused(f"{name}()", "nothing defines it", "Give the file that does with include=.")
        values = self.unordered(given, scope, lambda n: settled(self.value(n, scope)))
        if quaternion_functions.known(name, values):
            return quaternion_functions.called(name, values)
        return mathematics.called(name, values)

    def _made(self, name: str, given: list[Node], scope: CScope) -> Value | None:
        """``make_float3(x, y, z)`` of CUDA and ``make_vec3(pointer)`` of glm."""
        kind = known_type(name)
        if kind is None:
            return None
        values = [self.value(n, scope) for n in given]
        if len(values) == 1 and isinstance(values[0], Aggregate) and isinstance(values[0].type, Array):
            values[0] = self.address(given[0], scope) or values[0]
        if len(values) != 1 or not isinstance(values[0], CRef):
            return constructed(kind, values)
        pointer = values[0]
        rows = kind.rows if isinstance(kind, Matrix) else 0

        def leaf(path: tuple[int, ...]) -> Value:
            return self.memory.read(moved(pointer, path[0] * rows + path[1] if rows else path[0], self.memory))

        return aggregate_of(kind, leaf)


def _split(function: Node) -> tuple[str, Node | None]:
    """The last name of what is called, and the arguments of its template."""
    while function.type == "qualified_identifier":
        inner = function.child_by_field_name("name")
        if inner is None:
            break
        function = inner
    if function.type in ("template_function", "template_type", "template_method"):
        return text(function.child_by_field_name("name")), function.child_by_field_name("arguments")
    return text(function).rpartition("::")[2], None


def _expression(node: Node) -> Node:
    """A template's argument as an expression: a name is parsed as a type."""
    while node.type == "type_descriptor" and node.named_children:
        node = node.named_children[0]
    return node


__all__ = ["Argument", "Braces", "Machine"]
