"""linear_mse: forward and gradients, derived once for every size.

Shapes:
    x: (N, in_features)
    weight: (out_features, in_features)
    bias: (out_features)
    target: (N, out_features)
    grad_output: (); 1 if left out

Forward:
    y[n, o] = sum(i: x[n, i]*weight[o, i]) + bias[o]
    loss = sum(n, o: (y[n, o] - target[n, o])^2)/(N*out)

Gradient:
    y_bar[n, o] = 2*grad_output*(y[n, o] - target[n, o])/(N*out)
    x_bar[n, i] = sum(o: y_bar[n, o]*weight[o, i])
    weight_bar[o, i] = sum(n: y_bar[n, o]*x[n, i])
    bias_bar[o] = sum(n: y_bar[n, o])
    target_bar[n, o] = -2*grad_output*(y[n, o] - target[n, o])/(N*out)
"""

import torch


def forward_and_gradients(*, x, weight, bias, target, grad_output=None):
    """Returns loss and the gradients in x, weight, bias, target, a dict by name."""
    try:
        N, in_features = x.shape
        out_features, _ = weight.shape
        fits = (
            weight.shape == (out_features, in_features)
            and bias.shape == (out_features,)
            and target.shape == (N, out_features)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, in_features"),
            weight=(weight, "out_features, in_features"),
            bias=(bias, "out_features"),
            target=(target, "N, out_features"),
        )
    if grad_output is None:
        grad_output = 1.0
    elif getattr(grad_output, "shape", ()) != ():
        raise ValueError(f"grad_output has shape {tuple(grad_output.shape)}; expected a number, ()")
    y = torch.nn.functional.linear(x, weight, bias)  # (N, out_features)
    y_minus_target = y - target  # (N, out_features)
    loss = (y_minus_target**2).mean()
    y_bar = 2 / max(N * out_features, 1) * grad_output * y_minus_target  # (N, out_features)
    x_bar = y_bar @ weight  # (N, in_features)
    weight_bar = y_bar.mT @ x  # (out_features, in_features)
    bias_bar = y_bar.sum(0)  # (out_features,)
    target_bar = -y_bar  # (N, out_features)
    return loss, {"x": x_bar, "weight": weight_bar, "bias": bias_bar, "target": target_bar}


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
