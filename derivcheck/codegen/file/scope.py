"""The names of one generated file: its variables, sizes and loop indices, and the helpers that its text uses."""

from __future__ import annotations

import keyword
from collections.abc import Sequence

from derivcheck.codegen.file.helpers import HELPERS
from derivcheck.codegen.graph.names import Names, identifier
from derivcheck.codegen.graph.numbers import Speller
from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.text import limits


class Scope:
    """What is called how, while a file is written.

    Attributes:
        variables: the variable of each tensor; ``"T steps"`` is the list of the steps of the recurrence ``T``.
        sizes: the variable of each size.
        loops: the variable of each loop index.
        used: the helpers and modules that the text uses, in order.
        numbers: spells integer expressions in these variables.

    Args:
        bare: the sizes that may be 0 in a divisor whose value is used.
    """

    def __init__(self, arguments: Sequence[Input], bare: frozenset[Atom] = frozenset()) -> None:
        """The inputs keep their names; everything else steps aside."""
        self.names = Names(identifier(a.name) for a in arguments)
        self.variables: dict[str, str] = {}
        self.sizes: dict[str, str] = {}
        self.used: dict[str, None] = {}
        self.loops: dict[Index, str] = {}
        self.numbers = Speller(self._atom, self.use, bare)
        for a in arguments:
            self._parameter(a)

    def _parameter(self, a: Input) -> None:
        if not a.name.isidentifier() or keyword.iskeyword(a.name) or a.name in ("torch", "math", *HELPERS):
            raise InputError(f"an input is called {a.name!r}, which cannot be a parameter of generated code: rename it")
        if limits.name(a.name):
            raise InputError(f"an input of generated code: {limits.name(a.name)}")
        self.variables[a.name] = a.name

    def know(self, dims: Sequence[Poly]) -> None:
        """Give the sizes in these dimensions their variables, in order."""
        for p in dims:
            for s in sorted(p.sizes()):
                self._size(s)

    def _size(self, s: str) -> str:
        found = self.sizes.get(s)
        if found is None:
            found = self.sizes[s] = self.names.size(s)
        return found

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, Size):
            return self._size(atom.name)
        assert isinstance(atom, Index)
        return self.loops[atom]

    def use(self, name: str) -> str:
        """The text of a helper or a builtin, which is used from now on."""
        if name in HELPERS:
            self.used[name] = None
            if name.startswith("_conv"):
                self.used["_window"] = None
            if name == "_conv_of_batches":
                self.used["_conv"] = self.used["_product"] = None
            return name
        if name in self.variables:
            self.used["builtins"] = None
            return f"builtins.{name}"
        return name
