"""A function of CUDA source as a piece that can be changed and read again."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derivcheck.diagnosis.repair.source_piece import Span
from derivcheck.diagnosis.repair.texts.tree import TextNode, TreePiece
from derivcheck.files import digest
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.source.syntax import Function, reparsed, source_of

if TYPE_CHECKING:
    from tree_sitter import Node

_SUMS, _PRODUCTS = {"+", "-"}, {"*", "/"}
_RELATIONS = {"<", ">", "<=", ">=", "==", "!="}
_MEANT = {
    "sin": ("cos",), "cos": ("sin",), "exp": ("log",), "log": ("exp",), "tanh": ("cosh", "sinh"), "sqrt": ("rsqrt",),
    "rsqrt": ("sqrt",), "max": ("min",), "min": ("max",), "fmax": ("fmin",), "fmin": ("fmax",),
}  # fmt: skip
_WHOLE = re.compile(r"\b(int|unsigned|size_t|long|short|bool|uint32_t|int32_t|int64_t|uint64_t)\b")

_REAL = re.compile(r"\b(float|double|auto|T|scalar_t)\b")


@dataclass(eq=False)
class CudaPiece(TreePiece):
    """A function of CUDA source.

    Attributes:
        device: what reads it, the backward or what it calls.
        function: the function.
    """

    device: DeviceFunction = field(default=None)  # type: ignore[assignment]
    function: Function = field(default=None)  # type: ignore[assignment]

    @property
    def root(self) -> TextNode:
        """The body; the declarations of parameters are not edited."""
        body = self.function.node.child_by_field_name("body")
        assert body is not None
        return self._node(body, True)

    def _offset(self, node: Node) -> Span:
        """A node's span in characters of the piece."""
        row, column = node.start_point
        last, end = node.end_point
        first = self.function.node.start_point[0]
        return self._at(row - first, column), self._at(last - first, end)

    def _at(self, row: int, column: int) -> int:
        return self.starts[row] + len(self.lines[row].encode()[:column].decode()) if row < len(self.lines) else len(self.text)

    def _node(self, node: Node, value: bool) -> TextNode:
        """A node of C as one that edits know."""
        kind, span = node.type, self._offset(node)
        if kind == "parenthesized_expression" and len(node.named_children) == 1:
            inner = self._node(node.named_children[0], value)
            return TextNode("other", span, (inner,), value=value)
        if kind == "binary_expression":
            op = (node.child_by_field_name("operator") or node.children[1]).type
            kinds = {
                **dict.fromkeys(_SUMS, "sum"),
                **dict.fromkeys(_PRODUCTS, "product"),
                **dict.fromkeys(_RELATIONS, "compare"),
            }
            sides = tuple(self._node(n, value) for n in (node.children[0], node.children[-1]))
            return TextNode(kinds.get(op, "other"), span, sides, (op,), value=value and op in _SUMS | _PRODUCTS, known=False)
        if kind == "unary_expression" and node.children[0].type == "-":
            return TextNode("negative", span, (self._node(node.children[-1], value),), value=value, known=False)
        if kind == "number_literal":
            return TextNode("number", span, value=value)
        if kind == "identifier":
            return TextNode("name", span, name=self.source(TextNode("", span)), value=value and not self._whole(node))
        if kind in ("subscript_expression", "field_expression"):
            at = [n for n in node.named_children[1:] if n.type == "subscript_argument_list"]
            inside = tuple(self._node(n, False) for a in at for n in a.named_children)
            return TextNode("at", span, inside, name=self.source(TextNode("", span)), value=value)
        if kind == "call_expression":
            called = node.child_by_field_name("function")
            arguments = node.child_by_field_name("arguments")
            inside = tuple(self._node(n, value) for n in (arguments.named_children if arguments is not None else ()))
            return TextNode(
                "call", span, inside, name=called.text.decode() if called is not None and called.text else "", value=value
            )
        if kind == "assignment_expression":
            left, right = node.children[0], node.children[-1]
            target = TextNode("other", self._offset(left), value=False)
            return TextNode("assign", span, (target, self._node(right, value)), (node.children[1].type,), value=False)
        if kind == "init_declarator":
            given = node.child_by_field_name("value")
            whole = () if given is None else (self._node(given, value and not self._counts(node)),)
            return TextNode("other", span, whole, value=False)
        if kind == "for_statement":
            inside = tuple(
                self._node(n, n.type == "compound_statement" or n.type.endswith("statement")) for n in node.named_children
            )
            return TextNode("other", span, inside, value=False)
        return TextNode("other", span, tuple(self._node(n, value) for n in node.named_children), value=False)

    @staticmethod
    def _counts(node: Node) -> bool:
        """Whether a declaration is of whole numbers."""
        kind = node.parent.child_by_field_name("type") if node.parent is not None else None
        return kind is not None and kind.text is not None and bool(_WHOLE.search(kind.text.decode()))

    # -- names -----------------------------------------------------------------------------
    @functools.cached_property
    def _declared(self) -> dict[str, tuple[str, int]]:
        """Each variable: ``float``, ``int``, ``pointer`` or ``output``, and where it is known from."""
        found: dict[str, tuple[str, int]] = {}
        for p in self.function.parameters:
            self._declare(found, p, p.child_by_field_name("declarator"), self.function.node.start_byte)
        stack = [self.function.node]
        while stack:
            n = stack.pop()
            stack += n.children
            if n.type == "declaration":
                for d in n.children_by_field_name("declarator"):
                    self._declare(found, n, d, n.end_byte)
        return found

    def _declare(self, found: dict[str, tuple[str, int]], node: Node, declarator: Node | None, start: int) -> None:
        """Put a variable under its name; what is written through a reference or a pointer is an output."""
        text = (node.text or b"").decode()
        shape = (declarator.text or b"").decode().partition("=")[0] if declarator is not None else ""
        names = re.findall(r"[A-Za-z_]\w*", shape)
        if not names:
            return
        const = re.search(r"\bconst\b", text) is not None
        if "*" in shape or "[" in shape:
            kind = "pointer" if const or node.type == "declaration" else "output"
        elif "&" in shape and not const:
            kind = "output"
        else:
            kind = (
                "int"
                if _WHOLE.search(text.partition(shape)[0])
                else "float"
                if re.search(r"\b(float|double|auto|T|scalar_t)\b", text)
                else "other"
            )
        found.setdefault(names[-1] if "[" not in shape else names[0], (kind, start))

    def _whole(self, node: Node) -> bool:
        name = (node.text or b"").decode()
        return self._declared.get(name, ("", 0))[0] == "int"

    def _visible(self, node: TextNode, kind: str) -> list[str]:
        at = self.function.node.start_byte + len(self.text[: node.span[0]].encode()) - len(self.text[: self._start].encode())
        return [n for n, (k, start) in self._declared.items() if k == kind and start <= at]

    @functools.cached_property
    def _start(self) -> int:
        return self._offset(self.function.node)[0]

    def others(self, node: TextNode) -> list[str]:
        """Variables of the same kind; the same place of another pointer, or another place that is read."""
        if node.kind == "name":
            kind = self._declared.get(node.name, ("", 0))[0]
            return [n for n in self._visible(node, kind) if n != node.name] if kind in ("int", "float") else []
        base, mark, rest = node.name.partition("[")
        found = [f"{n}[{rest}" for n in self._visible(node, "pointer") if mark and n != base]
        head, dot, part = node.name.rpartition(".")
        if dot and part in "xyzw":
            found += [f"{head}.{c}" for c in "xyzw" if c != part]
        return found + [t for t in self._read(node) if t != node.name and t not in found]

    def _read(self, node: TextNode) -> list[str]:
        """The elements of memory and parts of values that the function reads, of variables that are known at a node."""
        known = {n for k in ("float", "int", "pointer", "other") for n in self._visible(node, k)}
        return [t for t in self._elements if set(re.findall(r"[A-Za-z_]\w*", re.sub(r"\.\w+", "", t))) <= known]

    @functools.cached_property
    def _elements(self) -> list[str]:
        found = dict.fromkeys(n.name for n in self.root.every() if n.kind == "at" and n.value)
        return [t for t in found if self._declared.get(re.split(r"[.\[]", t)[0], ("output", 0))[0] != "output"]

    def factors(self, node: TextNode) -> list[str]:
        """Real numbers, elements, and sizes."""
        return [*self._visible(node, "float"), *self._read(node), *self._visible(node, "int")]

    def squared(self, text: str) -> str:
        """C has no power of its own."""
        return f"({text} * {text})"

    def functions(self, name: str) -> tuple[str, ...]:
        """The other function, spelled as this one is."""
        m = re.fullmatch(r"(__)?(\w+?)(f)?", name)
        if m is None or m[2] not in _MEANT:
            return ()
        return tuple(f"{m[1] or ''}{other}{m[3] or ''}" for other in _MEANT[m[2]])

    # -- running ---------------------------------------------------------------------------
    def same(self, one: str, two: str) -> bool:
        """Whether two texts are the same code, parentheses apart."""
        try:
            return bool(_bare(reparsed(self.function, one).node) == _bare(reparsed(self.function, two).node))
        except SyntaxError:
            return False

    @contextmanager
    def running(self, text: str) -> Iterator[None]:
        """The function is read from this text instead."""
        new = reparsed(self.function, text)
        with self.device.reading(self.function, new):
            yield


def _bare(node: Node) -> Any:
    """A node without its parentheses."""
    while node.type == "parenthesized_expression" and len(node.named_children) == 1:
        node = node.named_children[0]
    return (node.type, tuple(map(_bare, node.children)) or node.text)


def cuda_pieces(devices: Iterable[DeviceFunction], kept: Iterable[Any]) -> list[CudaPiece]:
    """The functions that backwards of CUDA source are made of: themselves, and what they call of the same source.

    What is ``kept``, the forward, is none of them.
    """
    held = {(k.co_filename, k.co_firstlineno) for k in kept}
    found: dict[tuple[str, int], CudaPiece] = {}
    for device in devices:
        left = [device.function]
        while left:
            f = left.pop()
            where = source_of(f)
            if where is None or (f.file, f.line) in {*found, *held} or f.owner is not None:
                continue
            text, whole = where
            unwritten = "" if Path(f.file).is_file() else whole
            found[(f.file, f.line)] = CudaPiece(f.file, f.line, text, digest(whole), unwritten, device, f)
            names = set(re.findall(r"([A-Za-z_]\w*)\s*\(", text)) - {f.name}
            left += [
                g for n in sorted(names) for g in device.sources.functions.get(n, ()) if len(device.sources.functions[n]) == 1
            ]
    return list(found.values())
