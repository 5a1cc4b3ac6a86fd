"""A file of a released source tree as g++ can compile it: what it includes of its own written into it, host code left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from derivcheck.kernels.cuda.source import syntax
from derivcheck.kernels.cuda.source.syntax import text

if TYPE_CHECKING:
    from tree_sitter import Node

STUBS = """
#define __shared__ static
static inline void __syncthreads() {}
namespace cooperative_groups { // named by templates that nothing calls
template <class T> struct plus {};
template <class T> struct greater {};
template <class G, class T, class F> T reduce(G &, T v, F) { return v; }
}
template <class T> static T __shfl_xor_sync(unsigned, T v, int) { return v; }
template <class T> static T __shfl_down_sync(unsigned, T v, int) { return v; }
"""


def flattened(path: Path, names: Collection[str]) -> str:
    """The text of a file and of what it includes, each once; of host functions and kernels those of these names alone."""
    return _flattened(path, names, set())


def _flattened(path: Path, names: Collection[str], seen: set[Path]) -> str:
    if path.resolve() in seen:
        return ""
    seen.add(path.resolve())
    source = syntax._plain(path.read_bytes())
    found, at = [], 0
    for node, instead in sorted(
        _cut(syntax._parser().parse(source).root_node, path, names, seen), key=lambda c: c[0].start_byte
    ):
        found.append(source[at : node.start_byte].decode())
        found.append(instead)
        at = node.end_byte
    return "".join(found) + source[at:].decode()


def _cut(root: Node, path: Path, names: Collection[str], seen: set[Path]) -> Iterator[tuple[Node, str]]:
    """What is left out, and what stands in its place."""
    for node in root.named_children:
        kind = node.type
        if kind == "preproc_include":
            name = text(node.child_by_field_name("path")).strip('"<>')
            near = (d / name for d in (path.parent, path.parent.parent / "include"))
            own = next((p for p in near if p.is_file()), None)
            yield node, "\n" if own is None else _flattened(own, names, seen) + "\n"
        elif kind in syntax._OPEN:
            yield from _cut(node, path, names, seen)
        elif kind in ("template_instantiation", "preproc_call") or kind == "declaration" and _of_the_host(node):
            yield node, ""
        elif kind in ("function_definition", "template_declaration"):
            inner = node if kind == "function_definition" else node.named_children[-1]
            if inner.type == "function_definition" and not _kept(inner, names):
                yield node, ""


def _of_the_host(node: Node) -> bool:
    """Whether a declaration is one of a function, or of a library's type."""
    return "(" in text(node).partition("=")[0] or text(node.child_by_field_name("type")).startswith(("cuda", "cublas", "nccl"))


def _kept(node: Node, names: Collection[str]) -> bool:
    words = {c.type for c in node.children}
    declarator = node.child_by_field_name("declarator")
    name = text(declarator).partition("(")[0].split()[-1:] if declarator is not None else []
    return "__device__" in words and "__global__" not in words or bool(set(name) & set(names))
