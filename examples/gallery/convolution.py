"""Convolution and pooling."""

import torch
import torch.nn.functional as F

from examples.gallery.layer import Layer, Mistake


def conv1d(x, w, b):
    return F.conv1d(x, w, b, padding=1)


def conv1d_backward(grad_output, x, w, b):
    dx = F.conv_transpose1d(grad_output, w, padding=1)
    taps = F.pad(x, (1, 1)).unfold(2, 3, 1)
    dw = torch.einsum("nol,nclk->ock", grad_output, taps)
    return {"x": dx, "w": dw, "b": grad_output.sum((0, 2))}


def conv2d(x, w):
    return F.conv2d(x, w, padding=1)


def conv2d_backward(grad_output, x, w):
    turned = w.flip(2, 3).transpose(0, 1)
    dx = F.conv2d(grad_output, turned, padding=1)
    windows = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
    dw = torch.einsum("nohw,nchwij->ocij", grad_output, windows)
    return {"x": dx, "w": dw}


def depthwise_causal(x, w):
    padded = F.pad(x, (2, 0))
    n = x.shape[-1]
    return padded[..., :n] * w[:, 0, None] + padded[..., 1 : n + 1] * w[:, 1, None] + x * w[:, 2, None]


def depthwise_causal_backward(grad_output, x, w):
    n = x.shape[-1]
    ahead, behind = F.pad(grad_output, (0, 2)), F.pad(x, (2, 0))
    later, next_one = ahead[..., 2 : n + 2], ahead[..., 1 : n + 1]
    dx = later * w[:, 0, None] + next_one * w[:, 1, None] + grad_output * w[:, 2, None]
    dw = torch.stack([(grad_output * behind[..., k : k + n]).sum((0, 2)) for k in range(3)], dim=1)
    return {"x": dx, "w": dw}


def pool(x):
    return F.avg_pool2d(x, 2)


def pool_backward(grad_output, x):
    share = grad_output / 4
    wide = share.repeat_interleave(2, dim=-1)
    return {"x": wide.repeat_interleave(2, dim=-2)}


def max_pool(x):
    return F.max_pool1d(x, 2)


def max_pool_backward(grad_output, x):
    pairs = x.unflatten(-1, (-1, 2))
    first = pairs[..., 0] >= pairs[..., 1]
    dx = torch.stack([grad_output * first, grad_output * ~first], dim=-1)
    return {"x": dx.flatten(-2)}


LAYERS = (
    Layer(
        "conv1d",
        "A convolution of sequences with three taps and a padding of one.",
        "Dumoulin and Visin 2016, arXiv 1603.07285.",
        conv1d,
        conv1d_backward,
        {"x": "N C L", "w": "out C 3", "b": "out"},
        (
            Mistake(
                "the filter read forwards",
                "dx = F.conv_transpose1d(grad_output, w, padding=1)",
                "dx = F.conv1d(grad_output, w.transpose(0, 1), padding=1)",
                "A convolution with the same filter has the right shape; the filter has to be turned round.",
            ),
            Mistake(
                "the bias of one position",
                '"b": grad_output.sum((0, 2))}',
                '"b": grad_output.sum(0).mean(-1)}',
                "The bias is added at every position, so its gradient is a sum over them.",
            ),
        ),
    ),
    Layer(
        "conv2d",
        "A convolution of images with filters of 3×3 and a padding of one.",
        "Dumoulin and Visin 2016, arXiv 1603.07285.",
        conv2d,
        conv2d_backward,
        {"x": "N C H W", "w": "out C 3 3"},
        (
            Mistake(
                "the filter not turned",
                "turned = w.flip(2, 3).transpose(0, 1)",
                "turned = w.transpose(0, 1)",
                "With a symmetric filter, as in a first test, the two are the same.",
            ),
            Mistake(
                "turned in one direction",
                "turned = w.flip(2, 3).transpose(0, 1)",
                "turned = w.flip(3).transpose(0, 1)",
                "The code of the one-dimensional layer with one axis more.",
            ),
        ),
        sizes={"H": 4, "W": 3},
    ),
    Layer(
        "causal convolution",
        "Each channel of a sequence with three taps of its own that look back.",
        "The short convolution before the scan of Mamba, Gu and Dao 2023, arXiv 2312.00752.",
        depthwise_causal,
        depthwise_causal_backward,
        {"x": "N C L", "w": "C 3"},
        (
            Mistake(
                "padded on the other side",
                "ahead, behind = F.pad(grad_output, (0, 2)), F.pad(x, (2, 0))",
                "ahead, behind = F.pad(grad_output, (0, 2)), F.pad(x, (0, 2))",
                "The output's gradient is padded ahead, the input behind.",
            ),
            Mistake(
                "the first and the last tap exchanged",
                "dx = later * w[:, 0, None] + next_one * w[:, 1, None] + grad_output * w[:, 2, None]",
                "dx = later * w[:, 2, None] + next_one * w[:, 1, None] + grad_output * w[:, 0, None]",
                "The backward is a correlation with the filter turned round; turned twice, it is not.",
            ),
        ),
    ),
    Layer(
        "average pool",
        "Means over squares of 2×2.",
        "LeCun et al. 1989; `torch.nn.AvgPool2d`.",
        pool,
        pool_backward,
        {"x": "N C 2*H 2*W"},
        (
            Mistake(
                "shared between two",
                "share = grad_output / 4",
                "share = grad_output / 2",
                "The width of the window in place of its area.",
            ),
            Mistake(
                "rows repeated in blocks",
                'return {"x": wide.repeat_interleave(2, dim=-2)}',
                'return {"x": wide.repeat(1, 1, 2, 1)}',
                "`repeat` puts copies one after the other, NumPy's function of this name does not.",
            ),
        ),
        sizes={"H": 2, "W": 3},
    ),
    Layer(
        "max pool",
        "The larger of each two neighbours.",
        "Ranzato et al. 2007; of two equal ones the first takes the gradient, as in torch.",
        max_pool,
        max_pool_backward,
        {"x": "N C 2*P"},
        (
            Mistake(
                "both of them",
                "dx = torch.stack([grad_output * first, grad_output * ~first], dim=-1)",
                "dx = torch.stack([grad_output, grad_output], dim=-1)",
                "The backward of the average pool without its half.",
            ),
            Mistake(
                "the smaller one",
                "first = pairs[..., 0] >= pairs[..., 1]",
                "first = pairs[..., 0] < pairs[..., 1]",
                "A comparison turned round.",
            ),
        ),
    ),
)
