"""Calls: which function is meant, what its parameters are bound to, and what the language's own calls give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from derivcheck.kernels.cuda import mathematics, quaternion_functions, syntax
from derivcheck.kernels.cuda.construct import constructed
from derivcheck.kernels.cuda.cooperative import Cooperative
from derivcheck.kernels.cuda.memory import moved, part, settled, type_of
from derivcheck.kernels.cuda.overloads import fit, fits
from derivcheck.kernels.cuda.scopes import Scope, declared_name, is_const, is_reference
from derivcheck.kernels.cuda.syntax import Function, text
from derivcheck.kernels.cuda.types import (
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
    Void,
    known_type,
)
from derivcheck.kernels.cuda.values import Aggregate, Braces, Null, Number, Ref, Refused, Unset, Value, aggregate_of, filled

if TYPE_CHECKING:
    from tree_sitter import Node

_CASTS = ("static_cast", "reinterpret_cast", "const_cast")
_ATOMIC = ("atomicAdd", "gpuAtomicAdd", "atomicSub", "atomicMax", "atomicMin", "atomicExch", "atomicCAS")


@dataclass(frozen=True)
class Argument:
    """What a call gives for a parameter: the value, and the place where it is one."""

    value: Value
    place: Ref | None = None

    @property
    def type(self) -> Type | None:
        """Its type, as overloads are told apart by it."""
        return self.place.type if self.place is not None else type_of(self.value)


class Machine(Cooperative):
    """Reads functions."""

    calls = 0

    def parsed(self, source: str) -> Node:
        """The syntax tree of a piece of source."""
        found: Node = syntax._parser().parse(source.encode()).root_node
        return found

    # -- calls of the source's own functions -----------------------------------------------------

    def call(self, f: Function, given: Sequence[Argument], types: dict[str, Any], this: Ref | None = None) -> Value:
        """Call a function: what it returns; what it writes lies in memory."""
        syntax.refuse_errors(f)
        self.calls += 1
        scope = Scope(f, self.calls, this=this)
        if self.calls > 20_000:
            raise Refused(f.name, "its calls do not end")
        self.bind_template(f, given, types, scope)
        mark = self.memory.mark
        self.bind(f, given, scope)
        return self.run(f, scope, mark)

    def run(self, f: Function, scope: Scope, mark: int) -> Value:
        """The body of a function whose parameters are bound."""
        scope.result = self.result_type(f, scope)
        body = f.node.child_by_field_name("body")
        assert body is not None
        exits, goes_on = self.statements(body.named_children, scope.inner())
        value = self.ended(exits, goes_on, body, scope)
        if not isinstance(value, Ref):
            self.memory.forget(mark)
        return value

    def result_type(self, f: Function, scope: Scope) -> Type:
        """The type that a function returns."""
        kind = f.node.child_by_field_name("type")
        if kind is None:
            return Void()
        return self.types.declared(self.types.read(kind, scope), f.node.child_by_field_name("declarator"), scope)

    def bind_template(self, f: Function, given: Sequence[Argument], types: dict[str, Any], scope: Scope) -> None:
        """What the parameters of a function's template are: as the call says, or as its arguments tell, or a default."""
        asked = {text(p.child_by_field_name("type")): a.type for p, a in zip(f.parameters, given)}
        for name, is_type, default in f.template:
            found: Any = types.get(name)
            if found is None and is_type:
                found = asked.get(name)
                if isinstance(found, Pointer):
                    found = found.to
                if found is None or isinstance(found, Auto):
                    found = self.types.read(default, scope) if default is not None else FLOAT
            elif found is None and default is not None:
                found = self.value(default, scope)
            if is_type:
                scope.types[name] = found
            elif found is not None:
                scope.numbers[name] = found if isinstance(found, (Number, Aggregate)) else Number(found, INT)
            else:
                self._counted_by(f, name, given, scope)

    def _counted_by(self, f: Function, name: str, given: Sequence[Argument], scope: Scope) -> None:
        """A number that the length of an array tells: ``float (&a)[N]``."""
        for p, a in zip(f.parameters, given):
            if isinstance(a.type, Array) and a.type.n is not None and name in text(p):
                scope.numbers[name] = Number(a.type.n, INT)
                return
        raise Refused(f"template parameter {name} of {f.name}", "the call does not tell it", f"Give it, as in {name}=3.")

    def bind(self, f: Function, given: Sequence[Argument], scope: Scope) -> None:
        """Bind parameters to arguments."""
        for k, p in enumerate(f.parameters):
            declarator = p.child_by_field_name("declarator")
            written = p.child_by_field_name("type")
            assert written is not None
            kind = self.types.declared(self.types.read(written, scope), declarator, scope, is_const(p))
            name = declared_name(declarator)
            if k < len(given):
                argument = given[k]
            else:
                default = p.child_by_field_name("default_value")
                argument = Argument(self.value(default, scope)) if default is not None else Argument(Unset())
            if isinstance(kind, Auto) and argument.type is not None:
                kind = argument.type
            scope.variables[name] = self._parameter(kind, argument, is_reference(declarator))

    def _parameter(self, kind: Type, argument: Argument, reference: bool) -> Ref:
        place = argument.place
        if reference and place is not None and place.type == kind:
            return place
        if reference and place is not None and isinstance(kind, Array) and isinstance(place.type, Array):
            return place
        if isinstance(kind, Array):  # an array is passed as a pointer to its first element
            kind = Pointer(kind.of)
        if isinstance(kind, Pointer):
            if place is not None and isinstance(place.type, Array):
                return self.memory.new(Ref(place.cell, (*place.path, 0), place.type.of), Pointer(place.type.of))
            value = self.memory.read(place) if place is not None else argument.value
            if not isinstance(value, (Ref, Null)):
                raise Refused("an argument", "a pointer was expected")
            return self.memory.new(value, kind)
        value = self.memory.read(place) if place is not None else argument.value
        return self.memory.new(self.stored(value, kind), kind)

    def argument(self, node: Node, scope: Scope) -> Argument:
        """An argument of a call: a place is not read before the parameter says that it is."""
        if node.type in (
            "identifier",
            "subscript_expression",
            "field_expression",
            "parenthesized_expression",
            "pointer_expression",
        ):
            place = self.place(node, scope)
            if place is not None:
                return Argument(Unset(), place)
        return Argument(self.value(node, scope))

    def chosen(self, name: str, given: Sequence[Argument]) -> Function | None:
        """The function that a call means, of those of its name."""
        found = [f for f in self.sources.functions.get(name, []) if fits(f, len(given))]
        if len(found) <= 1:
            return found[0] if found else None
        rated = sorted(((self._rating(f, given), k) for k, f in enumerate(found)), reverse=True)
        if rated[0][0] < 0:
            return None
        if rated[0][0] == rated[1][0]:
            raise Refused(f"{name}()", "two functions of this name fit the arguments")
        return found[rated[0][1]]

    def _rating(self, f: Function, given: Sequence[Argument]) -> int:
        """How well arguments fit a function; below 0: they do not."""
        total = 0
        scope = Scope(f, 0)
        for name, is_type, _ in f.template:
            if is_type:
                scope.types[name] = Auto()
            else:
                scope.numbers[name] = Number(1, INT)
        for p, a in zip(f.parameters, given):
            try:
                kind = self.types.read(p.child_by_field_name("type"), scope)  # type: ignore[arg-type]
                kind = self.types.declared(kind, p.child_by_field_name("declarator"), scope)
            except Refused:
                return -1
            total += fit(kind, a.type) - (1 if f.template else 0)
            if fit(kind, a.type) < 0:
                return -1000
        return total

    def own_operator(self, op: str, given: tuple[Value, ...], scope: Scope) -> Value | None:
        """The value of an operator that the source defines."""
        arguments = [Argument(Unset(), v) if isinstance(v, Ref) and op.endswith("=") else Argument(v) for v in given]
        if not any(isinstance(a.type, (Vector, Matrix, Quaternion, Struct)) for a in arguments):
            return None
        if f"operator{op}" not in self.sources.functions:
            return None
        f = self.chosen(f"operator{op}", arguments)
        if f is None or any(_fit_of(self, f, k, a) < 2 for k, a in enumerate(arguments)):
            return None
        return self.call(f, arguments, {})

    # -- call expressions ---------------------------------------------------------------------------

    def _call_expression(self, node: Node, scope: Scope) -> Value:
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
            return Number(3.4028234663852886e38, FLOAT)
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

    def _own(self, name: str, template: Node | None, given: list[Node], scope: Scope) -> tuple[Value] | None:
        """A call of a function of the source, in a tuple; None where it has none of this name that fits."""
        owner = scope.this.type.name if scope.this is not None and isinstance(scope.this.type, Struct) else ""
        method = f"{owner}::{name}"
        if name not in self.sources.functions and method not in self.sources.functions:
            return None
        arguments = [self.argument(n, scope) for n in given]
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

    def _method(self, function: Node, given: list[Node], scope: Scope) -> Value:
        base, name = function.child_by_field_name("argument"), text(function.child_by_field_name("field"))
        assert base is not None
        arrow = any(c.type == "->" for c in function.children)
        if arrow and base.type != "this":
            this: Ref | None = self._pointed(self.value(base, scope))
        else:
            this = scope.this if base.type == "this" else self.place(base, scope)
        if this is None:
            found = self.value(base, scope)
            this = self.memory.new(found, type_of(found) or Auto())
        owner = this.type.name if isinstance(this.type, Struct) else ""
        arguments = [self.argument(n, scope) for n in given]
        f = self.chosen(f"{owner}::{name}", arguments)
        if f is None:
            if name == "size" and isinstance(this.type, Array) and this.type.n is not None:
                return Number(this.type.n, INT)
            raise Refused(f".{name}()", "nothing defines it")
        return self.call(f, arguments, {}, this)

    def construction(self, kind: Type, given: list[Node], scope: Scope) -> Value:
        """The value of a type made of arguments."""
        if isinstance(kind, Struct):
            arguments = [self.argument(n, scope) for n in given]
            f = self.chosen(f"{kind.name}::{kind.name}", arguments)
            if f is not None:
                raise Refused(f"the constructor of {kind.name}", "it is not read", "Give the fields in braces.")
        return constructed(
            kind, [settled(self.value(n, scope)) if n.type != "initializer_list" else self.value(n, scope) for n in given]
        )

    def defaults(self, kind: Struct) -> Value:
        """A struct of which nothing was given: its fields hold what the struct says, if it says anything."""
        body, file = self.sources.structs[kind.name]
        found = filled(kind, Unset())
        assert isinstance(found, Aggregate)
        items = list(found.items)
        for member in body.named_children:
            given = member.child_by_field_name("default_value")
            k = kind.index(declared_name(member.child_by_field_name("declarator")))
            if given is not None and k is not None:
                any_function = next(iter(fs[0] for fs in self.sources.functions.values()))
                items[k] = self.stored(self.value(given, Scope(any_function, 0)), kind.fields[k][1])
        return Aggregate(kind, tuple(items))

    def _known(self, name: str, given: list[Node], scope: Scope) -> Value:
        """A call of what the language, CUDA or glm provide."""
        if name.startswith("make_"):
            made = self._made(name.removeprefix("make_"), given, scope)
            if made is not None:
                return made
        if name in ("__ldg", "ldg") and len(given) == 1:
            return self.memory.read(self._pointed(self.value(given[0], scope)))
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
        values = [settled(self.value(n, scope)) for n in given]
        if quaternion_functions.known(name, values):
            return quaternion_functions.called(name, values)
        return mathematics.called(name, values)

    def _made(self, name: str, given: list[Node], scope: Scope) -> Value | None:
        """``make_float3(x, y, z)`` of CUDA and ``make_vec3(pointer)`` of glm."""
        kind = known_type(name)
        if kind is None:
            return None
        values = [self.value(n, scope) for n in given]
        if len(values) == 1 and isinstance(values[0], Aggregate) and isinstance(values[0].type, Array):
            values[0] = self.address(given[0], scope) or values[0]
        if len(values) != 1 or not isinstance(values[0], Ref):
            return constructed(kind, values)
        pointer = values[0]
        rows = kind.rows if isinstance(kind, Matrix) else 0

        def leaf(path: tuple[int, ...]) -> Value:
            return self.memory.read(moved(pointer, path[0] * rows + path[1] if rows else path[0], self.memory))

        return aggregate_of(kind, leaf)


def _fit_of(machine: Machine, f: Function, k: int, a: Argument) -> int:
    """How well an argument fits the k-th parameter."""
    if k >= len(f.parameters):
        return -1
    scope = Scope(f, 0, types={n: Auto() for n, is_type, _ in f.template if is_type})
    p = f.parameters[k]
    kind = machine.types.declared(
        machine.types.read(p.child_by_field_name("type"), scope),  # type: ignore[arg-type]
        p.child_by_field_name("declarator"),
        scope,
    )
    found = fit(kind, a.type)
    return 2 if found == 1 and isinstance(kind, (Scalar, Auto)) else found


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
