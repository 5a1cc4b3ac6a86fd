"""lstm_cell: forward and gradients, derived once for every size.

Shapes:
    x: (N, in_features)
    h: (N, H)
    c: (N, H)
    w_ih: (4 * H, in_features)
    w_hh: (4 * H, H)
    bias: (4 * H)
    grad_output: (N, H)

Forward:
    y[n, j] = sum(k: x[n, k]*w_ih[j, k]) + bias[j]
    y_1[n, j] = sum(k: h[n, k]*w_hh[j, k])
    gates[n, j] = y[n, j] + y_1[n, j]
    i[n, j] = gates[n, j]
    f[m, k] = gates[m, H + k]
    g[p, l] = gates[p, 2*H + l]
    o[q, r] = gates[q, 3*H + r]
    sigmoid_f[n, j] = sigmoid(f[n, j])
    sigmoid_i[n, j] = sigmoid(i[n, j])
    tanh_g[n, j] = tanh(g[n, j])
    c_next[n, j] = sigmoid_f[n, j]*c[n, j] + sigmoid_i[n, j]*tanh_g[n, j]
    sigmoid_o[n, j] = sigmoid(o[n, j])
    tanh_c_next[n, j] = tanh(c_next[n, j])
    value[n, j] = sigmoid_o[n, j]*tanh_c_next[n, j]

Gradient:
    c_next_bar[n, j] = grad_output[n, j]*sigmoid_o[n, j]*(1 - tanh_c_next[n, j]^2)
    o_bar[q, r] = grad_output[q, r]*tanh_c_next[q, r]*sigmoid_o[q, r]*(1 - sigmoid_o[q, r])
    g_bar[p, l] = c_next_bar[p, l]*sigmoid_i[p, l]*(1 - tanh_g[p, l]^2)
    f_bar[m, k] = c_next_bar[m, k]*c[m, k]*sigmoid_f[m, k]*(1 - sigmoid_f[m, k])
    i_bar[n, j] = c_next_bar[n, j]*tanh_g[n, j]*sigmoid_i[n, j]*(1 - sigmoid_i[n, j])
    gates_bar[n, j] = [j - 3*H >= 0]*o_bar[n, j - 3*H] + [j - 2*H >= 0]*[3*H - j - 1 >= 0]*g_bar[n, j - 2*H] + [j - H…
    x_bar[n, k] = sum(j: gates_bar[n, j]*w_ih[j, k])
    h_bar[n, k] = sum(j: gates_bar[n, j]*w_hh[j, k])
    c_bar[n, j] = c_next_bar[n, j]*sigmoid_f[n, j]
    w_ih_bar[j, k] = sum(n: gates_bar[n, j]*x[n, k])
    w_hh_bar[j, k] = sum(n: gates_bar[n, j]*h[n, k])
    bias_bar[j] = sum(n: gates_bar[n, j])
"""

import torch


def forward_and_gradients(*, x, h, c, w_ih, w_hh, bias, grad_output):
    """Returns value (N, H) and the gradients in x, h, c, w_ih, w_hh, bias, a dict by name."""
    try:
        N, in_features = x.shape
        _, H = h.shape
        fits = (
            h.shape == (N, H)
            and c.shape == (N, H)
            and w_ih.shape == (4 * H, in_features)
            and w_hh.shape == (4 * H, H)
            and bias.shape == (4 * H,)
            and grad_output.shape == (N, H)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, in_features"),
            h=(h, "N, H"),
            c=(c, "N, H"),
            w_ih=(w_ih, "4 * H, in_features"),
            w_hh=(w_hh, "4 * H, H"),
            bias=(bias, "4 * H"),
            grad_output=(grad_output, "N, H"),
        )
    y = torch.nn.functional.linear(x, w_ih, bias)  # (N, 4 * H)
    y_1 = torch.nn.functional.linear(h, w_hh)  # (N, 4 * H)
    gates = y + y_1  # (N, 4 * H)
    i = gates[..., :H]  # (N, H)
    f = gates[..., H : 2 * H]  # (N, H)
    g = gates[..., 2 * H : 3 * H]  # (N, H)
    o = gates[..., 3 * H :]  # (N, H)
    sigmoid_f = torch.sigmoid(f)  # (N, H)
    sigmoid_i = torch.sigmoid(i)  # (N, H)
    tanh_g = torch.tanh(g)  # (N, H)
    c_next = sigmoid_f * c + sigmoid_i * tanh_g  # (N, H)
    sigmoid_o = torch.sigmoid(o)  # (N, H)
    tanh_c_next = torch.tanh(c_next)  # (N, H)
    value = sigmoid_o * tanh_c_next  # (N, H)
    c_next_bar = grad_output * sigmoid_o * (1 - tanh_c_next**2)  # (N, H)
    o_bar = grad_output * tanh_c_next * sigmoid_o * (1 - sigmoid_o)  # (N, H)
    g_bar = c_next_bar * sigmoid_i * (1 - tanh_g**2)  # (N, H)
    f_bar = c_next_bar * c * sigmoid_f * (1 - sigmoid_f)  # (N, H)
    i_bar = c_next_bar * tanh_g * sigmoid_i * (1 - sigmoid_i)  # (N, H)
    gates_bar = torch.cat((i_bar, f_bar, g_bar, o_bar), -1)  # (N, 4 * H)
    x_bar = gates_bar @ w_ih  # (N, in_features)
    h_bar = gates_bar @ w_hh  # (N, H)
    c_bar = c_next_bar * sigmoid_f  # (N, H)
    w_ih_bar = gates_bar.mT @ x  # (4 * H, in_features)
    w_hh_bar = gates_bar.mT @ h  # (4 * H, H)
    bias_bar = gates_bar.sum(0)  # (4 * H,)
    return value, {"x": x_bar, "h": h_bar, "c": c_bar, "w_ih": w_ih_bar, "w_hh": w_hh_bar, "bias": bias_bar}


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
