"""The steps of a loop with fewer calls: what stands outside is taken apart once, a sum with a product is one operation."""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.codegen.graph.names import Names
from derivcheck.codegen.graph.nodes import FLOAT, Node
from derivcheck.codegen.graph.numbers import ATOM
from derivcheck.codegen.graph.spell import NodeSpelling
from derivcheck.codegen.graph.write import Writer

_SIGNS = frozenset({"add", "sub", "mul", "div"})
_WITH_OUT = "sigmoid tanh exp exp2 addmm addcmul sqrt rsqrt log sin cos"
_CALLS = tuple(f"torch.{name}(" for name in _WITH_OUT.split())


def _closes(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    depth = 0
    for k, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == ")" and depth == 0:
            return k == len(text) - 1
    return False


class LoopingWriter(Writer):
    """Writes steps, for tensors of one type."""

    in_memory = True

    def __init__(self, spelling: NodeSpelling, names: Names, given: Mapping[Node, str] | None = None) -> None:
        super().__init__(spelling, names, given)
        self.parts: dict[tuple[Node, int], str] = {}  # what the loop at hand reads step by step

    def spelled(self, node: Node) -> str:
        """In a loop, a sum with a product as one operation."""
        if len(self.blocks) > 1 and node.op in ("add", "sub") and node.kind == FLOAT:
            one, two = node.args
            for c, m in ((one, two), (two, one)) if node.op == "add" else ((one, two),):
                if m.op == "mul" and self.uses.get(m) == 1 and {c.kind, *(a.kind for a in m.args)} == {FLOAT}:
                    x, y = (self.text(a) for a in m.args)
                    return f"torch.addcmul({self.text(c)}, {x}, {y}{', value=-1' if node.op == 'sub' else ''})"
        return super().spelled(node)

    def into(self, place: str, node: Node) -> None:
        """As the ``out=`` of the last operation, where that has one; a copy of anything else."""
        known = self.known(node)
        text = known if known is not None else self.fitted(node, len(place) + 12)
        self.line(self._out(node, text, place) if known is None else f"{place}.copy_({text})")
        self.scopes[-1][node] = place

    def _out(self, node: Node, text: str, place: str) -> str:
        """The statement that computes ``text`` into ``place``."""
        if node.kind == FLOAT and node.op in _SIGNS and all(a.kind == FLOAT for a in node.args) and "addcmul" not in text:
            one, two = (self.text(a) for a in node.args)
            return f"torch.{node.op}({one}, {two}, out={place})"
        if text.startswith(_CALLS) and text.endswith(")") and _closes(text):
            return f"{text[:-1]}, out={place})"
        return f"{place}.copy_({text})"

    def element(self, node: Node) -> str:
        """An element along the loop's dimension of what stands outside: all of them are taken apart before the loop."""
        (whole,), (k, at) = node.args, node.params
        parts = self.parts.get((whole, k))
        if parts is None:
            text = self.text(whole, ATOM)
            parts = self.parts[whole, k] = self.names.new("parts")
            self.blocks[0].append(f"{parts} = {text}.unbind({k})")
        return f"{parts}[{self.spelling.numbers.poly(at)}]"

    def forget_parts(self) -> None:
        """The loop has been written."""
        for parts in self.parts.values():
            self.line(f"del {parts}")
        self.parts.clear()
