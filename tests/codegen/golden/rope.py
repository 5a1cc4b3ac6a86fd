"""rope: forward and gradients, derived once for every size.

Shapes:
    x: (B, T, 2 * d)
    cos: (T, d)
    sin: (T, d)
    grad_output: (B, T, 2 * d)

Forward:
    first[b, t, e] = x[b, t, e]
    second[c, s, f] = x[c, s, d + f]
    value[b, t, e] = [d - e - 1 >= 0]*(first[b, t, e]*cos[t, e] - second[b, t, e]*sin[t, e]) + [e - d >= 0]*(second[b…

Gradient:
    grad_output_from_d[b, t, e] = grad_output[b, t, d + e]
    grad_output_to_d[b, t, e] = grad_output[b, t, e]
    second_times_sin_bar[b, t, e] = -grad_output_to_d[b, t, e]
    second_bar[c, s, f] = grad_output_from_d[c, s, f]*cos[s, f] + second_times_sin_bar[c, s, f]*sin[s, f]
    first_bar[b, t, e] = grad_output_from_d[b, t, e]*sin[t, e] + grad_output_to_d[b, t, e]*cos[t, e]
    x_bar[c, s, f] = [f - d >= 0]*second_bar[c, s, f - d] + [d - f - 1 >= 0]*first_bar[c, s, f]
    cos_bar[t, e] = sum(b: grad_output_from_d[b, t, e]*second[b, t, e]) + sum(b: grad_output_to_d[b, t, e]*first[b, t…
    sin_bar[t, e] = sum(b: grad_output_from_d[b, t, e]*first[b, t, e]) + sum(b: second_times_sin_bar[b, t, e]*second[…
"""

import torch


def forward_and_gradients(*, x, cos, sin, grad_output):
    """Returns value (B, T, 2 * d) and the gradients in x, cos, sin, a dict by name."""
    try:
        B, T, _ = x.shape
        _, d = cos.shape
        fits = (
            x.shape == (B, T, 2 * d)
            and cos.shape == (T, d)
            and sin.shape == (T, d)
            and grad_output.shape == (B, T, 2 * d)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "B, T, 2 * d"),
            cos=(cos, "T, d"),
            sin=(sin, "T, d"),
            grad_output=(grad_output, "B, T, 2 * d"),
        )
    first = x[..., :d]  # (B, T, d)
    second = x[..., d:]  # (B, T, d)
    value = torch.cat((cos * first - sin * second, cos * second + sin * first), -1)  # (B, T, 2 * d)
    grad_output_from_d = grad_output[..., d:]  # (B, T, d)
    grad_output_to_d = grad_output[..., :d]  # (B, T, d)
    second_times_sin_bar = -grad_output_to_d  # (B, T, d)
    second_bar = cos * grad_output_from_d + sin * second_times_sin_bar  # (B, T, d)
    first_bar = sin * grad_output_from_d + cos * grad_output_to_d  # (B, T, d)
    x_bar = torch.cat((first_bar, second_bar), -1)  # (B, T, 2 * d)
    cos_bar = (grad_output_from_d * second).sum(0) + (grad_output_to_d * first).sum(0)  # (T, d)
    sin_bar = (grad_output_from_d * first).sum(0) + (second_times_sin_bar * second).sum(0)  # (T, d)
    return value, {"x": x_bar, "cos": cos_bar, "sin": sin_bar}


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
