"""rms_norm: forward and gradients, derived once for every size.

Shapes:
    x: (N, D)
    weight: (D)
    grad_output: (N, D)

Forward:
    xx[n, d] = x[n, d]^2
    m[n, i] = sum(d: xx[n, d])/D
    m_plus_eps[n, i] = m[n, i] + 1/1000000
    rstd[n, i] = m_plus_eps[n, i]^(-1/2)
    x_times_rstd[n, d] = x[n, d]*rstd[n, 0]
    value[n, d] = x_times_rstd[n, d]*weight[d]

Gradient:
    x_times_rstd_bar[n, d] = grad_output[n, d]*weight[d]
    rstd_bar[n, i] = sum(d: x_times_rstd_bar[n, d]*x[n, d])
    m_plus_eps_bar[n, i] = -rstd_bar[n, i]/(2*m_plus_eps[n, i]^(3/2))
    x_bar[n, d] = x_times_rstd_bar[n, d]*rstd[n, 0] + 2*m_plus_eps_bar[n, 0]*x[n, d]/D
    weight_bar[d] = sum(n: grad_output[n, d]*x_times_rstd[n, d])
"""

import torch


def forward_and_gradients(*, x, weight, grad_output):
    """Returns value (N, D) and the gradients in x, weight, a dict by name."""
    try:
        N, D = x.shape
        fits = weight.shape == (D,) and grad_output.shape == (N, D)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error({}, x=(x, "N, D"), weight=(weight, "D"), grad_output=(grad_output, "N, D"))
    xx = x**2  # (N, D)
    m = xx.mean(-1, keepdim=True)  # (N, 1)
    m_plus_eps = m + 1e-06  # (N, 1)
    rstd = torch.rsqrt(m_plus_eps)  # (N, 1)
    x_times_rstd = rstd * x  # (N, D)
    value = weight * x_times_rstd  # (N, D)
    x_times_rstd_bar = weight * grad_output  # (N, D)
    rstd_bar = (x_times_rstd_bar * x).sum(-1, keepdim=True)  # (N, 1)
    m_plus_eps_bar = -0.5 * rstd_bar * m_plus_eps**(-1.5)  # (N, 1)
    x_bar = rstd * x_times_rstd_bar + (2 / max(D, 1) * m_plus_eps_bar[..., 0]).unsqueeze(-1) * x
    weight_bar = (grad_output * x_times_rstd).sum(0)  # (D,)
    return value, {"x": x_bar, "weight": weight_bar}


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
