"""conv2d: forward and gradients, derived once for every size.

Shapes:
    x: (N, C, H, W)
    weight: (O_, C, 3, 3)
    bias: (O_)
    grad_output: (N, O_, H, W)

Forward:
    y[n, o, p, q] = sum(c, u, v: [p + u - 1 >= 0]*[H - p - u >= 0]*[q + v - 1 >= 0]*[W - q - v >= 0]*x[n, c, p + u - …

Gradient:
    x_bar[n, c, h, w] = sum(o, u, v: [h + 1 - u >= 0]*[H + u - h - 2 >= 0]*[w + 1 - v >= 0]*[W + v - w - 2 >= 0]*grad…
    weight_bar[o, c, u, v] = sum(n, p, q: grad_output[n, o, p, q]*[p + u - 1 >= 0]*[H - p - u >= 0]*[q + v - 1 >= 0]*…
    bias_bar[o] = sum(n, p, q: grad_output[n, o, p, q])
"""

import torch


def forward_and_gradients(*, x, weight, bias, grad_output):
    """Returns y (N, O_, H, W) and the gradients in x, weight, bias, a dict by name."""
    try:
        N, C, H, W = x.shape
        O_, _, _, _ = weight.shape
        fits = weight.shape == (O_, C, 3, 3) and bias.shape == (O_,) and grad_output.shape == (N, O_, H, W)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, C, H, W"),
            weight=(weight, "O_, C, 3, 3"),
            bias=(bias, "O_"),
            grad_output=(grad_output, "N, O_, H, W"),
        )
    y = torch.nn.functional.conv2d(x, weight, bias, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)
    x_bar = _conv_transpose(grad_output, weight, (H, W), stride=(1, 1), offset=(1, 1), dilation=(1, 1))
    conv = _conv(x.transpose(0, 1), grad_output.transpose(0, 1), (3, 3), stride=(1, 1), offset=(1, 1), dilation=(1, 1))
    weight_bar = conv.transpose(0, 1)  # (O_, C, 3, 3)
    bias_bar = grad_output.sum((0, 2, 3))  # (O_,)
    return y, {"x": x_bar, "weight": weight_bar, "bias": bias_bar}


def _conv(x, w, sizes, stride, offset, dilation, groups=1):
    """y[n, o, i] = sum over c, u of x[n, c, stride*i + dilation*u - offset] * w[o, c, u] for i < sizes; x is 0 outside."""
    rank, kernel = len(sizes), w.shape[2:]
    if 0 in x.shape or 0 in w.shape or 0 in sizes:
        return x.new_zeros((x.shape[0], w.shape[0], *sizes))
    padding = list(offset)
    for k in range(rank):
        natural = (x.shape[2 + k] + 2 * offset[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1
        if offset[k] < 0 or natural < sizes[k]:
            length = stride[k] * (sizes[k] - 1) + dilation[k] * (kernel[k] - 1) + 1
            x, padding[k] = _window(x, 2 + k, -offset[k], length), 0
    conv = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[rank - 1]
    y = conv(x, w, None, stride, padding, dilation, groups)
    for k in range(rank):
        y = y.narrow(2 + k, 0, sizes[k])
    return y


def _conv_transpose(y, w, sizes, stride, offset, dilation, groups=1):
    """x[n, c, p] = sum of y[n, o, i] * w[o, c, u] over p = stride*i + dilation*u - offset, for p < sizes."""
    rank = len(sizes)
    if 0 in y.shape or 0 in w.shape or 0 in sizes:
        return y.new_zeros((y.shape[0], w.shape[1] * groups, *sizes))
    full = [stride[k] * (y.shape[2 + k] - 1) + dilation[k] * (w.shape[2 + k] - 1) + 1 for k in range(rank)]
    extra = [sizes[k] - full[k] + 2 * offset[k] for k in range(rank)]
    conv = (torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d, torch.nn.functional.conv_transpose3d)
    if all(offset[k] >= 0 and 0 <= extra[k] < max(stride[k], dilation[k]) for k in range(rank)):
        return conv[rank - 1](y, w, None, stride, offset, extra, groups, dilation)
    x = conv[rank - 1](y, w, None, stride, 0, 0, groups, dilation)
    for k in range(rank):
        x = _window(x, 2 + k, offset[k], sizes[k])
    return x


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
