"""A layer of the gallery: a forward, its backward as people write it, and the mistakes that they make in it."""

from __future__ import annotations
import __future__ as future

import ast
import inspect
import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.checking.report.report import Report
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.text.dims import parse_input
from derivcheck.proof.report.proof import Proof

SIZES = {"N": 5, "M": 4, "in": 3, "out": 2, "D": 4, "V": 7, "T": 5, "S": 3, "E": 2, "K": 3, "C": 2, "L": 5, "H": 3, "B": 2}
SIZES |= {"rank": 2, "I": 3, "J": 2, "P": 4, "G": 3}
SPELT = {
    **{w: w.upper() for w in ("mse", "mlp", "gelu", "geglu", "rms", "lstm", "gru", "bce", "dpo", "grpo", "crf", "wkv")},
    "relu": "ReLU",
    "silu": "SiLU",
    "swiglu": "SwiGLU",
    "lora": "LoRA",
    "infonce": "InfoNCE",
    "arcface": "ArcFace",
}
_LISTINGS = tempfile.TemporaryDirectory(prefix="gallery")  # mistakes are files, so that a report can name their lines
_NUMBER = itertools.count()


@dataclass(frozen=True)
class Mistake:
    """A wrong line.

    Attributes:
        name: what is wrong.
        right: text of the backward, once in it.
        wrong: what stands there instead.
        why: why people make it, in one sentence.
    """

    name: str
    right: str
    wrong: str
    why: str


@dataclass(frozen=True)
class Layer:
    """A layer in one of three languages: torch code, index text, CUDA source.

    Attributes:
        name: of lower-case words.
        about: what it is, in one sentence.
        source: where it was published, and its backward.
        forward, backward: torch functions of named tensors, or index text, or the names of functions of ``file``.
        dims: the dimensions of each input, ``int<V: N`` for integers below V.
        constants: what is given beside the tensors.
        wrt: the inputs that have a gradient, where that is not all floating-point ones.
        data: by input, what makes fitting numbers of normal ones.
        sizes: the sizes of its data, where they are not those of the gallery.
        where: what it is made for, as :func:`derivcheck.check` takes it.
        file: the CUDA source.
    """

    name: str
    about: str
    source: str
    forward: Any
    backward: Any
    dims: Mapping[str, str]
    mistakes: tuple[Mistake, ...]
    constants: Mapping[str, Any] = field(default_factory=dict)
    wrt: tuple[str, ...] = ()
    data: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    where: str | None = None
    file: Path | None = None

    @property
    def title(self) -> str:
        """Its name as a heading."""
        words = [SPELT.get(w, w) for w in self.name.split()]
        return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])

    @property
    def slug(self) -> str:
        """Its name as a part of file names."""
        return self.name.replace(" ", "-")

    @property
    def language(self) -> str:
        """``python``, ``text`` (index text) or ``cuda``."""
        return "cuda" if self.file else "text" if isinstance(self.forward, str) else "python"

    @property
    def gradients_of(self) -> tuple[str, ...]:
        """The inputs that have a gradient."""
        return self.wrt or tuple(n for n, d in self.dims.items() if not d.startswith("int"))

    @cached_property
    def derivation(self) -> Any:
        """The forward, derived."""
        if self.file:
            return dc.derive(self.listed)
        return dc.derive(self.listed, dims=dict(self.dims), constants=dict(self.constants), wrt=self.gradients_of)

    @cached_property
    def listing(self) -> str:
        """The source of the backward."""
        if self.file:
            return cuda_function(self.file.read_text(encoding="utf-8"), self.backward)
        return self.backward if self.language == "text" else inspect.getsource(self.backward)

    @cached_property
    def forward_listing(self) -> str:
        """The source of the forward."""
        if self.file:
            return cuda_function(self.file.read_text(encoding="utf-8"), self.forward)
        return self.forward if self.language == "text" else inspect.getsource(self.forward)

    @cached_property
    def listed(self) -> Any:
        """The forward as :func:`derivcheck.derive` takes it; of torch code from a file of its own, as a page shows it."""
        if self.file:
            return dc.cuda(self.file, self.forward, **self.constants)
        return self.forward if self.language == "text" else _made(_folder() / "forward.py", self.forward_listing, self.forward)

    @cached_property
    def right(self) -> Any:
        """The right backward, likewise."""
        if self.file:
            return dc.cuda(self.file, self.backward, **self.constants)
        return self.backward if self.language == "text" else _made(_folder() / "backward.py", self.listing, self.backward)

    def mistaken(self, mistake: Mistake | str) -> Any:
        """The backward with a mistake, as :func:`derivcheck.check` and :func:`derivcheck.prove` take it."""
        if isinstance(mistake, str):
            mistake = next(m for m in self.mistakes if m.name == mistake)
        times = self.listing.count(mistake.right)
        assert times == 1, f"{self.name}: {mistake.right} is there {times} times"
        text = self.listing.replace(mistake.right, mistake.wrong)
        if self.language == "text":
            return text
        if self.file:
            file = _folder() / self.file.name
            file.write_text(self.file.read_text(encoding="utf-8").replace(self.listing, text), encoding="utf-8")
            return dc.cuda(file, self.backward, **self.constants)
        return _made(_folder() / "backward.py", text, self.backward)

    def check(self, backward: Any) -> Report:
        """The check of a backward on the layer's data; not of CUDA source."""
        given: dict[str, Any] = {} if self.language == "text" else {"dims": dict(self.dims)}
        forward = self.derivation if self.language == "text" else self.listed
        return dc.check(forward, self.tensors(), backward, wrt=self.gradients_of, where=self.where, **given)

    def prove(self, backward: Any, seconds: float = 20.0) -> Proof:
        """The proof of a backward."""
        if self.file:
            return dc.prove(self.listed, backward, time_limit=seconds)
        given: dict[str, Any] = {"wrt": self.gradients_of, "where": self.where, "time_limit": seconds}
        return dc.prove(self.listed, backward, dims=dict(self.dims), constants=dict(self.constants), **given)

    def tensors(
        self, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float64, **sizes: int
    ) -> dict[str, Any]:
        """Inputs at these sizes: fitting numbers and integers, and the constants."""
        generator = generator or torch.Generator().manual_seed(0)
        at = {**SIZES, **self.sizes, **sizes}
        found: dict[str, Any] = {n: _drawn(parse_input(n, d), at, generator, dtype) for n, d in self.dims.items()}
        return {n: self.data[n](v) if n in self.data else v for n, v in found.items()} | dict(self.constants)


def _folder() -> Path:
    found = Path(_LISTINGS.name) / str(next(_NUMBER))
    found.mkdir()
    return found


def cuda_function(text: str, name: str) -> str:
    """The source of a function of a CUDA file, with its template line."""
    lines = text.splitlines(keepends=True)
    start = next(k for k, line in enumerate(lines) if line.startswith("__device__") and f" {name}(" in line)
    end = next(k for k in range(start, len(lines)) if lines[k].startswith("}"))
    return "".join(lines[start - lines[start - 1].startswith("template") : end + 1])


def _made(file: Path, text: str, right: Callable[..., Any]) -> Any:
    """The function that ``text`` defines, in the namespace of another."""
    file.write_text(text, encoding="utf-8")
    code = compile(text, str(file), "exec", flags=future.annotations.compiler_flag)
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef)
    space = dict(right.__globals__)
    exec(code, space)
    return space[definition.name]


def _drawn(a: Input, sizes: Mapping[str, int], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    shape = [p.at(sizes) for p in a.dims]
    if a.below is not None:
        return torch.randint(a.below.at(sizes), shape, generator=generator)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
