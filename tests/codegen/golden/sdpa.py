"""sdpa: forward and gradients, derived once for every size.

Shapes:
    q: (B, H, T, d)
    k: (B, H, S, d)
    v: (B, H, S, e)
    grad_output: (B, H, T, e)

Forward:
    scores[b, h, t, s] = sum(f: q[b, h, t, f]*k[b, h, s, f])/d^(1/2)
    top[b, h, t] = max(s: scores[b, h, t, s])
    P[b, h, t, s] = exp(scores[b, h, t, s] - top[b, h, t])/sum(r: exp(scores[b, h, t, r] - top[b, h, t]))
    y[b, h, t, g] = sum(s: P[b, h, t, s]*v[b, h, s, g])

Gradient:
    P_bar[b, h, t, s] = sum(g: grad_output[b, h, t, g]*v[b, h, s, g])
    scores_bar[b, h, t, s] = P[b, h, t, s]*(P_bar[b, h, t, s] - sum(s_1: P_bar[b, h, t, s_1]*P[b, h, t, s_1]))
    q_bar[b, h, t, f] = sum(s: scores_bar[b, h, t, s]*k[b, h, s, f])/d^(1/2)
    k_bar[b, h, s, f] = sum(t: scores_bar[b, h, t, s]*q[b, h, t, f])/d^(1/2)
    v_bar[b, h, s, g] = sum(t: grad_output[b, h, t, g]*P[b, h, t, s])
"""

import torch


def forward_and_gradients(*, q, k, v, grad_output):
    """Returns y (B, H, T, e) and the gradients in q, k, v, a dict by name."""
    try:
        B, H, T, d = q.shape
        _, _, S, _ = k.shape
        _, _, _, e = v.shape
        fits = k.shape == (B, H, S, d) and v.shape == (B, H, S, e) and grad_output.shape == (B, H, T, e)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error(
            {},
            q=(q, "B, H, T, d"),
            k=(k, "B, H, S, d"),
            v=(v, "B, H, S, e"),
            grad_output=(grad_output, "B, H, T, e"),
        )
    scores = max(d, 1)**-0.5 * (q @ k.mT)  # (B, H, T, S)
    P = torch.softmax(scores, dim=-1)  # (B, H, T, S)
    y = P @ v  # (B, H, T, e)
    P_bar = grad_output @ v.mT  # (B, H, T, S)
    scores_bar = P * (P_bar - (P_bar * P).sum(-1, keepdim=True))  # (B, H, T, S)
    q_bar = max(d, 1)**-0.5 * (scores_bar @ k)  # (B, H, T, d)
    k_bar = max(d, 1)**-0.5 * (scores_bar.mT @ q)  # (B, H, S, d)
    v_bar = P.mT @ grad_output  # (B, H, S, e)
    return y, {"q": q_bar, "k": k_bar, "v": v_bar}


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
