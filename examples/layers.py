"""RMSNorm with a backward written by hand, and the same with a mistake that people make: the mean's path forgotten.

derivcheck derive examples/layers.py:rms_norm --dims 'x: N C; w: C' --const eps=1e-5
derivcheck check  examples/layers.py:rms_norm --backward examples/layers.py:backward --dims 'x: N C; w: C' --const eps=1e-5
derivcheck prove  examples/layers.py:rms_norm examples/layers.py:backward --dims 'x: N C; w: C' --const eps=1e-5
derivcheck check  examples/layers.py:rms_norm --backward examples/layers.py:forgetful --dims 'x: N C; w: C' --const eps=1e-5
"""

import torch


def rms_norm(x, w, eps):
    rstd = torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    return x * rstd * w


def backward(grad_output, x, w, eps):
    """Right: the second term is the path through rstd."""
    rstd = torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    h = grad_output * w
    return {"x": rstd * (h - x * rstd**2 * (h * x).mean(-1, keepdim=True)), "w": (grad_output * x * rstd).sum(0)}


def forgetful(grad_output, x, w, eps):
    """Wrong: takes rstd for a constant."""
    rstd = torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    return {"x": rstd * grad_output * w, "w": (grad_output * x * rstd).sum(0)}
