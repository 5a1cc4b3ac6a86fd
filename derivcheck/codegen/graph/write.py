"""A graph of operations as statements: what is used twice gets a name, what is used once stands where it is used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from derivcheck.codegen.graph.names import Names
from derivcheck.codegen.graph.nodes import Node
from derivcheck.codegen.graph.numbers import SUM
from derivcheck.codegen.graph.spell import NodeSpelling
from derivcheck.codegen.graph.words import phrase
from derivcheck.notation.integers.polynomials import Index

WIDTH = 76  # a longer part of an expression gets a line of its own
LONG = 118  # a longer statement goes over several
COMMENTED = 90  # a longer statement has no comment behind it
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
_IN_CONTEXT = {  # what is computed for a definition and has no words of its own
    "mul": "factor",
    "div": "factor",
    "matmul": "product",
    "addmm": "product",
    "einsum": "product",
    "add": "part",
    "sub": "part",
    "sum": "sum",
    "where": "choice",
    "unsqueeze": "column",
    "scatter_add": "scattered",
    "scatter": "scattered",
    "gather": "picked",
    "take": "picked",
    "pick": "picked",
}
_VIEWS = frozenset({"unsqueeze", "permute", "select"})
_TRIVIAL = frozenset({"var", "number", "step"})


def wrapped(text: str) -> list[str]:
    """A statement over several lines, each but the first indented: ended behind a comma, in as few brackets as can be."""
    out: list[str] = []
    depth_before = 0
    while len(text) + (4 if out else 0) > LONG:
        breaks: list[tuple[int, int, int]] = []
        depth, quoted = depth_before, False
        for k, c in enumerate(text[: LONG - 8]):
            quoted ^= c == '"'
            if not quoted:
                depth += (c in "([{") - (c in ")]}")
                if c == " " and depth > 0 and k > 20:
                    breaks.append((text[k - 1] != ",", depth, -k))
        if not breaks:
            break
        at = -min(breaks)[2]
        head, text = text[:at], text[at + 1 :]
        depth_before += sum((c in "([{") - (c in ")]}") for c in head)
        out.append(f"    {head}" if out else head)
    return [*out, f"    {text}" if out else text]


def _addends(text: str) -> list[str]:
    """A sum as its addends, each with its sign in front."""
    if " + " not in text and " - " not in text:
        return [text]
    out, start, depth, quoted = [], 0, 0, False
    for k, c in enumerate(text):
        quoted ^= c == '"'
        if not quoted:
            depth += (c in "([{") - (c in ")]}")
            if c in "+-" and depth == 0 and text[k - 1 : k + 2] == f" {c} ":
                out.append(text[start : k - 1])
                start = k
    return [*out, text[start:]]


class Writer:
    """Writes statements for nodes, each computed once; ``in_memory``: a loop's steps into one tensor that there is already."""

    in_memory = False

    def __init__(self, spelling: NodeSpelling, names: Names, given: Mapping[Node, str] | None = None) -> None:
        """Start in the outermost block; nodes that are ``given`` have names already."""
        self.spelling, self.names = spelling, names
        self.blocks: list[list[str]] = [[]]
        self.scopes: list[dict[Node, str]] = [dict(given or {})]
        self.fixed: list[frozenset[Index]] = [frozenset()]
        self.uses: dict[Node, int] = {}
        self.depths: dict[Node, int] = {}
        self.width = WIDTH
        self.readable = False
        self.target: str | None = None  # the definition at hand

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
        self.target = name
        if known is None:
            text = self.fitted(node, len(name))
            if node.op not in _TRIVIAL:
                self.scopes[-1][node] = name
        else:
            text = known
        self.blocks[-1].extend(self.statements(name, text, node))

    def into(self, place: str, node: Node) -> None:
        """Compute it into ``place``, a view of what holds all steps."""
        self.define(place, node)

    def statements(self, name: str, text: str, node: Node) -> list[str]:
        """The lines of ``name = text``, with the shape of what it gives where a reader is to see it."""
        shape = f"  # {self.spelling.sizes(node.dims)}" if self.readable and node.dims else ""
        line = f"{name} = {text}"
        if len(line) <= LONG:
            return [line + shape if len(line) <= COMMENTED else line]
        addends = _addends(text) if self.readable else [text]
        if len(addends) > 1 and all(len(a) < LONG - 8 for a in addends):
            return [f"{name} = (", *(f"    {a}" for a in addends), f"){shape}"]
        return wrapped(line)

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
        """A statement in the block at hand; one that is too long for a line goes over several."""
        self.blocks[-1].extend(wrapped(text))

    def text(self, node: Node, level: int = 0) -> str:
        """The text of a node, by its name where it has one."""
        known = self.known(node)
        if known is not None:
            return known
        if node.op not in _TRIVIAL and self.uses.get(node, 0) > 1 and not self.is_light(node):
            return self.name(node)
        at = self.home(node)
        if at != len(self.blocks) - 1 and node.op not in _TRIVIAL:
            return self.name(node)
        self._split(node)
        text, own = self.spelling.node(node, lambda k, lv: self.text(node.args[k], lv))
        chained = self.readable and level == SUM and node.op in ("add", "sub")  # goes over several lines
        if len(text) > self.width and node.op not in _TRIVIAL and not chained:
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
        if self.readable and len(parts := _addends(text)) > 1 and all(len(p) + depth < LONG - 10 for p in parts):
            return text
        if len(text) + reserve + depth > 108:
            self.width, before = 36, self.width
            text = self.spelled(node)
            self.width = before
        return text

    def _split(self, node: Node) -> None:
        """Give names to parts of a very deep expression, from the inside out: each level of it is a call of ours."""
        stack = [node] if node not in self.depths else []
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
        if len(self.fixed) == 1:
            return 0
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
        name = self.names.new(self.wish(node))
        self.blocks[at].extend(self.statements(name, text, node))
        self.scopes[at][node] = name
        return name

    def wish(self, node: Node) -> str:
        """A word for what a node gives."""
        if node.op == "if_any":
            (node,) = node.args
        if self.readable:
            if node.op == "spelled" and (call := re.match(r"torch\.(?:\w+\.)*(?:native_)?(\w+)\(", node.params[0])):
                return call[1]
            words = phrase(node, self.variable)
            if words is not None:
                return words
            if self.target is not None and node.op in _IN_CONTEXT:
                return f"{self.target}_{_IN_CONTEXT[node.op]}"
        return node.params[0] if node.op == "func" else _NAMES.get(node.op, node.op if node.op.isidentifier() else "mask")

    def variable(self, node: Node) -> str | None:
        """The variable that holds a node."""
        return self.spelling.names[node.params[0]] if node.op == "var" else self.known(node)

    def is_light(self, node: Node) -> bool:
        """Whether it is another view of a variable, which costs nothing to write again."""
        if not self.readable or node.op not in _VIEWS:
            return False
        (base,) = node.args
        return base.op == "var" or self.known(base) is not None or self.is_light(base)

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
