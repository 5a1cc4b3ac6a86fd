"""quaternion: forward and gradients, derived once for every size.

Shapes:
    q: (N, 4)
    grad_output: (N, 3, 3)

Forward:
    sq[n] = sum(i: q[n, i]^2)
    norm[n, j] = [sq[n] > 0]*sq[n]^(1/2)
    clamped[n, i] = [1/1000000000000 - norm[n, i] > 0]/1000000000000 + [norm[n, i] - 1/1000000000000 >= 0]*norm[n, i]
    q_over_clamped[n, i] = q[n, i]/clamped[n, 0]
    w[n] = q_over_clamped[n, 0]
    x[m] = q_over_clamped[m, 1]
    y[p] = q_over_clamped[p, 2]
    z[o] = q_over_clamped[o, 3]
    yy[n] = y[n]^2
    zz[n] = z[n]^2
    xy[n] = x[n]*y[n]
    wz[n] = w[n]*z[n]
    xz[n] = x[n]*z[n]
    wy[n] = w[n]*y[n]
    xx[n] = x[n]^2
    yz[n] = y[n]*z[n]
    wx[n] = w[n]*x[n]
    rows[n] = 1 - 2*(xx[n] + yy[n])
    stacked[n, i] = [i == 0]*(1 - 2*(yy[n] + zz[n])) + 2*[i - 1 == 0]*(xy[n] - wz[n]) + 2*[i - 2 == 0]*(xz[n] + wy[n]…
    value[n, i, j] = stacked[n, 3*i + j]

Gradient:
    stacked_bar[n, i] = grad_output[n, (i//3), i - 3*(i//3)]
    rows_bar[n] = sum(i: stacked_bar[n, i]*[i - 8 == 0])
    xx_plus_yy_bar[n] = -2*rows_bar[n]
    yz_plus_wx_bar[n] = 2*sum(i: stacked_bar[n, i]*[i - 7 == 0])
    xz_minus_wy_bar[n] = 2*sum(i: stacked_bar[n, i]*[i - 6 == 0])
    yz_minus_wx_bar[n] = 2*sum(i: stacked_bar[n, i]*[i - 5 == 0])
    wx_bar[n] = yz_plus_wx_bar[n] - yz_minus_wx_bar[n]
    yz_bar[n] = yz_plus_wx_bar[n] + yz_minus_wx_bar[n]
    xx_plus_zz_bar[n] = -2*sum(i: stacked_bar[n, i]*[i - 4 == 0])
    xy_plus_wz_bar[n] = 2*sum(i: stacked_bar[n, i]*[i - 3 == 0])
    xz_plus_wy_bar[n] = 2*sum(i: stacked_bar[n, i]*[i - 2 == 0])
    wy_bar[n] = xz_plus_wy_bar[n] - xz_minus_wy_bar[n]
    xz_bar[n] = xz_minus_wy_bar[n] + xz_plus_wy_bar[n]
    xy_minus_wz_bar[n] = 2*sum(i: stacked_bar[n, i]*[i - 1 == 0])
    wz_bar[n] = xy_plus_wz_bar[n] - xy_minus_wz_bar[n]
    xy_bar[n] = xy_plus_wz_bar[n] + xy_minus_wz_bar[n]
    yy_plus_zz_bar[n] = -2*sum(i: stacked_bar[n, i]*[i == 0])
    z_bar[o] = yz_bar[o]*y[o] + xz_bar[o]*x[o] + wz_bar[o]*w[o] + 2*(xx_plus_zz_bar[o] + yy_plus_zz_bar[o])*z[o]
    y_bar[p] = yz_bar[p]*z[p] + wy_bar[p]*w[p] + xy_bar[p]*x[p] + 2*(xx_plus_yy_bar[p] + yy_plus_zz_bar[p])*y[p]
    x_bar[m] = wx_bar[m]*w[m] + 2*(xx_plus_yy_bar[m] + xx_plus_zz_bar[m])*x[m] + xz_bar[m]*z[m] + xy_bar[m]*y[m]
    w_bar[n] = wx_bar[n]*x[n] + wy_bar[n]*y[n] + wz_bar[n]*z[n]
    q_over_clamped_bar[n, i] = [i - 3 == 0]*z_bar[n] + [i - 2 == 0]*y_bar[n] + [i - 1 == 0]*x_bar[n] + [i == 0]*w_bar…
    clamped_bar[n, i] = -sum(i_1: q_over_clamped_bar[n, i_1]*q_over_clamped[n, i_1])/clamped[n, 0]
    norm_bar[n, j] = clamped_bar[n, j]*[norm[n, j] - 1/1000000000000 >= 0]
    sq_bar[n] = norm_bar[n, 0]*[sq[n] > 0]/(2*sq[n]^(1/2))
    q_bar[n, i] = q_over_clamped_bar[n, i]/clamped[n, 0] + 2*sq_bar[n]*q[n, i]
"""

import torch


def forward_and_gradients(*, q, grad_output):
    """Returns value (N, 3, 3) and the gradients in q, a dict by name."""
    try:
        N, _ = q.shape
        fits = q.shape == (N, 4) and grad_output.shape == (N, 3, 3)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error({}, q=(q, "N, 4"), grad_output=(grad_output, "N, 3, 3"))
    sq = (q**2).sum(-1)  # (N,)
    mask = sq <= 0  # (N,)
    norm = torch.where(mask, 0, torch.sqrt(sq)).unsqueeze(-1)  # (N, 1)
    mask_1 = norm < 1e-12  # (N, 1)
    clamped = torch.where(mask_1, 1e-12, norm)  # (N, 1)
    q_over_clamped = q / clamped  # (N, 4)
    w = q_over_clamped[..., 0]  # (N,)
    x = q_over_clamped[..., 1]  # (N,)
    y = q_over_clamped[..., 2]  # (N,)
    z = q_over_clamped[..., 3]  # (N,)
    yy = y**2  # (N,)
    zz = z**2  # (N,)
    xy = x * y  # (N,)
    wz = w * z  # (N,)
    xz = x * z  # (N,)
    wy = w * y  # (N,)
    xx = x**2  # (N,)
    yz = y * z  # (N,)
    wx = w * x  # (N,)
    rows = 1 - 2 * (xx + yy)  # (N,)
    stacked = torch.stack((1 - 2 * (yy + zz), 2 * (xy - wz), 2 * (xz + wy), 2 * (xy + wz), 1 - 2 * (xx + zz),
        2 * (yz - wx), 2 * (xz - wy), 2 * (yz + wx), rows), -1)
    value = stacked.unflatten(-1, (3, 3))  # (N, 3, 3)
    stacked_bar = grad_output.flatten(1)  # (N, 9)
    rows_bar = stacked_bar[..., 8]  # (N,)
    xx_plus_yy_bar = -2 * rows_bar  # (N,)
    yz_plus_wx_bar = 2 * stacked_bar[..., 7]  # (N,)
    xz_minus_wy_bar = 2 * stacked_bar[..., 6]  # (N,)
    yz_minus_wx_bar = 2 * stacked_bar[..., 5]  # (N,)
    wx_bar = yz_plus_wx_bar - yz_minus_wx_bar  # (N,)
    yz_bar = yz_plus_wx_bar + yz_minus_wx_bar  # (N,)
    xx_plus_zz_bar = -2 * stacked_bar[..., 4]  # (N,)
    xy_plus_wz_bar = 2 * stacked_bar[..., 3]  # (N,)
    xz_plus_wy_bar = 2 * stacked_bar[..., 2]  # (N,)
    wy_bar = xz_plus_wy_bar - xz_minus_wy_bar  # (N,)
    xz_bar = xz_minus_wy_bar + xz_plus_wy_bar  # (N,)
    xy_minus_wz_bar = 2 * stacked_bar[..., 1]  # (N,)
    wz_bar = xy_plus_wz_bar - xy_minus_wz_bar  # (N,)
    xy_bar = xy_plus_wz_bar + xy_minus_wz_bar  # (N,)
    yy_plus_zz_bar = -2 * stacked_bar[..., 0]  # (N,)
    z_bar = yz_bar * y + xz_bar * x + wz_bar * w + 2 * (xx_plus_zz_bar + yy_plus_zz_bar) * z  # (N,)
    y_bar = yz_bar * z + wy_bar * w + xy_bar * x + 2 * (xx_plus_yy_bar + yy_plus_zz_bar) * y  # (N,)
    x_bar = wx_bar * w + 2 * (xx_plus_yy_bar + xx_plus_zz_bar) * x + xz_bar * z + xy_bar * y  # (N,)
    w_bar = wx_bar * x + wy_bar * y + wz_bar * z  # (N,)
    q_over_clamped_bar = torch.stack((w_bar, x_bar, y_bar, z_bar), -1)  # (N, 4)
    clamped_bar = (-(q_over_clamped_bar * q_over_clamped).sum(-1) / clamped[..., 0]).unsqueeze(-1)
    norm_bar = torch.where(mask_1, 0, clamped_bar)  # (N, 1)
    sq_bar = torch.where(mask, 0, 0.5 * norm_bar[..., 0] * torch.rsqrt(sq))  # (N,)
    q_bar = q_over_clamped_bar / clamped + (2 * sq_bar).unsqueeze(-1) * q  # (N, 4)
    return value, {"q": q_bar}


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
