"""swiglu: forward and gradients, derived once for every size.

Shapes:
    x: (N, D)
    w_gate: (F, D)
    w_up: (F, D)
    w_down: (D, F)
    grad_output: (N, D)

Forward:
    gate[n, f] = sum(d: x[n, d]*w_gate[f, d])
    up[n, f] = sum(d: x[n, d]*w_up[f, d])
    a[n, f] = silu(gate[n, f])
    a_times_up[n, f] = a[n, f]*up[n, f]
    y[n, d] = sum(f: a_times_up[n, f]*w_down[d, f])

Gradient:
    a_times_up_bar[n, f] = sum(d: grad_output[n, d]*w_down[d, f])
    a_bar[n, f] = a_times_up_bar[n, f]*up[n, f]
    up_bar[n, f] = a_times_up_bar[n, f]*a[n, f]
    gate_bar[n, f] = a_bar[n, f]*(gate[n, f]*sigmoid(gate[n, f])*(1 - sigmoid(gate[n, f])) + sigmoid(gate[n, f]))
    x_bar[n, d] = sum(f: up_bar[n, f]*w_up[f, d]) + sum(f: gate_bar[n, f]*w_gate[f, d])
    w_gate_bar[f, d] = sum(n: gate_bar[n, f]*x[n, d])
    w_up_bar[f, d] = sum(n: up_bar[n, f]*x[n, d])
    w_down_bar[d, f] = sum(n: grad_output[n, d]*a_times_up[n, f])
"""

import torch


def forward_and_gradients(*, x, w_gate, w_up, w_down, grad_output):
    """Returns y (N, D) and the gradients in x, w_gate, w_up, w_down, a dict by name."""
    try:
        N, D = x.shape
        F, _ = w_gate.shape
        fits = (
            w_gate.shape == (F, D)
            and w_up.shape == (F, D)
            and w_down.shape == (D, F)
            and grad_output.shape == (N, D)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, D"),
            w_gate=(w_gate, "F, D"),
            w_up=(w_up, "F, D"),
            w_down=(w_down, "D, F"),
            grad_output=(grad_output, "N, D"),
        )
    gate = torch.nn.functional.linear(x, w_gate)  # (N, F)
    up = torch.nn.functional.linear(x, w_up)  # (N, F)
    a = torch.nn.functional.silu(gate)  # (N, F)
    a_times_up = a * up  # (N, F)
    y = torch.nn.functional.linear(a_times_up, w_down)  # (N, D)
    a_times_up_bar = grad_output @ w_down  # (N, F)
    a_bar = a_times_up_bar * up  # (N, F)
    up_bar = a_times_up_bar * a  # (N, F)
    sigmoid_gate = torch.sigmoid(gate)  # (N, F)
    gate_bar = a_bar * (gate * sigmoid_gate * (1 - sigmoid_gate) + sigmoid_gate)  # (N, F)
    x_bar = up_bar @ w_up + gate_bar @ w_gate  # (N, D)
    w_gate_bar = gate_bar.mT @ x  # (F, D)
    w_up_bar = up_bar.mT @ x  # (F, D)
    w_down_bar = grad_output.mT @ a_times_up  # (D, F)
    return y, {"x": x_bar, "w_gate": w_gate_bar, "w_up": w_up_bar, "w_down": w_down_bar}


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
