"""cross_entropy: forward and gradients, derived once for every size.

Shapes:
    logits: (N, K)
    target: (N), int
    grad_output: (); 1 if left out

Forward:
    top[n] = max(l: logits[n, l])
    logp[n, k] = logits[n, k] - top[n] - log(sum(m: exp(logits[n, m] - top[n])))
    loss = -sum(p: [target[p] != 0]*logp[p, target[p]])/sum(p: [target[p] != 0])

Gradient:
    logp_bar[n, k] = -[k - target[n] == 0]*grad_output*[target[n] != 0]/sum(p: [target[p] != 0])
    logits_bar[n, k] = logp_bar[n, k] - exp(logits[n, k] - top[n])*sum(k_1: logp_bar[n, k_1])/sum(m: exp(logits[n, m]…
"""

import torch


def forward_and_gradients(*, logits, target, grad_output=None):
    """Returns loss and the gradients in logits, a dict by name."""
    try:
        N, K = logits.shape
        fits = target.shape == (N,)
    except ValueError:
        fits = False
    if not fits:
        raise _shape_error({}, logits=(logits, "N, K"), target=(target, "N"))
    if grad_output is None:
        grad_output = 1.0
    elif getattr(grad_output, "shape", ()) != ():
        raise ValueError(f"grad_output has shape {tuple(grad_output.shape)}; expected a number, ()")
    target = target.long()
    logp = torch.log_softmax(logits, dim=-1)  # (N, K)
    mask = target != 0  # (N,)
    loss_sum = torch.where(mask, logp.gather(1, target.reshape((N, 1))).reshape((N,)), 0).sum()
    sum_of_mask = mask.to(logits.dtype).sum()
    loss = -loss_sum / sum_of_mask
    logits_bar_factor = torch.where(mask, grad_output * 1 / sum_of_mask, 0).unsqueeze(-1) * torch.exp(logp)
    logits_bar_choice = torch.where(mask, -grad_output / sum_of_mask, 0)  # (N,)
    logits_bar = logits_bar_factor.scatter_add(1, target.unsqueeze(-1), logits_bar_choice.unsqueeze(-1))
    return loss, {"logits": logits_bar}


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
