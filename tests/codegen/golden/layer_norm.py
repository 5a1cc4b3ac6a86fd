"""layer_norm: forward and gradients, derived once for every size.

Shapes:
    x: (N, D)
    weight: (D)
    bias: (D)
    grad_output: (N, D)

Forward:
    mean[n] = sum(d: x[n, d])/D
    rstd[n] = (sum(d: (x[n, d] - mean[n])^2)/D + 1/100000)^(-1/2)
    y[n, d] = (x[n, d] - mean[n])*rstd[n]*weight[d] + bias[d]

Gradient:
    rstd_bar[n] = sum(d: grad_output[n, d]*(x[n, d] - mean[n])*weight[d])
    mean_bar[n] = rstd[n]*(rstd_bar[n]*rstd[n]^2*sum(d_1: x[n, d_1] - mean[n])/D - sum(d: grad_output[n, d]*weight[d]…
    x_bar[n, d] = grad_output[n, d]*rstd[n]*weight[d] - rstd_bar[n]*rstd[n]^3*(x[n, d] - mean[n])/D + mean_bar[n]/D
    weight_bar[d] = sum(n: grad_output[n, d]*(x[n, d] - mean[n])*rstd[n])
    bias_bar[d] = sum(n: grad_output[n, d])
"""

import torch


def forward_and_gradients(*, x, weight, bias, grad_output):
    """Returns y (N, D) and the gradients in x, weight, bias, a dict by name."""
    try:
        N, D = x.shape
        fits = weight.shape == (D,) and bias.shape == (D,) and grad_output.shape == (N, D)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, D"),
            weight=(weight, "D"),
            bias=(bias, "D"),
            grad_output=(grad_output, "N, D"),
        )
    mean = x.mean(-1)  # (N,)
    x_minus_mean = x - mean.unsqueeze(-1)  # (N, D)
    rstd = torch.rsqrt((x_minus_mean**2).mean(-1) + 1e-05)  # (N,)
    rstd_times_weight = rstd.unsqueeze(-1) * weight  # (N, D)
    y = rstd_times_weight * x_minus_mean + bias  # (N, D)
    grad_output_times_x_minus_mean = grad_output * x_minus_mean  # (N, D)
    rstd_bar = grad_output_times_x_minus_mean @ weight  # (N,)
    mean_bar = -rstd * (grad_output @ weight)  # (N,)
    x_bar = (
        rstd_times_weight * grad_output
        + (mean_bar / D).unsqueeze(-1)
        - (rstd_bar / D * rstd**3).unsqueeze(-1) * x_minus_mean
    )  # (N, D)
    weight_bar = grad_output_times_x_minus_mean.mT @ rstd  # (D,)
    bias_bar = grad_output.sum(0)  # (D,)
    return y, {"x": x_bar, "weight": weight_bar, "bias": bias_bar}


def _shape_error(sizes, /, **tensors):
    """Names the first input whose shape does not fit; the sizes found so far are said."""
    for name, (tensor, dims) in tensors.items():
        wanted = [d.strip() for d in dims.split(",") if d.strip()]
        shape = tuple(tensor.shape)
        if len(wanted) != len(shape):
            return ValueError(f"{name} has shape {shape}; expected {len(wanted)} dimensions, ({dims})")
        for k, dim in enumerate(wanted):
            if dim.isdigit():
                sizes[dim] = int(dim)
            elif dim.isidentifier():
                sizes.setdefault(dim, shape[k])
            expected = sizes.get(dim)
            if expected is not None and expected != shape[k]:
                found = f", where {dim} = {expected}" if dim.isidentifier() else ""
                return ValueError(f"{name} has shape {shape}; expected ({dims}){found}")
    shapes = ", ".join(f"{name} {tuple(tensor.shape)} for ({dims})" for name, (tensor, dims) in tensors.items())
    return ValueError(f"the shapes do not fit together: {shapes}")
