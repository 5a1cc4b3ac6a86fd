"""The derived gradient at one set of tensors, with what rounding may have done to every number of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.pairs import HALVES, Pair, unit
from derivcheck.checking.arithmetic.products import Products, products_on
from derivcheck.checking.arithmetic.scale import scales
from derivcheck.checking.arithmetic.typical import Typical
from derivcheck.checking.backward.found import Run
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import sizes_of

CAP = 100.0  # how much more than the derived way another way of computing may round


@dataclass(frozen=True)
class Derived:
    """The derived gradient at one set of tensors: every definition of the adjoint as a (value, error) pair."""

    pairs: Mapping[str, Pair]
    sizes: Mapping[str, int]
    dtype: torch.dtype
    adjoint: Program
    open: int = 0
    allowance: float | None = None
    typical: Typical | None = None
    decided: Callable[[], Derived] | None = None
    _scales: dict[str, torch.Tensor] = field(default_factory=dict)

    def value(self, name: str) -> torch.Tensor:
        """A definition's value, float64."""
        return self.pairs[name].value

    def tolerance(self, name: str) -> torch.Tensor:
        """What rounding explains, elementwise, the rounding of the result to its type included."""
        v, e, *_ = self.pairs[name]
        last = v.abs() * unit(self.dtype)
        if self.allowance is not None and v.numel():
            last = last + self.allowance * float(v.abs().max())
        return last if e is None else e + last

    def at_kinks(self, name: str, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The tolerance, and where it is wide for a kink alone: brackets stay as they fell where that agrees.

        Where they need not fall as here (``open``) the tolerance of an element is the size of what they select; one that
        agrees with this side of the kinks has shown more.
        """
        tolerance = self.tolerance(name)
        if not self.open or self.decided is None:
            return tolerance, None
        narrow = self.decided().tolerance(name)
        agrees = (found.detach().to("cpu", torch.float64) - self.value(name)).abs() <= narrow
        return torch.where(agrees, torch.minimum(narrow, tolerance), tolerance), ~agrees & (tolerance > 2 * narrow)

    def kinks(self, names: Iterable[str]) -> int:
        """How many elements of these definitions depend on the side of a kink that rounding cannot tell."""
        if not self.open or self.decided is None:
            return 0
        narrow = self.decided()
        return sum(int((self.tolerance(n) > 2 * narrow.tolerance(n)).sum()) for n in names)

    def scale(self, name: str) -> torch.Tensor:
        """``Σ|terms|`` of a definition, elementwise: the scale of the numbers that it adds up."""
        if name not in self._scales:
            program = self.adjoint
            given = name in program.inputs
            self._scales[name] = (
                self.value(name).abs() if given else scales(program.definition(name), program, self.pairs, self.sizes)
            )
        return self._scales[name]


@dataclass(frozen=True)
class Trial:
    """One run of the backward under test: where, what is derived there, and what it gave."""

    s: Subject
    run: Run
    tensors: Tensors
    upstream: Upstream
    right: Derived
    gradients: Mapping[str, torch.Tensor | None]

    @property
    def every(self) -> dict[str, torch.Tensor]:
        """The tensors and the upstream gradients."""
        return {**self.tensors, **self.upstream}

    @property
    def bars(self) -> dict[str, str]:
        """What defines each gradient in the adjoint."""
        return dict(zip(self.s.derivation.wrt, self.s.derivation.adjoint.outputs))


@dataclass(frozen=True)
class JudgedRun:
    """A run that showed something: its tensors, what was derived there and what was found.

    Attributes:
        subject: the subject as it was run, where it is not the caller's.
        before, leaves: see :func:`~derivcheck.checking.backward.found.find`.
    """

    tensors: Tensors
    upstream: Upstream
    right: Derived
    found: Mapping[str, torch.Tensor | None]
    subject: Subject | None = None
    before: tuple[Tensors, Upstream] | None = None
    leaves: bool = False

    @property
    def situated(self) -> bool:
        """Whether it was run in another way than a plain call."""
        return self.subject is not None or self.before is not None or self.leaves


def derived(
    s: Subject, tensors: Tensors, upstream: Upstream, dtype: torch.dtype, coarse: bool = False, decided: bool = False
) -> Derived:
    """Evaluate the adjoint with its rounding bound in ``dtype`` (the flags: see ``Bound``).

    The forward's outputs are evaluated with it: most of the way to them is the adjoint's own.
    """
    adjoint = s.derivation.adjoint
    given = {
        a.name: (upstream if a.name in upstream else tensors)[a.name]
        for a in adjoint.arguments
        if a.name in upstream or a.name in tensors
    }
    numbers = Bound(dtype, coarse, decided, products_of(s, tensors, dtype))
    sizes = sizes_of(adjoint, given)
    bounded = bounds(s, given, dtype)
    pairs = evaluate(s.whole, bounded, sizes, numbers)
    for n, t in bounded.items():
        pairs.setdefault(n, numbers.given(t, n))
    usual = Typical(adjoint, given, dict(sizes), dtype) if dtype in HALVES else None
    again = cache(lambda: derived(s, tensors, upstream, dtype, coarse, decided=True)) if numbers.open else None
    return Derived(pairs, sizes, dtype, adjoint, numbers.open, s.allowance, usual, again)


def products_of(s: Subject, tensors: Tensors, dtype: torch.dtype) -> Products:
    """How the code's matrix products round, on the device of its tensors."""
    templates = (d.spelling.template for d in s.derivation.program.definitions if d.spelling is not None)
    return products_on(next((t.device for t in tensors.values()), "cpu"), dtype, templates)


def bounds(s: Subject, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor | Pair]:
    """The tensors; a float64 one that the code holds with its rounding to the type: 0.1 is written into float32."""
    found: dict[str, torch.Tensor | Pair] = dict(tensors)
    for n in s.held & tensors.keys() if dtype is not torch.float64 else ():
        if tensors[n].dtype is torch.float64:
            v = tensors[n].detach().cpu()
            found[n] = Pair(v, v.abs() * unit(dtype))
    return found


def doubled(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same numbers in float64."""
    return {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}
