"""What rounding can have done to an inverse, a determinant, a Cholesky factor: the condition of the matrix enters.

Elimination gives the exact factors of a matrix A + δA with |δA| ≤ γ·|L||U|, element by element (Higham, *Accuracy and
Stability of Numerical Algorithms*, 2nd ed. 2002, theorem 9.3; 10.3 for Cholesky); what an operand's own error E does is added.
From there, in the first order and divided by what is left of 1 for the rest:

    inverse      X = A⁻¹:   |δX| ≤ |X|(E + |δA|)|X|          determinant   |δ det| ≤ Σ |cofactor|(E + |δA|)
    logarithm    |δ log|det|| ≤ Σ |Xᵀ| ⊙ (E + |δA|)          factor        |δL| ≤ |L|·Φ(|L⁻¹|(E + |δA|)|L⁻ᵀ|)

Where the perturbation may reach a singular matrix the error is infinite: nothing is told, and nothing passes.
"""

from __future__ import annotations

import torch

from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT, Pair

Tensor = torch.Tensor


def of_matrix(kind: str, a: Pair, unit: float, depth: float) -> Pair:
    """The value and the error of what is made of matrices ``[..., n, n]``.

    Args:
        unit: the unit roundoff.
        depth: how many roundings reach one term of a sum of n.
    """
    v = value(kind, a.value)
    n = a.value.shape[-1]
    if not n or not bool(torch.isfinite(a.value).all()):
        return Pair(v, torch.where(torch.isfinite(v), 0.0, torch.inf) if n else None)
    pivots, factors, lower, upper = _factored(kind, a.value)
    moved = 3 * depth * unit * factors
    if a.error is not None:
        moved = moved + a.error
    if kind == "cholesky":
        return Pair(v, _of_cholesky(lower, moved) + unit * v.abs())
    if kind == "det":
        cofactors = _cofactors(a.value)
        x = torch.linalg.inv_ex(a.value)[0]
        rest = 1 / (1 - _norm(x.abs() @ moved)).clamp(min=0)
        size = (cofactors * moved).sum((-2, -1))
        return Pair(v, torch.where(torch.isfinite(rest), size * rest, size * n) + n * unit * v.abs())
    x = torch.linalg.inv_ex(a.value)[0].abs()
    rest = 1 / (1 - _norm(x @ moved)).clamp(min=0)
    if kind == "inv":
        error = x @ moved @ x * rest[..., None, None]
    else:
        logs = torch.diagonal(upper, dim1=-2, dim2=-1).abs().log().abs().sum(-1)
        error = (x.mT * moved).sum((-2, -1)) * rest + (depth + 2) * unit * logs
    return Pair(v, torch.where(torch.isnan(error), torch.inf, error) + unit * v.abs().nan_to_num(torch.inf))


def value(kind: str, a: Tensor) -> Tensor:
    """torch's own."""
    if kind == "inv":
        return _there(torch.linalg.inv_ex(a))
    if kind == "cholesky":
        return _there(torch.linalg.cholesky_ex((a + a.mT) / 2))
    found: Tensor = torch.linalg.det(a) if kind == "det" else torch.linalg.slogdet(a)[1]
    return torch.logdet(a) if kind == "logdet" else found


def _there(found: tuple[Tensor, Tensor]) -> Tensor:
    """NaN where LAPACK says that there is none."""
    return torch.where((found[1] == 0)[..., None, None], found[0], torch.nan)


def _factored(kind: str, a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rows' order, ``|L||U|`` of the matrix with its rows as they were, and both factors."""
    if kind == "cholesky":
        lower = _there(torch.linalg.cholesky_ex((a + a.mT) / 2))
        return lower, lower.abs() @ lower.abs().mT, lower, lower.mT
    order, lower, upper = torch.linalg.lu(a)
    return order, order @ (lower.abs() @ upper.abs()), lower, upper


def _norm(k: Tensor) -> Tensor:
    """The smaller of the two norms that are sums of rows and of columns."""
    return torch.minimum(k.abs().sum(-1).amax(-1), k.abs().sum(-2).amax(-1)).nan_to_num(torch.inf)


def _cofactors(a: Tensor) -> Tensor:
    """Their absolute values; of a singular matrix, too."""
    u, s, vh = torch.linalg.svd(a)
    n = s.shape[-1]
    others = torch.where(torch.eye(n, dtype=torch.bool), 1.0, s[..., None, :]).prod(-1)
    sign = torch.linalg.det(u) * torch.linalg.det(vh)
    found: Tensor = (u * (others * sign[..., None])[..., None, :]) @ vh
    rounding: Tensor = 4 * n * FLOAT64_UNIT * (u.abs() * others[..., None, :]) @ vh.abs()
    return found.abs() + rounding


def _of_cholesky(lower: Tensor, moved: Tensor) -> Tensor:
    """``|L|·Φ(|L⁻¹|·moved·|L⁻ᵀ|)``, Φ the lower triangle with half of the diagonal."""
    inverse = torch.linalg.inv_ex(lower)[0].abs()
    inner = inverse @ moved @ inverse.mT
    half = inner.tril() - torch.diag_embed(torch.diagonal(inner, dim1=-2, dim2=-1)) / 2
    rest = 1 / (1 - 2 * _norm(inner)).clamp(min=0)
    error = lower.abs() @ half * rest[..., None, None]
    return torch.where(torch.isnan(error), torch.inf, error)
