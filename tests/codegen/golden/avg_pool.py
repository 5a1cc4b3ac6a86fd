"""avg_pool: forward and gradients, derived once for every size.

Shapes:
    x: (N, C, 2 * H, 2 * W)
    grad_output: (N, C, H, W)

Forward:
    y[n, c, p, q] = sum(u, v: x[n, c, 2*p + u, 2*q + v])/4

Gradient:
    x_bar[n, c, p, q] = grad_output[n, c, (p//2), (q//2)]/4
"""

import torch


def forward_and_gradients(*, x, grad_output):
    """Returns y (N, C, H, W) and the gradients in x, a dict by name."""
    try:
        N, C, _, _ = x.shape
        _, _, H, W = grad_output.shape
        fits = x.shape == (N, C, 2 * H, 2 * W) and grad_output.shape == (N, C, H, W)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error({}, x=(x, "N, C, 2 * H, 2 * W"), grad_output=(grad_output, "N, C, H, W"))
    y = torch.nn.functional.avg_pool2d(x, (2, 2), (2, 2), (0, 0), False, True)  # (N, C, H, W)
    x_bar = (0.25 * grad_output).unsqueeze(3).unsqueeze(5).expand((N, C, H, 2, W, 2)).reshape((N, C, 2 * H, 2 * W))
    return y, {"x": x_bar}


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
