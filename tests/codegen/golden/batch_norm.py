"""batch_norm: forward and gradients, derived once for every size.

Shapes:
    x: (N, C, H, W)
    weight: (C)
    bias: (C)
    grad_output: (N, C, H, W)

Forward:
    mean[c] = sum(n, h, w: x[n, c, h, w])/(H*N*W)
    rstd[c] = (sum(n, h, w: (x[n, c, h, w] - mean[c])^2)/(H*N*W) + 1/100000)^(-1/2)
    y[n, c, h, w] = (x[n, c, h, w] - mean[c])*rstd[c]*weight[c] + bias[c]

Gradient:
    rstd_bar[c] = weight[c]*sum(n, h, w: grad_output[n, c, h, w]*(x[n, c, h, w] - mean[c]))
    mean_bar[c] = rstd[c]*(rstd_bar[c]*rstd[c]^2*sum(n_1, h_1, w_1: x[n_1, c, h_1, w_1] - mean[c])/(H*N*W) - weight[c…
    x_bar[n, c, h, w] = grad_output[n, c, h, w]*rstd[c]*weight[c] - rstd_bar[c]*rstd[c]^3*(x[n, c, h, w] - mean[c])/(…
    weight_bar[c] = rstd[c]*sum(n, h, w: grad_output[n, c, h, w]*(x[n, c, h, w] - mean[c]))
    bias_bar[c] = sum(n, h, w: grad_output[n, c, h, w])
"""

import torch


def forward_and_gradients(*, x, weight, bias, grad_output):
    """Returns y (N, C, H, W) and the gradients in x, weight, bias, a dict by name."""
    try:
        N, C, H, W = x.shape
        fits = weight.shape == (C,) and bias.shape == (C,) and grad_output.shape == (N, C, H, W)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, C, H, W"),
            weight=(weight, "C"),
            bias=(bias, "C"),
            grad_output=(grad_output, "N, C, H, W"),
        )
    mean = x.mean((0, 2, 3))  # (C,)
    x_minus_mean = x - mean.unsqueeze(-1).unsqueeze(-1)  # (N, C, H, W)
    rstd = torch.rsqrt((x_minus_mean**2).mean((0, 2, 3)) + 1e-05)  # (C,)
    rstd_times_weight_column = (rstd * weight).unsqueeze(-1).unsqueeze(-1)  # (C, 1, 1)
    y = rstd_times_weight_column * x_minus_mean + bias.unsqueeze(-1).unsqueeze(-1)  # (N, C, H, W)
    sum_of_grad_output_times_x_minus_mean = (grad_output * x_minus_mean).sum((0, 2, 3))  # (C,)
    rstd_bar = weight * sum_of_grad_output_times_x_minus_mean  # (C,)
    sum_of_grad_output = grad_output.sum((0, 2, 3))  # (C,)
    mean_bar = -rstd * weight * sum_of_grad_output  # (C,)
    x_bar_factor = (rstd_bar / (H * N * W) * rstd**3).unsqueeze(-1).unsqueeze(-1) * x_minus_mean
    x_bar = rstd_times_weight_column * grad_output + (mean_bar / (H * N * W)).unsqueeze(-1).unsqueeze(-1) - x_bar_factor
    weight_bar = rstd * sum_of_grad_output_times_x_minus_mean if H * N * W else x.new_zeros((C,))
    bias_bar = sum_of_grad_output  # (C,)
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
