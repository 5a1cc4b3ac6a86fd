"""gru_cell: forward and gradients, derived once for every size.

Shapes:
    x: (N, in_features)
    h: (N, H)
    w_ih: (3 * H, in_features)
    w_hh: (3 * H, H)
    b_ih: (3 * H)
    b_hh: (3 * H)
    grad_output: (N, H)

Forward:
    y[n, i] = sum(j: x[n, j]*w_ih[i, j]) + b_ih[i]
    r_x[n, i] = y[n, i]
    z_x[m, j] = y[m, H + j]
    n_x[p, k] = y[p, 2*H + k]
    y_1[n, i] = sum(j: h[n, j]*w_hh[i, j]) + b_hh[i]
    r_h[n, i] = y_1[n, i]
    z_h[m, j] = y_1[m, H + j]
    n_h[p, k] = y_1[p, 2*H + k]
    reset[n, i] = sigmoid(r_x[n, i] + r_h[n, i])
    update[n, i] = sigmoid(z_x[n, i] + z_h[n, i])
    new[n, i] = tanh(n_x[n, i] + reset[n, i]*n_h[n, i])
    one_minus_update[n, i] = 1 - update[n, i]
    value[n, i] = one_minus_update[n, i]*new[n, i] + update[n, i]*h[n, i]

Gradient:
    new_bar[n, i] = grad_output[n, i]*one_minus_update[n, i]
    n_x_plus_reset_times_n_h_bar[n, i] = new_bar[n, i]*(1 - new[n, i]^2)
    update_bar[n, i] = grad_output[n, i]*h[n, i] - grad_output[n, i]*new[n, i]
    z_x_plus_z_h_bar[n, i] = update_bar[n, i]*update[n, i]*(1 - update[n, i])
    reset_bar[n, i] = n_x_plus_reset_times_n_h_bar[n, i]*n_h[n, i]
    r_x_plus_r_h_bar[n, i] = reset_bar[n, i]*reset[n, i]*(1 - reset[n, i])
    n_h_bar[p, k] = n_x_plus_reset_times_n_h_bar[p, k]*reset[p, k]
    y_1_bar[n, i] = [i - 2*H >= 0]*n_h_bar[n, i - 2*H] + [i - H >= 0]*[2*H - i - 1 >= 0]*z_x_plus_z_h_bar[n, i - H] +…
    y_bar[n, i] = [i - 2*H >= 0]*n_x_plus_reset_times_n_h_bar[n, i - 2*H] + [i - H >= 0]*[2*H - i - 1 >= 0]*z_x_plus_…
    x_bar[n, j] = sum(i: y_bar[n, i]*w_ih[i, j])
    h_bar[n, i] = grad_output[n, i]*update[n, i] + sum(i_1: y_1_bar[n, i_1]*w_hh[i_1, i])
    w_ih_bar[i, j] = sum(n: y_bar[n, i]*x[n, j])
    w_hh_bar[i, j] = sum(n: y_1_bar[n, i]*h[n, j])
    b_ih_bar[i] = sum(n: y_bar[n, i])
    b_hh_bar[i] = sum(n: y_1_bar[n, i])
"""

import torch


def forward_and_gradients(*, x, h, w_ih, w_hh, b_ih, b_hh, grad_output):
    """Returns value (N, H) and the gradients in x, h, w_ih, w_hh, b_ih, b_hh, a dict by name."""
    try:
        N, in_features = x.shape
        _, H = h.shape
        fits = (
            h.shape == (N, H)
            and w_ih.shape == (3 * H, in_features)
            and w_hh.shape == (3 * H, H)
            and b_ih.shape == (3 * H,)
            and b_hh.shape == (3 * H,)
            and grad_output.shape == (N, H)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            x=(x, "N, in_features"),
            h=(h, "N, H"),
            w_ih=(w_ih, "3 * H, in_features"),
            w_hh=(w_hh, "3 * H, H"),
            b_ih=(b_ih, "3 * H"),
            b_hh=(b_hh, "3 * H"),
            grad_output=(grad_output, "N, H"),
        )
    y = torch.nn.functional.linear(x, w_ih, b_ih)  # (N, 3 * H)
    r_x = y[..., :H]  # (N, H)
    z_x = y[..., H : 2 * H]  # (N, H)
    n_x = y[..., 2 * H :]  # (N, H)
    y_1 = torch.nn.functional.linear(h, w_hh, b_hh)  # (N, 3 * H)
    r_h = y_1[..., :H]  # (N, H)
    z_h = y_1[..., H : 2 * H]  # (N, H)
    n_h = y_1[..., 2 * H :]  # (N, H)
    reset = torch.sigmoid(r_x + r_h)  # (N, H)
    update = torch.sigmoid(z_x + z_h)  # (N, H)
    new = torch.tanh(n_x + reset * n_h)  # (N, H)
    one_minus_update = 1 - update  # (N, H)
    value = one_minus_update * new + update * h  # (N, H)
    new_bar = grad_output * one_minus_update  # (N, H)
    n_x_plus_reset_times_n_h_bar = new_bar * (1 - new**2)  # (N, H)
    update_bar = grad_output * h - grad_output * new  # (N, H)
    z_x_plus_z_h_bar = update_bar * update * one_minus_update  # (N, H)
    reset_bar = n_x_plus_reset_times_n_h_bar * n_h  # (N, H)
    r_x_plus_r_h_bar = reset_bar * reset * (1 - reset)  # (N, H)
    n_h_bar = n_x_plus_reset_times_n_h_bar * reset  # (N, H)
    y_1_bar = torch.cat((r_x_plus_r_h_bar, z_x_plus_z_h_bar, n_h_bar), -1)  # (N, 3 * H)
    y_bar = torch.cat((r_x_plus_r_h_bar, z_x_plus_z_h_bar, n_x_plus_reset_times_n_h_bar), -1)  # (N, 3 * H)
    x_bar = y_bar @ w_ih  # (N, in_features)
    h_bar = torch.addmm(grad_output * update, y_1_bar, w_hh)  # (N, H)
    w_ih_bar = y_bar.mT @ x  # (3 * H, in_features)
    w_hh_bar = y_1_bar.mT @ h  # (3 * H, H)
    b_ih_bar = y_bar.sum(0)  # (3 * H,)
    b_hh_bar = y_1_bar.sum(0)  # (3 * H,)
    return value, {"x": x_bar, "h": h_bar, "w_ih": w_ih_bar, "w_hh": w_hh_bar, "b_ih": b_ih_bar, "b_hh": b_hh_bar}


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
