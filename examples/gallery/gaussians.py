"""Gaussians: a likelihood by a Cholesky factor, a filter's update with several measurements."""

import torch

from examples.gallery.layer import Layer, Mistake


def gaussian_likelihood(x, mu, cov):
    factor = torch.linalg.cholesky(cov)
    z = torch.linalg.solve_triangular(factor, (x - mu).mT, upper=False)
    return 0.5 * (z**2).sum() + x.shape[0] * torch.log(torch.diagonal(factor)).sum()


def gaussian_likelihood_backward(grad_output, x, mu, cov):
    precision = torch.linalg.inv(cov)
    pull = (x - mu) @ precision
    dx = grad_output * pull
    dmu = -dx.sum(0)
    dcov = grad_output * 0.5 * (x.shape[0] * precision - pull.mT @ pull)
    return {"x": dx, "mu": dmu, "cov": dcov}


def kalman_gain(mean, cov, h, noise, y):
    s = h @ cov @ h.mT + noise
    gain = torch.linalg.solve(s, cov @ h.mT, left=False)
    return mean + gain @ (y - h @ mean)


def kalman_gain_backward(grad_output, mean, cov, h, noise, y):
    ph = cov @ h.mT
    s = h @ ph + noise
    gain = torch.linalg.solve(s, ph, left=False)
    innovation = y - h @ mean
    dinnovation = gain.mT @ grad_output
    dph = torch.linalg.solve(s.mT, torch.outer(grad_output, innovation), left=False)
    ds = -gain.mT @ dph
    dmean = grad_output - h.mT @ dinnovation
    dcov = dph @ h + h.mT @ ds @ h
    dh = dph.mT @ cov + ds @ ph.mT + ds.mT @ h @ cov - torch.outer(dinnovation, mean)
    return {"mean": dmean, "cov": dcov, "h": dh, "noise": ds, "y": dinnovation}


def definite(a: torch.Tensor) -> torch.Tensor:
    """A symmetric positive definite matrix of random numbers."""
    return a @ a.mT / a.shape[-1] + torch.eye(a.shape[-1], dtype=a.dtype)


LAYERS = (
    Layer(
        "gaussian likelihood",
        "The negative log-likelihood of points under a Gaussian, but for a constant, by the Cholesky factor of its covariance.",
        "`torch.distributions.MultivariateNormal`; the gradient of Petersen & Pedersen, The Matrix Cookbook, 2012, section 8.",
        gaussian_likelihood,
        gaussian_likelihood_backward,
        {"x": "N D", "mu": "D", "cov": "D D"},
        (
            Mistake(
                "one log-determinant for all points",
                "dcov = grad_output * 0.5 * (x.shape[0] * precision - pull.mT @ pull)",
                "dcov = grad_output * 0.5 * (precision - pull.mT @ pull)",
                "The log-determinant stands in the likelihood of every point.",
            ),
            Mistake(
                "the deviations not pulled back",
                "dcov = grad_output * 0.5 * (x.shape[0] * precision - pull.mT @ pull)",
                "dcov = grad_output * 0.5 * (x.shape[0] * precision - (x - mu).mT @ pull)",
                "The inverse stands on both sides of the outer product: S⁻¹ r rᵀ S⁻¹.",
            ),
        ),
        data={"cov": definite},
    ),
    Layer(
        "kalman gain",
        "A state's mean, corrected by several measurements at once: the gain solves a system with the innovation's covariance.",
        "Kalman 1960.",
        kalman_gain,
        kalman_gain_backward,
        {"mean": "D", "cov": "D D", "h": "M D", "noise": "M M", "y": "M"},
        (
            Mistake(
                "the system not transposed",
                "dph = torch.linalg.solve(s.mT, torch.outer(grad_output, innovation), left=False)",
                "dph = torch.linalg.solve(s, torch.outer(grad_output, innovation), left=False)",
                "The backward of a system solves with the transposed matrix; a covariance a little off symmetric shows it.",
            ),
            Mistake(
                "the innovation's covariance held constant",
                "dcov = dph @ h + h.mT @ ds @ h",
                "dcov = dph @ h",
                "The gain divides by a covariance that depends on the state's.",
            ),
        ),
        sizes={"M": 3},
        data={"noise": definite},
    ),
)
