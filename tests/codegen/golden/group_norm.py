"""group_norm: forward and gradients, derived once for every size.

Shapes:
    x: (N, 4 * G, H, W)
    weight: (4 * G)
    bias: (4 * G)
    grad_output: (N, 4 * G, H, W)

Forward:
    mean[n, i] = sum(r, h, w: x[n, G*i + r, h, w])/(G*H*W)
    rstd[n, i] = (sum(r, h, w: (x[n, G*i + r, h, w] - mean[n, i])^2)/(G*H*W) + 1/100000)^(-1/2)
    y[n, g, h, w] = (x[n, g, h, w] - mean[n, (g//G)])*rstd[n, (g//G)]*weight[g] + bias[g]

Gradient:
    rstd_bar[n, i] = sum(g, h, w: [(g//G) - i == 0]*grad_output[n, g, h, w]*(x[n, g, h, w] - mean[n, (g//G)])*weight[…
    mean_bar[n, i] = rstd_bar[n, i]*rstd[n, i]^3*sum(r_1, h_1, w_1: x[n, G*i + r_1, h_1, w_1] - mean[n, i])/(G*H*W) -…
    x_bar[n, g, h, w] = grad_output[n, g, h, w]*rstd[n, (g//G)]*weight[g] - rstd_bar[n, (g//G)]*rstd[n, (g//G)]^3*(x[…
    weight_bar[g] = sum(n, h, w: grad_output[n, g, h, w]*(x[n, g, h, w] - mean[n, (g//G)])*rstd[n, (g//G)])
    bias_bar[g] = sum(n, h, w: grad_output[n, g, h, w])
"""

import torch


def forward_and_gradients(*, x, weight, bias, grad_output):
    """Returns y (N, 4 * G, H, W) and the gradients in x, weight, bias, a dict by name."""
    try:
        N, _, H, W = x.shape
        G = x.shape[1] // 4
        fits = (
            x.shape == (N, 4 * G, H, W)
            and weight.shape == (4 * G,)
            and bias.shape == (4 * G,)
            and grad_output.shape == (N, 4 * G, H, W)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, 4 * G, H, W"),
            weight=(weight, "4 * G"),
            bias=(bias, "4 * G"),
            grad_output=(grad_output, "N, 4 * G, H, W"),
        )
    x_in_groups = x.unflatten(1, (4, G))  # (N, 4, G, H, W)
    mean = x_in_groups.mean((2, 3, 4))  # (N, 4)
    x_in_groups_minus_mean = x_in_groups - mean.unsqueeze(-1).unsqueeze(-1).unsqueeze(-1)  # (N, 4, G, H, W)
    rstd = torch.rsqrt((x_in_groups_minus_mean**2).mean((2, 3, 4)) + 1e-05)  # (N, 4)
    weight_in_groups = weight.unflatten(-1, (4, G))  # (4, G)
    rstd_times_weight_in_groups_column = (rstd.unsqueeze(-1) * weight_in_groups).unsqueeze(-1).unsqueeze(-1)
    y_part = (
        rstd_times_weight_in_groups_column * x_in_groups_minus_mean
        + bias.unflatten(-1, (4, G)).unsqueeze(-1).unsqueeze(-1)
    )  # (N, 4, G, H, W)
    y = y_part.flatten(1, 2)  # (N, 4 * G, H, W)
    grad_output_in_groups = grad_output.unflatten(1, (4, G))  # (N, 4, G, H, W)
    rstd_bar_sum = (grad_output_in_groups * x_in_groups_minus_mean).sum((3, 4))  # (N, 4, G)
    rstd_bar = (rstd_bar_sum * weight_in_groups).sum(-1)  # (N, 4)
    mean_bar = -(rstd * (grad_output_in_groups.sum((3, 4)) * weight_in_groups).sum(-1))  # (N, 4)
    x_bar_column = (rstd_bar / (G * H * W) * rstd**3).unsqueeze(-1).unsqueeze(-1).unsqueeze(-1)
    x_bar_factor = x_bar_column * x_in_groups_minus_mean  # (N, 4, G, H, W)
    x_bar_part = (
        rstd_times_weight_in_groups_column * grad_output_in_groups
        + (mean_bar / (G * H * W)).unsqueeze(-1).unsqueeze(-1).unsqueeze(-1)
        - x_bar_factor
    )  # (N, 4, G, H, W)
    x_bar = x_bar_part.flatten(1, 2)  # (N, 4 * G, H, W)
    weight_bar = (rstd_bar_sum * rstd.unsqueeze(-1)).sum(0).flatten(0) if H * W else x.new_zeros((4 * G,))
    bias_bar = grad_output.sum((0, 2, 3))  # (4 * G,)
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
