"""alpha_compositing: forward and gradients, derived once for every size.

Shapes:
    alpha: (P, S)
    color: (P, S, 3)
    grad_output: (P, 3)

Forward:
    one_minus_alpha[p, s] = 1 - alpha[p, s]
    left[p, s] = ([s == 0] + [s - 1 >= 0]*left[p, s - 1])*one_minus_alpha[p, s]
    transmittance[p, s] = [-s >= 0] + [s - 1 >= 0]*left[p, s - 1]
    weight[p, s] = alpha[p, s]*transmittance[p, s]
    weight_times_color[p, s, i] = weight[p, s]*color[p, s, i]
    value[p, i] = sum(s: weight_times_color[p, s, i])

Gradient:
    weight_bar[p, s] = sum(i: grad_output[p, i]*color[p, s, i])
    transmittance_bar[p, s] = weight_bar[p, s]*alpha[p, s]
    transmittance_bar_from_1[p, s] = transmittance_bar[p, s + 1]
    left_bar[p, s] = [S - s - 2 >= 0]*(transmittance_bar_from_1[p, s] + left_bar[p, s + 1]*one_minus_alpha[p, s + 1])
    one_minus_alpha_bar[p, s] = left_bar[p, s]*([s == 0] + [s - 1 >= 0]*left[p, s - 1])
    alpha_bar[p, s] = weight_bar[p, s]*transmittance[p, s] - one_minus_alpha_bar[p, s]
    color_bar[p, s, i] = grad_output[p, i]*weight[p, s]
"""

import torch


def forward_and_gradients(*, alpha, color, grad_output):
    """Returns value (P, 3) and the gradients in alpha, color, a dict by name."""
    try:
        P, S = alpha.shape
        fits = color.shape == (P, S, 3) and grad_output.shape == (P, 3)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error({}, alpha=(alpha, "P, S"), color=(color, "P, S, 3"), grad_output=(grad_output, "P, 3"))
    if not S >= 1:
        raise ValueError(f"this was derived for S >= 1; found S = {S}")
    one_minus_alpha = 1 - alpha  # (P, S)
    left = one_minus_alpha.cumprod(-1)  # (P, S)
    transmittance = torch.where(torch.arange(S, device=alpha.device) > 0, _window(left, 1, -1, S), 1)
    weight = alpha * transmittance  # (P, S)
    weight_times_color = weight.unsqueeze(-1) * color  # (P, S, 3)
    value = weight_times_color.sum(1)  # (P, 3)
    weight_bar = (grad_output.unsqueeze(1) * color).sum(-1)  # (P, S)
    transmittance_bar = weight_bar * alpha  # (P, S)
    transmittance_bar_from_1 = transmittance_bar[..., 1:]  # (P, S - 1)
    left_bar_steps = [None] * S
    for s in reversed(range(S)):
        if s + 1 < S:
            left_bar_steps[s] = transmittance_bar_from_1[..., s] + left_bar_steps[s + 1] * one_minus_alpha[..., s + 1]
        else:
            left_bar_steps[s] = torch.zeros((P,), dtype=alpha.dtype, device=alpha.device)  # (P,)
    left_bar = torch.stack(left_bar_steps, 1) if S else torch.zeros((P, S), dtype=alpha.dtype, device=alpha.device)
    one_minus_alpha_bar = left_bar * transmittance  # (P, S)
    alpha_bar = weight_bar * transmittance - one_minus_alpha_bar  # (P, S)
    color_bar = grad_output.unsqueeze(1) * weight.unsqueeze(-1)  # (P, S, 3)
    return value, {"alpha": alpha_bar, "color": color_bar}


def _window(x, dim, start, length, step=1):
    """x[start + step*i] for i < length along dim; 0 where that is outside of x."""
    size, stride = x.shape[dim], abs(step)
    back = start if step > 0 else size - 1 - start  # how far start is from the end that it moves away from
    low = min(max(0, -(back // stride)), max(length, 0))
    high = max(low, min(length, (size - 1 - back) // stride + 1))
    if low == high:
        return x.new_zeros((*x.shape[:dim], max(length, 0), *x.shape[dim + 1 :]))
    ends = start + step * low, start + step * (high - 1)
    inner = x.narrow(dim, min(ends), max(ends) - min(ends) + 1)
    if stride > 1:
        inner = inner[(slice(None),) * dim + (slice(None, None, stride),)]
    if step < 0:
        inner = inner.flip(dim)
    if (low, high) != (0, length):
        inner = torch.nn.functional.pad(inner, (0, 0) * (x.dim() - dim - 1) + (low, length - high))
    return inner


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
