"""max_pool: forward and gradients, derived once for every size.

Shapes:
    x: (N, C, 2 * H, 2 * W)
    grad_output: (N, C, H, W)

Forward:
    best[n, c, p, q] = argmax(f: x[n, c, (f//2) + 2*p, f + 2*q - 2*(f//2)])
    y[n, c, p, q] = x[n, c, (best[n, c, p, q]//2) + 2*p, best[n, c, p, q] + 2*q - 2*(best[n, c, p, q]//2)]

Gradient:
    x_bar[n, c, c_1, c_2] = sum(p, q: [(best[n, c, p, q]//2) + 2*p - c_1 == 0]*[best[n, c, p, q] + 2*q - 2*(best[n, c…
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
    max_pool2d = torch.nn.functional.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False, return_indices=True)
    y = max_pool2d[0]  # (N, C, H, W)
    x_bar_scattered = torch.zeros((N, C, 4 * H * W), dtype=x.dtype, device=x.device).scatter_add_(2,
        max_pool2d[1].flatten(2), grad_output.flatten(2))
    x_bar = x_bar_scattered.unflatten(-1, (2 * H, 2 * W))  # (N, C, 2 * H, 2 * W)
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
