"""A graph of operations as statements: what is used twice gets a name, what is used once stands where it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import wrap

from derivcheck.codegen.graph.names import Names
from derivcheck.codegen.graph.nodes import Node
from derivcheck.codegen.graph.spell import NodeSpelling
from derivcheck.notation.integers.polynomials import Index

WIDTH = 76  # a longer part of an expression gets a line of its own
LONG = 118  # a longer statement is no line
DEEP = 40  # an expression of more levels is taken apart
_NAMES = {
    "sub": "difference",
    "add": "total",
    "mul": "product",
    "div": "quotient",
    "matmul": "product",
    "arange": "places",
    "where": "chosen",
    "and": "mask",
    "not": "mask",
    "sum": "total",
    "addmm": "product",
    "einsum": "product",
    "func": "",
    "pow": "power",
    "take": "picked",
    "to_float": "number",
    "window": "window",
    "neg": "minus",
    "unsqueeze": "column",
    "permute": "turned",
    "clamp": "inside",
    "slice": "part",
    "select": "part",
    "reshape": "shaped",
    "expand": "full",
    "as_tensor": "number",
    "scatter": "gathered",
    "scatter_add": "gathered",
    "gather": "picked",
    "spelled": "found",
    "floordiv": "quotient",
}
_TRIVIAL = frozenset({"var", "number", "step"})


def _is_call(text: str) -> bool:
    """Whether what is assigned is one call, so that a line may end at any of its spaces."""
    depth, opened = 0, text.find("(")
    head = text[:opened].partition(" = ")[2]
    if opened < 0 or " " in head or '"' in text:
        return False
    for k, c in enumerate(text[opened:]):
        depth += (c in "([{") - (c in ")]}")
        if depth == 0:
            return opened + k == len(text) - 1
    return False


class Writer:
    """Writes statements for nodes, each computed once."""

    def __init__(self, spelling: NodeSpelling, names: Names, given: Mapping[Node, str] | None = None) -> None:
        """Start in the outermost block; nodes that are ``given`` have names already."""
        self.spelling, self.names = spelling, names
        self.blocks: list[list[str]] = [[]]
        self.scopes: list[dict[Node, str]] = [dict(given or {})]
        self.fixed: list[frozenset[Index]] = [frozenset()]
        self.uses: dict[Node, int] = {}
        self.depths: dict[Node, int] = {}
        self.width = WIDTH

    # -- uses ---------------------------------------------------------------------
    def count(self, roots: Iterable[Node]) -> None:
        """Count how often each node is read; a node that two nodes read is computed once and named."""
        seen: set[Node] = set()
        stack = list(roots)
        for n in stack:
            self.uses[n] = self.uses.get(n, 0) + 1
        while stack:
            n = stack.pop()
            if n in seen or n in self.scopes[0]:
                continue
            seen.add(n)
            for a in n.args:
                self.uses[a] = self.uses.get(a, 0) + 1
                stack.append(a)

    # -- statements -----------------------------------------------------------------
    def define(self, name: str, node: Node) -> None:
        """``name = …``."""
        known = self.known(node)
        if known is None:
            text = self.fitted(node, len(name))
            if node.op not in _TRIVIAL:
                self.scopes[-1][node] = name
        else:
            text = known
        self.line(f"{name} = {text}")

    def named(self, definition: str, name: str, node: Node) -> None:
        """A definition of the Program under its variable."""
        self.define(name, node)

    def loop(self) -> None:
        """A loop comes next, which computes by itself what it needs."""

    def drop(self, variable: str) -> None:
        """A loop's steps have been put together: who reads them needs no line for it."""

    def whole(self, variables: Mapping[str, str]) -> None:
        """A loop has made these definitions, each in its variable."""

    def line(self, text: str) -> None:
        """A statement in the block at hand; a call that is too long for a line goes over several."""
        if len(text) > LONG and _is_call(text):
            self.blocks[-1].extend(
                wrap(text, LONG - 8, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
            )
        else:
            self.blocks[-1].append(text)

    def text(self, node: Node, level: int = 0) -> str:
        """The text of a node, by its name where it has one."""
        known = self.known(node)
        if known is not None:
            return known
        if node.op not in _TRIVIAL and self.uses.get(node, 0) > 1:
            return self.name(node)
        at = self.home(node)
        if at != len(self.blocks) - 1 and node.op not in _TRIVIAL:
            return self.name(node)
        self._split(node)
        text, own = self.spelling.node(node, lambda k, lv: self.text(node.args[k], lv))
        if len(text) > self.width and node.op not in _TRIVIAL:
            return self.name(node)
        return f"({text})" if own < level else text

    def spelled(self, node: Node) -> str:
        """The text of a node even where it could have a name."""
        self._split(node)
        return self.spelling.node(node, lambda k, lv: self.text(node.args[k], lv))[0]

    def fitted(self, node: Node, reserve: int = 12) -> str:
        """The text of a node for a line of its own: where it is too long, its parts get lines of their own."""
        text = self.spelled(node)
        depth = 4 * (len(self.blocks) - 1)
        if len(text) + reserve + depth > 108:
            self.width, before = 36, self.width
            text = self.spelled(node)
            self.width = before
        return text

    def _split(self, node: Node) -> None:
        """Give names to parts of a very deep expression, from the inside out: each level of it is a call of ours."""
        stack = [node]
        while stack:
            n = stack[-1]
            waiting = [a for a in n.args if a not in self.depths]
            stack.extend(waiting)
            if waiting:
                continue
            stack.pop()
            if n in self.depths:
                continue
            self.depths[n] = 1 + max((self.depths[a] for a in n.args if self.known(a) is None), default=0)
            if self.depths[n] % DEEP == 0 and n is not node and n.op not in _TRIVIAL and self.known(n) is None:
                self.name(n)

    def known(self, node: Node) -> str | None:
        """The name of a node that has been computed."""
        for scope in reversed(self.scopes):
            if node in scope:
                return scope[node]
        return None

    def home(self, node: Node) -> int:
        """The outermost block where the loop indices of the node are known; never out of a branch into its loop."""
        at = next((k for k, fixed in enumerate(self.fixed) if node.loops <= fixed), len(self.fixed) - 1)
        while at + 1 < len(self.fixed) and self.fixed[at + 1] == self.fixed[at]:
            at += 1
        return at

    def name(self, node: Node) -> str:
        """Compute the node into a variable."""
        at = self.home(node)
        return self.assign(node, self.fitted(node), at)

    def assign(self, node: Node, text: str, at: int) -> str:
        """A variable for the node, set in the block ``at``."""
        wish = node.params[0] if node.op == "func" else _NAMES.get(node.op, node.op if node.op.isidentifier() else "mask")
        name = self.names.new(wish)
        self.blocks[at].append(f"{name} = {text}")
        self.scopes[at][node] = name
        return name

    @contextmanager
    def block(self, head: str, fixed: Iterable[Index] = ()) -> Iterator[None]:
        """An indented block under ``head``."""
        self.blocks.append([])
        self.scopes.append({})
        self.fixed.append(self.fixed[-1] | frozenset(fixed))
        yield
        body = self.blocks.pop()
        self.scopes.pop()
        self.fixed.pop()
        self.blocks[-1].append(head)
        self.blocks[-1].extend("    " + line for line in body or ["pass"])
