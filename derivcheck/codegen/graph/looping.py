"""The steps of a loop with fewer calls: what stands outside is taken apart once, a sum with a product is one operation."""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.codegen.graph.names import Names
from derivcheck.codegen.graph.nodes import FLOAT, Node
from derivcheck.codegen.graph.numbers import ATOM
from derivcheck.codegen.graph.spell import NodeSpelling
from derivcheck.codegen.graph.write import Writer


class LoopingWriter(Writer):
    """Writes steps, for tensors of one type."""

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
