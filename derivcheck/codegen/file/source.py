"""A Program and its adjoint as an importable file of torch code, for every size.

The file needs torch alone.  It reads the sizes from the shapes, computes the forward and, after it, the
gradient; what both need is computed once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from derivcheck.codegen.file.bands.split import banded, substituted
from derivcheck.codegen.file.gather import differentiated, spelled_or_needed, together
from derivcheck.codegen.file.helpers import HELPERS
from derivcheck.codegen.file.loops import Loop
from derivcheck.codegen.file.lowered import Contents, Items, Manner, live, lowered, nodes_of
from derivcheck.codegen.file.required import required
from derivcheck.codegen.file.scope import Scope
from derivcheck.codegen.file.shapes import Sizes, find_sizes
from derivcheck.codegen.graph.again import again
from derivcheck.codegen.graph.divisors import bare
from derivcheck.codegen.graph.lean import LeanWriter
from derivcheck.codegen.graph.nodes import Node
from derivcheck.codegen.graph.spell import NodeSpelling
from derivcheck.codegen.graph.stored import StoringWriter
from derivcheck.codegen.graph.write import Writer
from derivcheck.codegen.rewriting.distributed import distributed
from derivcheck.codegen.rewriting.kept import kept
from derivcheck.codegen.rewriting.negated import with_negated
from derivcheck.codegen.rewriting.pinned import pinned
from derivcheck.codegen.rewriting.rewrite import rewritten
from derivcheck.codegen.rewriting.unnamed import is_made_up, named, without_echoes
from derivcheck.codegen.rewriting.words import in_words
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Term


def source(
    forward: Program,
    adjoint: Program | None = None,
    name: str = "derived",
    values: Mapping[str, Any] | None = None,
    wrt: Sequence[str] | None = None,
) -> str:
    """The torch code of a Program and its gradient.

    Args:
        forward: the Program.
        adjoint: its gradient (:func:`derivcheck.derivation.sweep.adjoint`), or None for the forward alone.
        name: what is computed, for the file's docstring.
        values: names that have default values, said in the docstring.
        wrt: the names of the inputs that the adjoint's outputs are the gradients of; found from their names if left out.

    Returns:
        The text of a file that defines ``forward_and_gradients(*, <inputs>) -> (value, grads)``, or ``forward`` alone.
        All tensors are keyword arguments; gradients have the shape and dtype of their inputs.

    Raises:
        UnsupportedOperation: a term that has no torch code.
        InputError: an input whose name cannot be a parameter.

    >>> from derivcheck.notation.program.definitions import Definition, Input
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.notation.terms.build import power, ref
    >>> n = Index("n", size("N"))
    >>> y = Definition("y", (n,), power(ref("x", n), 2))
    >>> text = source(Program((Input("x", (n.size,)),), (y,), ("y",)))
    >>> print([line.strip() for line in text.splitlines() if "x**2" in line][0])
    y = x**2  # (N,)
    """
    file = both_texts(forward, adjoint, name, values or {}, wrt)
    file.readable = True
    return file.text()


def both_texts(
    forward: Program, adjoint: Program | None, name: str, values: Mapping[str, Any], wrt: Sequence[str] | None
) -> File:
    """The file for the text that people read, or for that which runs: the names in it and what is lowered are those of both."""
    forward, adjoint, made_up = in_words(*pinned(forward, adjoint))
    file = File(forward, adjoint, name, values, wrt, made_up)
    file.shared = True
    return file


_SCALED_FIRST = frozenset({"scaled_dot_product_attention"})  # torch scales the queries: scores over no features are 0


class File:
    """One generated file in the making.

    ``readable``: for people, with shapes in comments; ``functional``: without writing into tensors, as vmap needs it;
    ``lean``: writing into all that nobody reads again; ``banded``: lean, and large tensors a band of rows after the other;
    ``fused``: for a compiler, ``recorded``: of what may be recorded; ``by_place``: what it takes may be given by its place;
    ``shared``: what is lowered is kept for the other text of the same.
    """

    functional = False
    lean = False
    banded = False
    fused = False
    recorded = False
    readable = False
    by_place = False
    shared = False
    given_away: tuple[str, ...] = ()

    def __init__(
        self,
        forward: Program,
        adjoint: Program | None,
        name: str,
        values: Mapping[str, Any],
        wrt: Sequence[str] | None,
        made_up: Collection[str] | None = None,
    ) -> None:
        """Gather what is to be written, and give inputs and sizes their names; ``made_up`` are names that say nothing."""
        forward, adjoint = pinned(forward, adjoint)
        self.forward, self.adjoint, self.title, self.values = forward, adjoint, name, values
        self.wrt = tuple(wrt) if wrt is not None else differentiated(forward, adjoint)
        self.arguments = adjoint.arguments if adjoint is not None else forward.arguments
        self.outputs = (*forward.outputs, *(adjoint.outputs if adjoint is not None else ()))
        every = together(forward, adjoint)
        dims = {a.name: a.dims for a in self.arguments} | {d.name: d.dims for d in every}
        if made_up is None:
            made_up = [d.name for d in forward.definitions if is_made_up(d)]
        self.definitions = named(kept(without_echoes(every, self.outputs, dims), dims), self.outputs, made_up)
        self.optional = [a.name for a in self.arguments if a.role == "upstream" and not a.dims]
        summed_first = {d.name for d in forward.definitions if d.rule not in _SCALED_FIRST}
        self.scope = Scope(self.arguments, bare(self.definitions, summed_first, self.outputs))
        self.scope.know([p for a in self.arguments for p in a.dims] + [p for d in self.definitions for p in d.dims])
        self.variables, self.sizes, self.numbers = self.scope.variables, self.scope.sizes, self.scope.numbers

    # -- text ------------------------------------------------------------------------------
    def text(self) -> str:
        """The text: lowered first, so that it is known what is used twice, then written."""
        return self.written(self.lowered())

    def written(self, items: Items, given: Mapping[Node, str] | None = None) -> str:
        """The text of these items; nodes that are ``given`` are variables already."""
        for d in self.definitions:
            self.variables[d.name] = self.scope.names.new(d.name)
        if self.banded:
            items = _in_bands(items, tuple(self.kept()), given or {})
        elif self.lean and all(isinstance(item, Node) for _, item in items):
            nodes = {name: item for name, item in items if isinstance(item, Node)}
            items = list(again(nodes, {a.name for a in self.arguments}, given or {}).items())
        for name, _ in items:
            if name not in self.variables:
                self.variables[name] = self.scope.names.new(name)
        alone = self.fused and not self.recorded
        convolves = "torch.ops.derivcheck.conv_of_batches" if alone else "_conv_of_batches" if self.lean else "_conv"
        spelling = NodeSpelling(self.numbers, self.variables, *self._like(), self.functional, convolves)
        spelling.lean = self.lean
        kind = LeanWriter if self.lean else StoringWriter if self.fused else Writer
        writer = kind(spelling, self.scope.names, given)
        writer.readable = self.readable
        writer.count([n for _, item in items for n in nodes_of(item)])
        if isinstance(writer, LeanWriter):
            parts = [(name, self.variables[name], nodes_of(item), not isinstance(item, Node)) for name, item in items]
            writer.plan(parts, self.kept())
        elif isinstance(writer, StoringWriter):
            writer.plan({name: item for name, item in items if isinstance(item, Node)})
        for name, item in items:
            if isinstance(item, Node):
                writer.named(name, self.variables[name], item)
            elif isinstance(item, Loop):
                writer.loop()
                item.write(writer, self.scope)
            else:
                assert isinstance(writer, LeanWriter)
                writer.loop()
                item.write(writer, self.scope)
        return self._assemble(writer.blocks[0], required(self.forward, spelling.filled, self.numbers, self.variables))

    def kept(self) -> Iterable[str]:
        """The definitions that are returned."""
        return self.outputs

    def lowered(self) -> Items:
        """Each definition that is needed as a node or a loop, in order."""
        contents = Contents(self.forward, self.adjoint, self.arguments, self.definitions, self.outputs, self.optional)
        return live(lowered(contents, Manner(self.lean, self.fused), self._computed, self.shared), self.outputs)

    def _computed(self, lean: bool) -> list[Definition]:
        """The definitions in the form that is computed."""
        unread = self.given_away if lean else {d.name for d in self.definitions}  # people read it as they know it
        definitions = rewritten(self.definitions, self.outputs, unread)
        gradients = {d.name for d in definitions} - {d.name for d in self.forward.definitions}
        definitions = spelled_or_needed(with_negated(definitions, gradients), self.outputs)
        if lean and not self.fused:
            return [d if d.recurrent else _with_term(d, distributed(d.term)) for d in definitions]
        return spelled_or_needed(_recordable(definitions), self.outputs)  # of moments a compiler makes Welford's recurrence

    def _like(self) -> tuple[str, str]:
        """The dtype and the device of new tensors: the first floating argument's."""
        given = [a for a in self.arguments if a.name not in self.optional]
        floats = sorted((a for a in given if a.kind == "float"), key=lambda a: a.role != "argument")
        dtype = f"{self.variables[floats[0].name]}.dtype" if floats else "torch.get_default_dtype()"
        every = floats or given
        return dtype, f"{self.variables[every[0].name]}.device" if every else "None"

    def _assemble(self, body: list[str], needs: list[str]) -> str:
        """The whole file around the statements."""
        fixed = [a for a in self.arguments if a.name not in self.optional]
        sizes = self._found(fixed)
        lines = self._guard(sizes.lines, sizes.checks, fixed, sizes.free) + needs + self._defaults()
        code_text = "\n".join(body)
        for a in fixed:  # an index of 8 bits would be read as a mask; no copy where it is int64 already
            v = self.variables[a.name]
            if a.kind == "int" and re.search(rf"\b{re.escape(v)}\b", code_text):
                lines.append(f"{v} = {v}.long()")
        lines += body
        lines += self._return()
        parameters = [self.variables[a.name] for a in fixed] + [self.sizes[s] for s in sizes.free]
        parameters += [f"{self.variables[n]}=None" for n in self.optional]
        called = "forward_and_gradients" if self.adjoint is not None else "forward"
        head = _signature(called, parameters, self.by_place)
        code = [*head, *(f"    {line}" if line else "" for line in [*self._doc(), *lines])]
        text = "\n".join(code)
        imports = ["import torch"]
        for module in ("builtins", "math"):
            if f"{module}." in text or any(f"{module}." in HELPERS[h] for h in self.scope.used if h in HELPERS):
                imports.insert(0, f"import {module}")
        std = [i for i in imports if i != "import torch"]
        top = [*sorted(std), *([""] if std else []), "import torch"]
        helpers = "".join("\n\n" + HELPERS[h].strip("\n") + "\n" for h in HELPERS if h in self.scope.used)
        whole = "\n".join([*self._module_doc(), "", *top, "", "", text, ""]) + helpers
        return whole.replace("math.pi", repr(math.pi)) if self.fused else whole  # to a compiler a global is no constant

    def _defaults(self) -> list[str]:
        """What an upstream gradient without dimensions is where it is left out, and that it is a number."""
        lines: list[str] = []
        for v, n in ((self.variables[n], n) for n in self.optional):
            lines += [
                f"if {v} is None:",
                f"    {v} = 1.0",
                f'elif getattr({v}, "shape", ()) != ():',
                f'    raise ValueError(f"{n} has shape {{tuple({v}.shape)}}; expected a number, ()")',
            ]
        return lines

    def _found(self, arguments: Sequence[Input]) -> Sizes:
        """Where the sizes come from."""
        return find_sizes(arguments, list(self.sizes), self.numbers, lambda n: self.variables[n])

    def _guard(self, lines: list[str], checks: list[str], arguments: Sequence[Input], free: Sequence[str]) -> list[str]:
        """Read the sizes and check the shapes; the error names the first input that does not fit."""
        if not lines and not checks:
            return []
        self.scope.used["_shape_error"] = None
        ok = self.scope.names.new("fits")
        if sum(map(len, checks)) + 5 * len(checks) > 100:
            fits = [f"{ok} = (", *(f"    {'and ' if k else ''}{c}" for k, c in enumerate(checks)), ")"]
        else:
            fits = [f"{ok} = {' and '.join(checks) or 'True'}"]
        known = "{" + ", ".join(f'"{self.sizes[s]}": {self.sizes[s]}' for s in free) + "}"
        parts = [
            f'{self.variables[a.name]}=({self.variables[a.name]}, "{", ".join(self.numbers.poly(p) for p in a.dims)}"),'
            for a in arguments
        ]
        one = f"    raise _shape_error({known}, {' '.join(parts)[:-1]})"
        spread = ["    raise _shape_error(", f"        {known},", *(f"        {p}" for p in parts), "    )"]
        return [
            "try:",
            *(f"    {x}" for x in [*lines, *fits]),
            f"except {self.scope.use('ValueError')}:",
            f"    {ok} = False",
            f"if not {ok}:",
            *([one] if len(one) <= 110 else spread),
        ]

    def _return(self) -> list[str]:
        """The value, and the gradients by name."""
        outs = [self.variables[o] for o in self.forward.outputs]
        auto = self.forward.structure == "auto" and len(outs) == 1
        value = outs[0] if auto else f"({', '.join(outs)}{',' if len(outs) == 1 else ''})"
        if self.adjoint is None:
            return [f"return {value}"]
        pairs = [f'"{n}": {self.variables[o]}' for n, o in zip(self.wrt, self.adjoint.outputs)]
        text = f"return {value}, {{{', '.join(pairs)}}}"
        if len(text) <= 110:
            return [text]
        return ["grads = {", *(f"    {p}," for p in pairs), "}", f"return {value}, grads"]

    def _doc(self) -> list[str]:
        outs = ", ".join(f"{o}{self._shape(self.forward.dims(o))}" for o in self.forward.outputs)
        if self.adjoint is None:
            return [f'"""Returns {outs}."""']
        return [f'"""Returns {outs} and the gradients in {", ".join(self.wrt) or "nothing"}, a dict by name."""']

    def _shape(self, dims: Sequence[Poly]) -> str:
        return f" ({', '.join(self.numbers.poly(p) for p in dims)})" if dims else ""

    def _module_doc(self) -> list[str]:
        """The file's docstring: shapes, forward and gradient in index text."""
        first = (
            f'"""{_plain(self.title)}: forward and gradients, derived once for every size.'
            if self.adjoint is not None
            else f'"""{_plain(self.title)}: the forward, for every size.'
        )
        out = [first, "", "Shapes:"]
        for a in self.arguments:
            kind = "" if a.kind == "float" else f", {a.kind}"
            default = "; 1 if left out" if a.name in self.optional else "; has a default" if a.name in self.values else ""
            out.append(f"    {a.name}: ({', '.join(self.numbers.poly(p) for p in a.dims)}){kind}{default}")
        names = {d.name for d in self.forward.definitions}
        for title, wanted in (("Forward", True), ("Gradient", False)):
            lines = []
            for d in self.definitions:
                if (d.name in names) == wanted:
                    at = f"[{', '.join(i.key for i in d.indices)}]" if d.indices else ""
                    lines.append(f"    {_plain(f'{d.name}{at} = {d.term}')}")
            if lines:
                out += ["", f"{title}:", *(_clipped(x) for x in lines)]
        return [*out, '"""']


def _plain(text: str) -> str:
    return text.replace("\\", "/").replace('"""', "'''")


def _clipped(line: str, width: int = 118) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


def _signature(called: str, parameters: Sequence[str], by_place: bool) -> list[str]:
    one = f"def {called}({'*, ' if parameters and not by_place else ''}{', '.join(parameters)}):"
    if len(one) <= 110:
        return [one]
    return [f"def {called}(", *([] if by_place else ["    *,"]), *(f"    {p}," for p in parameters), "):"]


def _in_bands(items: Items, kept: Sequence[str], given: Mapping[Node, str]) -> Items:
    """The items with a loop over bands, where no recurrence stands among them."""
    moved = {n: Node("var", (), (name,), n.dims, n.kind, n.loops) for n, name in given.items()}
    plain = [(name, substituted(item, moved)) for name, item in items if isinstance(item, Node)]
    if len(plain) < len(items):
        return items
    number = count()
    return list(banded(plain, kept, lambda: f"band {next(number)}"))


def _with_term(d: Definition, term: Term) -> Definition:
    return d if term is d.term else replace(d, term=term)


def _recordable(definitions: Sequence[Definition]) -> list[Definition]:
    """The same without torch's calls that return moments beside the value, where these are read: torch records no gradient
    of them, and a gradient of the gradient would lack what goes through them."""
    calls = {d.spelling.template for d in definitions if d.spelling is not None and d.spelling.part and d.kind == "float"}
    return [replace(d, spelling=None) if d.spelling is not None and d.spelling.template in calls else d for d in definitions]
