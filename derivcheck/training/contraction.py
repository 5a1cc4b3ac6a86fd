"""How fast gradient descent can go: the Hessian of the loss, derived, and what its eigenvalues say of a learning rate.

A step of gradient descent on a quadratic multiplies the error along an eigenvector of the Hessian by 1 − lr·λ
(Nesterov, *Introductory Lectures on Convex Optimization*, 2004, section 1.2.3).  The Hessian comes from the same
sweep as the gradient: the derivation of the adjoint Program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from derivcheck.derived import Derivation
from derivcheck.notation.integers.polynomials import Index, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import number, power, ref
from derivcheck.notation.terms.substitute import summation

LARGEST = 1500  # parameters: beyond that the dense Hessian costs more than the answer is worth
_Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Contraction:
    """What the Hessian's eigenvalues say of a learning rate.

    Attributes:
        eigenvalues: of the Hessian in the parameters, ascending, float64 of shape (number of parameters,).
        lr: the learning rate.
        flat: how many directions the data leave undetermined (eigenvalue 0 up to rounding); no step moves along them.
        quadratic: whether the Hessian is the same everywhere; else the numbers hold near the given parameters only.
    """

    eigenvalues: torch.Tensor
    lr: float
    flat: int
    quadratic: bool

    @property
    def largest_stable_lr(self) -> float:
        """2/λmax: above it a full-batch step makes the error along that direction grow."""
        top = float(self.eigenvalues[-1])
        return 2 / top if top > 0 else math.inf

    @property
    def slowest(self) -> float:
        """max |1 − lr·λ| over the directions that the data determine: what is left of the slowest one's error per step."""
        steep = self.eigenvalues[self.flat :]
        return float((1 - self.lr * steep).abs().max()) if len(steep) else 0.0

    @property
    def best_lr(self) -> float:
        """2/(λmin + λmax), which makes the slowest direction as fast as it can be."""
        steep = self.eigenvalues[self.flat :]
        return float(2 / (steep[0] + steep[-1])) if len(steep) else math.inf

    def left(self, steps: int) -> float:
        """The part of the slowest direction's error that is left after so many full-batch steps."""
        try:
            return float(self.slowest**steps)
        except OverflowError:
            return math.inf

    def steps_for(self, part: float) -> float:
        """How many full-batch steps leave ``part`` of the slowest direction's error; inf where it does not shrink."""
        if self.slowest >= 1:
            return math.inf
        return math.ceil(math.log(part) / math.log(self.slowest)) if self.slowest > 0 else 1.0

    def __str__(self) -> str:
        """What a person choosing a learning rate wants to know, in sentences."""
        steep, everywhere = self.eigenvalues[self.flat :], "" if self.quadratic else " near these parameters"
        if not len(steep):
            return "The loss does not depend on the parameters."
        if float(steep[0]) < 0:
            return (
                f"The Hessian of the loss has a negative eigenvalue ({float(steep[0]):.3g}){everywhere}: "
                f"the loss is not convex there. The largest stable lr is {self.largest_stable_lr:.3g} (2/λmax)."
            )
        lines = [
            f"The Hessian of the loss, derived by the same sweep, has eigenvalues from {float(steep[0]):.3g} "
            f"to {float(steep[-1]):.3g}{everywhere}."
        ]
        if self.slowest < 1:
            each, left, later = (below_one(p, k) for p, k in ((self.slowest, 4), (self.left(50), 2), (self.left(300), 2)))
            lines.append(
                f"At lr {self.lr:g} an epoch of gradient descent leaves {each} of the slowest direction's "
                f"error: {left} of it is left after 50 epochs, {later} after 300; "
                f"{_whole(self.steps_for(0.01))} epochs leave a hundredth."
            )
        else:
            lines.append(f"At lr {self.lr:g} the error along one direction grows {self.slowest:.4g}-fold per epoch.")
        fast = _whole(replace(self, lr=self.best_lr).steps_for(0.01))
        lines.append(
            f"The largest stable lr is {self.largest_stable_lr:.3g} (2/λmax); the fastest is {self.best_lr:.3g} "
            f"(2/(λmin + λmax)), with {fast} epochs to a hundredth."
        )
        if self.flat:
            lines.append(
                f"The data leave {self.flat} direction{'s' if self.flat > 1 else ''} undetermined (eigenvalue 0): "
                "no step moves along them, and the loss does not see them."
            )
        return " ".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-able values."""
        stable, left = self.largest_stable_lr, {k: self.left(k) for k in (50, 300)}
        return {
            "eigenvalues": self.eigenvalues.tolist(),
            "lr": self.lr,
            "flat_directions": self.flat,
            "quadratic": self.quadratic,
            "slowest_contraction_per_epoch": self.slowest,
            "largest_stable_lr": stable if math.isfinite(stable) else None,
            **{f"error_left_after_{k}": v if math.isfinite(v) else None for k, v in left.items()},
        }


def hessian_product(derivation: Derivation, tensors: Mapping[str, torch.Tensor], names: Sequence[str]) -> _Product:
    """Direction → Hessian · direction, by the derivation of the adjoint.

    Args:
        derivation: of a Program with one scalar output, with ``wrt`` equal to ``names``.
        tensors: every input of the Program; taken in float64.
        names: the inputs that the Hessian is taken in, in this order, flattened to n elements.

    Returns:
        A function from float64 of shape (n,) to float64 of shape (n,).
    """
    second = Derivation(derivation.adjoint, names)
    run = second.compile()
    given = {n: t.detach().to(torch.float64) if t.is_floating_point() else t for n, t in tensors.items()}
    for name in derivation.upstream:
        given[name] = torch.ones((), dtype=torch.float64, device=given[names[0]].device)
    shapes = [given[n].shape for n in names]
    counts = [given[n].numel() for n in names]

    def product(direction: torch.Tensor) -> torch.Tensor:
        pieces = {u: p.reshape(s) for u, p, s in zip(second.upstream, torch.split(direction, counts), shapes)}
        _, grads = run(**given, **pieces)
        return torch.cat([grads[n].reshape(-1) for n in names])

    return product


def hessian(derivation: Derivation, tensors: Mapping[str, torch.Tensor], names: Sequence[str]) -> torch.Tensor:
    """The Hessian of a scalar loss in some inputs, a derived Hessian-vector product per column.

    Args: as for :func:`hessian_product`.

    Returns:
        float64, shape (n, n), on the CPU.

    >>> d = Derivation(_square(), ["a"])
    >>> hessian(d, {"a": torch.tensor([1.0, 5.0], dtype=torch.float64)}, ["a"]).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    product = hessian_product(derivation, tensors, names)
    n = sum(tensors[name].numel() for name in names)
    unit = torch.eye(n, dtype=torch.float64, device=tensors[names[0]].device)
    return torch.stack([product(unit[k]) for k in range(n)], 1).cpu()


def largest_eigenvalue(
    derivation: Derivation, tensors: Mapping[str, torch.Tensor], names: Sequence[str], steps: int = 60
) -> float:
    """λmax of the Hessian from below, by power iteration on derived products (Golub & Van Loan, section 7.3)."""
    product = hessian_product(derivation, tensors, names)
    n = sum(tensors[name].numel() for name in names)
    v = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(tensors[names[0]].device)
    found = 0.0
    for _ in range(steps):
        v = v / v.norm()
        moved = product(v)
        found = float(v @ moved)
        if not torch.isfinite(moved).all() or not moved.any():
            break
        v = moved
    return found


def contraction(
    derivation: Derivation,
    parts: Sequence[tuple[float, Mapping[str, torch.Tensor]]],
    names: Sequence[str],
    lr: float,
) -> Contraction | None:
    """What one full-batch step of gradient descent does to the error, at this learning rate.

    Args:
        parts: tensors, as :func:`hessian_product` takes them, of parts of the data that the loss is a mean over, each with its
            share of the rows; one part of share 1 for all.

    Returns:
        None where there are more than 1500 parameters, or the Hessian is not finite.
    """
    if sum(parts[0][1][n].numel() for n in names) > LARGEST:
        return None
    full = torch.stack([share * hessian(derivation, tensors, names) for share, tensors in parts]).sum(0)
    if not torch.isfinite(full).all():
        return None
    values = torch.linalg.eigvalsh((full + full.mT) / 2)
    # Eigenvalues of a symmetric matrix are right to a few roundings of the largest (Weyl).
    zero = 8 * len(values) * torch.finfo(torch.float64).eps * float(values.abs().max())
    flat = int((values.abs() <= zero).sum()) if float(values[0]) >= -zero else 0
    return Contraction(values, lr, flat, _constant_hessian(derivation, names))


def _constant_hessian(derivation: Derivation, names: Sequence[str]) -> bool:
    """Whether no second derivative reads the parameters: then the loss is quadratic in them."""
    second = Derivation(derivation.adjoint, names).adjoint
    needed = second.needed(second.outputs)
    return not any(d.term.names & set(names) for d in needed.definitions)


def below_one(part: float, digits: int) -> str:
    """A part of 1 in as many digits as tell it from 1.

    >>> below_one(0.25, 4), below_one(0.99997, 4), below_one(0.9999999912, 2)
    ('0.25', '0.99997', '0.9999999912')
    """
    if not 0.9 < part < 1:
        return f"{part:.{digits}g}"
    return f"{part:.{max(digits, 1 - math.floor(math.log10(1 - part)))}g}"


def _whole(steps: float) -> str:
    return f"{steps:,.0f}" if math.isfinite(steps) else "no number of"


def _square() -> Any:
    n = Index("n", size("N"))
    return Program((Input("a", (n.size,)),), (Definition("y", (), summation([n], power(ref("a", n), number(2)))),), ("y",))
