"""softmax: forward and gradients, derived once for every size.

Shapes:
    x: (N, K)
    grad_output: (N, K)

Forward:
    top[n] = max(l: x[n, l])
    p[n, k] = exp(x[n, k] - top[n])/sum(m: exp(x[n, m] - top[n]))

Gradient:
    x_bar[n, k] = p[n, k]*(grad_output[n, k] - sum(k_1: grad_output[n, k_1]*p[n, k_1]))
"""

import torch


def forward_and_gradients(*, x, grad_output):
    """Returns p (N, K) and the gradients in x, a dict by name."""
    try:
        N, K = x.shape
        fits = grad_output.shape == (N, K)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error({}, x=(x, "N, K"), grad_output=(grad_output, "N, K"))
    p = torch.softmax(x, dim=-1)  # (N, K)
    x_bar = p * (grad_output - (grad_output * p).sum(-1, keepdim=True))  # (N, K)
    return p, {"x": x_bar}


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
