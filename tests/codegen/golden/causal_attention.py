"""causal_attention: forward and gradients, derived once for every size.

Shapes:
    q: (B, T, d)
    k: (B, T, d)
    v: (B, T, d)
    grad_output: (B, T, d)

Forward:
    y[b, t, s] = sum(e: q[b, t, e]*k[b, s, e])
    scores[b, t, s] = y[b, t, s]/d^(1/2)
    masked[b, t, s] = [t - s >= 0]*scores[b, t, s] - [s - t - 1 >= 0]*inf
    top[b, t] = max(r: masked[b, t, r])
    p[b, t, s] = exp(masked[b, t, s] - top[b, t])/sum(u: exp(masked[b, t, u] - top[b, t]))
    value[b, t, e] = sum(s: p[b, t, s]*v[b, s, e])

Gradient:
    p_bar[b, t, s] = sum(e: grad_output[b, t, e]*v[b, s, e])
    masked_bar[b, t, s] = p[b, t, s]*(p_bar[b, t, s] - sum(s_1: p_bar[b, t, s_1]*p[b, t, s_1]))
    scores_bar[b, t, s] = masked_bar[b, t, s]*[t - s >= 0]
    y_bar[b, t, s] = scores_bar[b, t, s]/d^(1/2)
    q_bar[b, t, e] = sum(s: y_bar[b, t, s]*k[b, s, e])
    k_bar[b, s, e] = sum(t: y_bar[b, t, s]*q[b, t, e])
    v_bar[b, s, e] = sum(t: grad_output[b, t, e]*p[b, t, s])
"""

import math

import torch


def forward_and_gradients(*, q, k, v, grad_output):
    """Returns value (B, T, d) and the gradients in q, k, v, a dict by name."""
    try:
        B, T, d = q.shape
        fits = k.shape == (B, T, d) and v.shape == (B, T, d) and grad_output.shape == (B, T, d)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            q=(q, "B, T, d"),
            k=(k, "B, T, d"),
            v=(v, "B, T, d"),
            grad_output=(grad_output, "B, T, d"),
        )
    y = q @ k.mT  # (B, T, T)
    scores = max(d, 1)**-0.5 * y  # (B, T, T)
    places = torch.arange(T, device=q.device)  # (T,)
    mask = places.unsqueeze(-1) >= places  # (T, T)
    masked = torch.where(mask, scores, -math.inf)  # (B, T, T)
    p = torch.softmax(masked, dim=-1)  # (B, T, T)
    value = p @ v  # (B, T, d)
    p_bar = grad_output @ v.mT  # (B, T, T)
    masked_bar = p * (p_bar - (p_bar * p).sum(-1, keepdim=True))  # (B, T, T)
    scores_bar = torch.where(mask, masked_bar, 0)  # (B, T, T)
    y_bar = max(d, 1)**-0.5 * scores_bar  # (B, T, T)
    q_bar = y_bar @ k  # (B, T, d)
    k_bar = y_bar.mT @ q  # (B, T, d)
    v_bar = p.mT @ grad_output  # (B, T, d)
    return value, {"q": q_bar, "k": k_bar, "v": v_bar}


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
