"""gelu: forward and gradients, derived once for every size.

Shapes:
    x: (N, D)
    grad_output: (N, D)

Forward:
    a[n, d] = gelu(x[n, d])

Gradient:
    x_bar[n, d] = grad_output[n, d]*(2^(1/2)*x[n, d]*exp(-x[n, d]^2/2)/(2*pi^(1/2)) + erf(2^(1/2)*x[n, d]/2)/2 + 1/2)
"""

import math

import torch


def forward_and_gradients(*, x, grad_output):
    """Returns a (N, D) and the gradients in x, a dict by name."""
    try:
        N, D = x.shape
        fits = grad_output.shape == (N, D)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error({}, x=(x, "N, D"), grad_output=(grad_output, "N, D"))
    a = torch.nn.functional.gelu(x)  # (N, D)
    x_bar_part = 2**0.5 * math.pi**-0.5 / 2 * x * torch.exp(-0.5 * x**2) + 0.5 * torch.erf(2**0.5 / 2 * x) + 0.5
    x_bar = grad_output * x_bar_part  # (N, D)
    return a, {"x": x_bar}


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
