"""Layers with hand-written backwards, as a training repository has them.  One of the backwards is wrong."""

import math

import torch


class FusedLayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        mean = x.mean(-1, keepdim=True)
        rstd = torch.rsqrt(((x - mean) ** 2).mean(-1, keepdim=True) + eps)
        xhat = (x - mean) * rstd
        ctx.save_for_backward(xhat, weight, rstd)
        return xhat * weight + bias

    @staticmethod
    def backward(ctx, grad_output):
        xhat, weight, rstd = ctx.saved_tensors
        h = grad_output * weight
        dx = rstd * (h - xhat * (h * xhat).mean(-1, keepdim=True))
        return dx, (grad_output * xhat).sum((0, 1)), grad_output.sum((0, 1)), None


class FusedGELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return grad_output * (0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * density)


class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return torch.nn.functional.silu(a) * b

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        s = torch.sigmoid(a)
        return g * b * s * (1 + a * (1 - s)), g * a * s


layer_norm, gelu = FusedLayerNorm.apply, FusedGELU.apply
