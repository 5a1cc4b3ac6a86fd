"""mlp: forward and gradients, derived once for every size.

Shapes:
    x: (N, in_features)
    w1: (hidden, in_features)
    b1: (hidden)
    w2: (out_features, hidden)
    b2: (out_features)
    grad_output: (N, out_features)

Forward:
    y[n, i] = sum(j: x[n, j]*w1[i, j]) + b1[i]
    h[n, i] = [y[n, i] > 0]*y[n, i]
    value[n, o] = sum(i: h[n, i]*w2[o, i]) + b2[o]

Gradient:
    h_bar[n, i] = sum(o: grad_output[n, o]*w2[o, i])
    y_bar[n, i] = h_bar[n, i]*[y[n, i] > 0]
    x_bar[n, j] = sum(i: y_bar[n, i]*w1[i, j])
    w1_bar[i, j] = sum(n: y_bar[n, i]*x[n, j])
    b1_bar[i] = sum(n: y_bar[n, i])
    w2_bar[o, i] = sum(n: grad_output[n, o]*h[n, i])
    b2_bar[o] = sum(n: grad_output[n, o])
"""

import torch


def forward_and_gradients(*, x, w1, b1, w2, b2, grad_output):
    """Returns value (N, out_features) and the gradients in x, w1, b1, w2, b2, a dict by name."""
    try:
        N, in_features = x.shape
        hidden, _ = w1.shape
        out_features, _ = w2.shape
        fits = (
            w1.shape == (hidden, in_features)
            and b1.shape == (hidden,)
            and w2.shape == (out_features, hidden)
            and b2.shape == (out_features,)
            and grad_output.shape == (N, out_features)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, in_features"),
            w1=(w1, "hidden, in_features"),
            b1=(b1, "hidden"),
            w2=(w2, "out_features, hidden"),
            b2=(b2, "out_features"),
            grad_output=(grad_output, "N, out_features"),
        )
    y = torch.nn.functional.linear(x, w1, b1)  # (N, hidden)
    mask = y <= 0  # (N, hidden)
    h = torch.where(mask, 0, y)  # (N, hidden)
    value = torch.nn.functional.linear(h, w2, b2)  # (N, out_features)
    h_bar = grad_output @ w2  # (N, hidden)
    y_bar = torch.where(mask, 0, h_bar)  # (N, hidden)
    x_bar = y_bar @ w1  # (N, in_features)
    w1_bar = y_bar.mT @ x  # (hidden, in_features)
    b1_bar = y_bar.sum(0)  # (hidden,)
    w2_bar = grad_output.mT @ h  # (out_features, hidden)
    b2_bar = grad_output.sum(0)  # (out_features,)
    return value, {"x": x_bar, "w1": w1_bar, "b1": b1_bar, "w2": w2_bar, "b2": b2_bar}


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
