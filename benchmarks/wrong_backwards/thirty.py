"""Wrong hand-written backwards of fifteen more layers and losses, two of each, written after the edits and run once.

``python -m benchmarks.wrong_backwards.thirty`` verifies each with torch.autograd alone, as the hundred are.
"""

from __future__ import annotations

import torch

from benchmarks.wrong_backwards.mistake import Mistake, Slip, faults, layer, rand, randn


def cosine_rows(x, y):
    return (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))


def cosine_rows_projects_on_the_other(grad_output, x, y):
    nx, ny = x.norm(dim=1), y.norm(dim=1)
    c = (x * y).sum(1) / (nx * ny)
    dx = grad_output[:, None] * (y / (nx * ny)[:, None] - c[:, None] * y / (nx**2)[:, None])
    dy = grad_output[:, None] * (x / (nx * ny)[:, None] - c[:, None] * y / (ny**2)[:, None])
    return {"x": dx, "y": dy}


def cosine_rows_one_norm_is_not_squared(grad_output, x, y):
    nx, ny = x.norm(dim=1), y.norm(dim=1)
    c = (x * y).sum(1) / (nx * ny)
    dx = grad_output[:, None] * (y / (nx * ny)[:, None] - c[:, None] * x / (nx**2)[:, None])
    dy = grad_output[:, None] * (x / (nx * ny)[:, None] - c[:, None] * y / ny[:, None])
    return {"x": dx, "y": dy}


def poisson_loss(rate, count):
    return (torch.exp(rate) - count * rate).mean()


def poisson_loss_sums_over_the_batch(grad_output, rate, count):
    n = rate.shape[0]
    g = grad_output / n
    return {"rate": g * (torch.exp(rate) - count), "count": -g * rate}


def poisson_loss_count_reads_the_exponential(grad_output, rate, count):
    n, m = rate.shape
    g = grad_output / (n * m)
    mean = torch.exp(rate)
    return {"rate": g * (mean - count), "count": -g * mean}


def log_cosh(pred, target):
    return torch.log(torch.cosh(pred - target)).sum(1)


def log_cosh_slope_of_a_sigmoid(grad_output, pred, target):
    e = pred - target
    slope = torch.sigmoid(e)
    d = grad_output[:, None] * slope
    return {"pred": d, "target": -d}


def log_cosh_upstream_along_the_columns(grad_output, pred, target):
    e = pred - target
    d = grad_output.sum() * torch.tanh(e)
    return {"pred": d, "target": -d}


def pinball(pred, target):
    e = target - pred
    return torch.where(e > 0, 0.3 * e, -0.7 * e).mean()


def pinball_exchanges_the_sides(grad_output, pred, target):
    e = target - pred
    slope = 0.7 * (e > 0).to(e) - 0.3 * (e <= 0).to(e)
    d = grad_output * slope / e.numel()
    return {"pred": -d, "target": d}


def pinball_sides_of_the_prediction(grad_output, pred, target):
    e = target - pred
    slope = 0.3 * (pred > 0).to(e) - 0.7 * (pred <= 0).to(e)
    d = grad_output * slope / e.numel()
    return {"pred": -d, "target": d}


def additive_scores(q, k, v):
    return torch.tanh(q[:, None] + k[None]) @ v


def additive_scores_slope_is_left_out(grad_output, q, k, v):
    t = torch.tanh(q[:, None] + k[None])
    dt = grad_output[..., None] * v
    return {"q": dt.sum(1), "k": dt.sum(0), "v": (grad_output[..., None] * t).sum((0, 1))}


def additive_scores_keys_over_the_keys(grad_output, q, k, v):
    t = torch.tanh(q[:, None] + k[None])
    ds = grad_output[..., None] * v * (1 - t**2)
    dq = ds.sum(1)
    dk = ds.mean(0)
    return {"q": dq, "k": dk, "v": (grad_output[..., None] * t).sum((0, 1))}


def clipped_ratio(logp, old, advantage):
    ratio = torch.exp(logp - old)
    return -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()


def clipped_ratio_forgets_the_ratio(grad_output, logp, old, advantage):
    ratio = torch.exp(logp - old)
    free = ratio * advantage <= ratio.clamp(0.8, 1.2) * advantage
    d = -grad_output * advantage * free / logp.numel()
    return {"logp": d, "old": -d}


def clipped_ratio_old_without_the_sign(grad_output, logp, old, advantage):
    ratio = torch.exp(logp - old)
    free = ratio * advantage <= ratio.clamp(0.8, 1.2) * advantage
    d = -grad_output * advantage * ratio * free / logp.numel()
    return {"logp": d, "old": d}


def center_loss(x, centers, label):
    return 0.5 * ((x - centers[label]) ** 2).sum() / x.shape[0]


def center_loss_overwrites_the_centers(grad_output, x, centers, label):
    d = grad_output * (x - centers[label]) / x.shape[0]
    dc = torch.zeros_like(centers)
    dc[label] = -d
    return {"x": d, "centers": dc}


def center_loss_without_the_half(grad_output, x, centers, label):
    d = 2 * grad_output * (x - centers[label]) / x.shape[0]
    return {"x": d, "centers": torch.zeros_like(centers).index_add(0, label, -d)}


def covariance_loss(x):
    c = x - x.mean(0)
    cov = c.T @ c / (x.shape[0] - 1)
    return (cov**2).sum()


def covariance_loss_divides_by_all_rows(grad_output, x):
    n = x.shape[0]
    c = x - x.mean(0)
    cov = c.T @ c / (n - 1)
    dcov = 2 * grad_output * cov
    return {"x": 2 * c @ dcov / n}


def covariance_loss_one_side_of_the_product(grad_output, x):
    n = x.shape[0]
    c = x - x.mean(0)
    cov = c.T @ c / (n - 1)
    dcov = 2 * grad_output * cov
    return {"x": c @ dcov / (n - 1)}


def student_loss(x, mu, log_scale):
    z = (x - mu) * torch.exp(-log_scale)
    return (2.0 * torch.log1p(z**2 / 3.0) + log_scale).sum(-1)


def student_loss_scale_without_the_one(grad_output, x, mu, log_scale):
    inv = torch.exp(-log_scale)
    z = (x - mu) * inv
    dz = grad_output[:, None] * 4.0 * z / (3.0 + z**2)
    dscale = (-dz * z).sum(0)
    return {"x": dz * inv, "mu": (-dz * inv).sum(0), "log_scale": dscale}


def student_loss_freedom_is_left_out(grad_output, x, mu, log_scale):
    inv = torch.exp(-log_scale)
    z = (x - mu) * inv
    dz = grad_output[:, None] * 4.0 * z / (1.0 + z**2)
    dscale = (grad_output[:, None] - dz * z).sum(0)
    return {"x": dz * inv, "mu": (-dz * inv).sum(0), "log_scale": dscale}


def recurrent_step(x, h, wx, wh):
    return torch.relu(x @ wx.T + h @ wh.T)


def recurrent_step_state_through_the_input(grad_output, x, h, wx, wh):
    a = x @ wx.T + h @ wh.T
    da = grad_output * (a > 0)
    return {"x": da @ wx, "h": da @ wx, "wx": da.T @ x, "wh": da.T @ h}


def recurrent_step_mask_of_the_state(grad_output, x, h, wx, wh):
    a = x @ wx.T + h @ wh.T
    da = grad_output * (a < 0)
    return {"x": da @ wx, "h": da @ wh, "wx": da.T @ x, "wh": da.T @ h}


def polynomial_kernel(x, y):
    return (x @ y.T / x.shape[1] + 1.5) ** 3


def polynomial_kernel_power_is_kept(grad_output, x, y):
    inner = x @ y.T / x.shape[1] + 1.5
    d = grad_output * 3 * inner**3
    return {"x": d @ y / x.shape[1], "y": d.T @ x / x.shape[1]}


def polynomial_kernel_without_the_offset(grad_output, x, y):
    inner = x @ y.T / x.shape[1]
    d = grad_output * 3 * inner**2
    return {"x": d @ y / x.shape[1], "y": d.T @ x / x.shape[1]}


def squashed_log_density(u, mean, log_std):
    z = (u - mean) * torch.exp(-log_std)
    return (-0.5 * z**2 - log_std - torch.log(1 - torch.tanh(u) ** 2 + 0.01)).sum(-1)


def squashed_log_density_forgets_the_squash(grad_output, u, mean, log_std):
    inv = torch.exp(-log_std)
    z = (u - mean) * inv
    dz = -grad_output[:, None] * z
    du = dz * inv
    return {"u": du, "mean": -dz * inv, "log_std": -dz * z - grad_output[:, None]}


def squashed_log_density_mean_has_the_wrong_sign(grad_output, u, mean, log_std):
    inv = torch.exp(-log_std)
    z = (u - mean) * inv
    t = torch.tanh(u)
    dz = -grad_output[:, None] * z
    du = dz * inv + grad_output[:, None] * 2 * t * (1 - t**2) / (1 - t**2 + 0.01)
    return {"u": du, "mean": dz * inv, "log_std": -dz * z - grad_output[:, None]}


def layer_scale(x, gamma, w):
    return x + gamma * torch.relu(x @ w.T)


def layer_scale_forgets_the_residual(grad_output, x, gamma, w):
    a = x @ w.T
    da = grad_output * gamma * (a > 0)
    return {"x": da @ w, "gamma": (grad_output * torch.relu(a)).sum(0), "w": da.T @ x}


def layer_scale_gamma_before_the_kink(grad_output, x, gamma, w):
    a = x @ w.T
    da = grad_output * gamma * (a > 0)
    return {"x": grad_output + da @ w, "gamma": (grad_output * a).sum(0), "w": da.T @ x}


def squared_hinge(score, label):
    return (torch.relu(1 - label * score) ** 2).mean()


def squared_hinge_label_is_forgotten(grad_output, score, label):
    slack = torch.relu(1 - label * score)
    d = -2 * grad_output * slack / score.numel()
    return {"score": d}


def squared_hinge_margin_has_the_wrong_sign(grad_output, score, label):
    slack = torch.relu(1 + label * score)
    d = -2 * grad_output * slack * label / score.numel()
    return {"score": d}


def soft_assignment(x, centers):
    d2 = ((x[:, None] - centers[None]) ** 2).sum(-1)
    q = 1 / (1 + d2)
    return q / q.sum(1, keepdim=True)


def soft_assignment_treats_the_sum_as_constant(grad_output, x, centers):
    diff = x[:, None] - centers[None]
    q = 1 / (1 + (diff**2).sum(-1))
    total = q.sum(1, keepdim=True)
    dq = grad_output / total
    dd = -dq * q**2
    pull = 2 * dd[..., None] * diff
    return {"x": pull.sum(1), "centers": -pull.sum(0)}


def soft_assignment_power_of_the_kernel(grad_output, x, centers):
    diff = x[:, None] - centers[None]
    q = 1 / (1 + (diff**2).sum(-1))
    total = q.sum(1, keepdim=True)
    p = q / total
    dq = (grad_output - (grad_output * p).sum(1, keepdim=True)) / total
    dd = -dq * q
    pull = 2 * dd[..., None] * diff
    return {"x": pull.sum(1), "centers": -pull.sum(0)}


def signs(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64).sign()


def labels(k: int, n: int) -> torch.Tensor:
    found = torch.arange(n) % k
    found[-1] = found[0]
    return found


CASES: list[Slip] = [
    *layer(
        "cosine similarity",
        cosine_rows,
        lambda N, D: {"x": randn(N, D), "y": randn(N, D)},
        {"N": (4, 3), "D": (3, 5)},
        Mistake(
            cosine_rows_projects_on_the_other,
            "dx = grad_output[:, None] * (y / (nx * ny)[:, None] - c[:, None] * y / (nx**2)[:, None])",
            "dx = grad_output[:, None] * (y / (nx * ny)[:, None] - c[:, None] * x / (nx**2)[:, None])",
            r"`y`|`x`|\by\b is read|project",
        ),
        Mistake(
            cosine_rows_one_norm_is_not_squared,
            "dy = grad_output[:, None] * (x / (nx * ny)[:, None] - c[:, None] * y / ny[:, None])",
            "dy = grad_output[:, None] * (x / (nx * ny)[:, None] - c[:, None] * y / (ny**2)[:, None])",
            r"square|norm|ny|divid",
        ),
    ),
    *layer(
        "Poisson loss",
        poisson_loss,
        lambda N, D: {"rate": randn(N, D), "count": rand(N, D) * 4},
        {"N": (4, 3), "D": (3, 5)},
        Mistake(
            poisson_loss_sums_over_the_batch,
            "g = grad_output / n",
            "g = grad_output / rate.numel()",
            r"mean|divid|count|size|numel",
        ),
        Mistake(
            poisson_loss_count_reads_the_exponential,
            'return {"rate": g * (mean - count), "count": -g * mean}',
            'return {"rate": g * (mean - count), "count": -g * rate}',
            r"`mean`|`rate`|exp",
        ),
    ),
    *layer(
        "log cosh loss",
        log_cosh,
        lambda N, D: {"pred": randn(N, D), "target": randn(N, D)},
        {"N": (4, 3), "D": (3, 5)},
        Mistake(
            log_cosh_slope_of_a_sigmoid, "slope = torch.sigmoid(e)", "slope = torch.tanh(e)", r"tanh|sigmoid|slope|derivative"
        ),
        Mistake(
            log_cosh_upstream_along_the_columns,
            "d = grad_output.sum() * torch.tanh(e)",
            "d = grad_output[:, None] * torch.tanh(e)",
            r"sum|upstream|grad_output",
        ),
    ),
    *layer(
        "pinball loss",
        pinball,
        lambda N: {"pred": randn(N), "target": randn(N)},
        {"N": (7, 5)},
        Mistake(
            pinball_exchanges_the_sides,
            "slope = 0.7 * (e > 0).to(e) - 0.3 * (e <= 0).to(e)",
            "slope = 0.3 * (e > 0).to(e) - 0.7 * (e <= 0).to(e)",
            r"0\.3|0\.7|3/10|7/10|exchang|branch|side",
        ),
        Mistake(
            pinball_sides_of_the_prediction,
            "slope = 0.3 * (pred > 0).to(e) - 0.7 * (pred <= 0).to(e)",
            "slope = 0.3 * (e > 0).to(e) - 0.7 * (e <= 0).to(e)",
            r"`pred`|mask|`e`|condition|e > 0",
        ),
    ),
    *layer(
        "additive attention scores",
        additive_scores,
        lambda T, S, D: {"q": randn(T, D), "k": randn(S, D), "v": randn(D)},
        {"T": (3, 4), "S": (4, 2), "D": (2, 3)},
        Mistake(
            additive_scores_slope_is_left_out,
            "dt = grad_output[..., None] * v",
            "dt = grad_output[..., None] * v * (1 - t**2)",
            r"slope|derivative|tanh|1 - t|missing",
        ),
        Mistake(additive_scores_keys_over_the_keys, "dk = ds.mean(0)", "dk = ds.sum(0)", r"mean|sum|divid|factor"),
    ),
    *layer(
        "clipped policy ratio",
        clipped_ratio,
        lambda N: {"logp": 0.3 * randn(N), "old": 0.3 * randn(N), "advantage": randn(N)},
        {"N": (9, 8)},
        Mistake(
            clipped_ratio_forgets_the_ratio,
            "d = -grad_output * advantage * free / logp.numel()",
            "d = -grad_output * advantage * ratio * free / logp.numel()",
            r"ratio|factor|exp",
        ),
        Mistake(
            clipped_ratio_old_without_the_sign,
            'return {"logp": d, "old": d}',
            'return {"logp": d, "old": -d}',
            r"sign|negat|minus",
        ),
    ),
    *layer(
        "center loss",
        center_loss,
        lambda N, K, D: {"x": randn(N, D), "centers": randn(K, D), "label": labels(K, N)},
        {"N": (5, 6), "K": (3, 4), "D": (2, 3)},
        Mistake(
            center_loss_overwrites_the_centers,
            "dc[label] = -d",
            "dc.index_add_(0, label, -d)",
            r"overwrit|accumulat|add|repeat",
        ),
        Mistake(
            center_loss_without_the_half,
            "d = 2 * grad_output * (x - centers[label]) / x.shape[0]",
            "d = grad_output * (x - centers[label]) / x.shape[0]",
            r"\b2\b|half|factor|twice",
        ),
    ),
    *layer(
        "covariance penalty",
        covariance_loss,
        lambda N, D: {"x": randn(N, D)},
        {"N": (5, 4), "D": (3, 2)},
        Mistake(
            covariance_loss_divides_by_all_rows,
            'return {"x": 2 * c @ dcov / n}',
            'return {"x": 2 * c @ dcov / (n - 1)}',
            r"n - 1|N ?- ?1|N/\(|divid|unbiased",
        ),
        Mistake(
            covariance_loss_one_side_of_the_product,
            'return {"x": c @ dcov / (n - 1)}',
            'return {"x": 2 * c @ dcov / (n - 1)}',
            r"\b2\b|half|factor|twice|path",
        ),
    ),
    *layer(
        "Student's loss",
        student_loss,
        lambda N, D: {"x": randn(N, D), "mu": randn(D), "log_scale": 0.3 * randn(D)},
        {"N": (4, 3), "D": (3, 2)},
        Mistake(
            student_loss_scale_without_the_one,
            "dscale = (-dz * z).sum(0)",
            "dscale = (grad_output[:, None] - dz * z).sum(0)",
            r"addend|term|path|grad_output|missing|left out",
        ),
        Mistake(
            student_loss_freedom_is_left_out,
            "dz = grad_output[:, None] * 4.0 * z / (1.0 + z**2)",
            "dz = grad_output[:, None] * 4.0 * z / (3.0 + z**2)",
            r"\b3\b|3\.0|number|addend|1\.0",
        ),
    ),
    *layer(
        "recurrent step",
        recurrent_step,
        lambda N, A, B, C: {"x": randn(N, A), "h": randn(N, B), "wx": randn(C, A), "wh": randn(C, B)},
        {"N": (4, 3), "A": (3, 2), "B": (3, 2), "C": (2, 4)},
        Mistake(
            recurrent_step_state_through_the_input,
            'return {"x": da @ wx, "h": da @ wx, "wx": da.T @ x, "wh": da.T @ h}',
            'return {"x": da @ wx, "h": da @ wh, "wx": da.T @ x, "wh": da.T @ h}',
            r"wx|wh",
        ),
        Mistake(
            recurrent_step_mask_of_the_state,
            "da = grad_output * (a < 0)",
            "da = grad_output * (a > 0)",
            r"mask|wrong way|turned|a > 0|other side",
        ),
    ),
    *layer(
        "polynomial kernel",
        polynomial_kernel,
        lambda N, M, D: {"x": randn(N, D), "y": randn(M, D)},
        {"N": (4, 3), "M": (3, 5), "D": (2, 4)},
        Mistake(
            polynomial_kernel_power_is_kept,
            "d = grad_output * 3 * inner**3",
            "d = grad_output * 3 * inner**2",
            r"power|exponent|factor|\b2\b",
        ),
        Mistake(
            polynomial_kernel_without_the_offset,
            "inner = x @ y.T / x.shape[1]",
            "inner = x @ y.T / x.shape[1] + 1.5",
            r"1\.5|3/2|addend|offset|missing",
        ),
    ),
    *layer(
        "squashed density",
        squashed_log_density,
        lambda N, D: {"u": randn(N, D), "mean": randn(N, D), "log_std": 0.3 * randn(N, D)},
        {"N": (4, 3), "D": (3, 2)},
        Mistake(
            squashed_log_density_forgets_the_squash,
            "du = dz * inv",
            "du = dz * inv + grad_output[:, None] * 2 * torch.tanh(u) * (1 - torch.tanh(u) ** 2) / (1.01 - torch.tanh(u) ** 2)",
            r"path|tanh|term|left out|missing|squash",
        ),
        Mistake(
            squashed_log_density_mean_has_the_wrong_sign,
            'return {"u": du, "mean": dz * inv, "log_std": -dz * z - grad_output[:, None]}',
            'return {"u": du, "mean": -dz * inv, "log_std": -dz * z - grad_output[:, None]}',
            r"sign|negat|minus",
        ),
    ),
    *layer(
        "layer scale",
        layer_scale,
        lambda N, D: {"x": randn(N, D), "gamma": randn(D), "w": randn(D, D)},
        {"N": (4, 3), "D": (3, 5)},
        Mistake(
            layer_scale_forgets_the_residual,
            'return {"x": da @ w, "gamma": (grad_output * torch.relu(a)).sum(0), "w": da.T @ x}',
            'return {"x": grad_output + da @ w, "gamma": (grad_output * torch.relu(a)).sum(0), "w": da.T @ x}',
            r"grad_output|path|residual|addend|left out|missing",
        ),
        Mistake(
            layer_scale_gamma_before_the_kink,
            'return {"x": grad_output + da @ w, "gamma": (grad_output * a).sum(0), "w": da.T @ x}',
            'return {"x": grad_output + da @ w, "gamma": (grad_output * torch.relu(a)).sum(0), "w": da.T @ x}',
            r"relu|mask|a > 0|`a`|clamp|right except",
        ),
    ),
    *layer(
        "squared hinge loss",
        squared_hinge,
        lambda N: {"score": randn(N), "label": signs(N)},
        {"N": (7, 6)},
        Mistake(
            squared_hinge_label_is_forgotten,
            "d = -2 * grad_output * slack / score.numel()",
            "d = -2 * grad_output * slack * label / score.numel()",
            r"label|factor",
        ),
        Mistake(
            squared_hinge_margin_has_the_wrong_sign,
            "slack = torch.relu(1 + label * score)",
            "slack = torch.relu(1 - label * score)",
            r"sign|negat|minus",
        ),
    ),
    *layer(
        "soft assignment",
        soft_assignment,
        lambda N, K, D: {"x": randn(N, D), "centers": randn(K, D)},
        {"N": (4, 3), "K": (3, 4), "D": (2, 3)},
        Mistake(
            soft_assignment_treats_the_sum_as_constant,
            "dq = grad_output / total",
            "dq = (grad_output - (grad_output * q / total).sum(1, keepdim=True)) / total",
            r"path|sum|total|constant|left out|missing|held",
        ),
        Mistake(soft_assignment_power_of_the_kernel, "dd = -dq * q", "dd = -dq * q**2", r"square|power|factor|`q`|exponent"),
    ),
]


if __name__ == "__main__":
    told = [text for slip in CASES for text in faults(slip)]
    print("\n".join(told) if told else f"{len(CASES)} mistakes of {len({s.layer for s in CASES})} layers, each verified")
    raise SystemExit(bool(told))
