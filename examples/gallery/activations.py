"""Activations, softmax, gates, and the choice of a largest."""

import torch
import torch.nn.functional as F

from examples.gallery.layer import Layer, Mistake


def softmax(x):
    return torch.softmax(x, -1)


def softmax_backward(grad_output, x):
    p = torch.softmax(x, -1)
    return {"x": p * (grad_output - (p * grad_output).sum(-1, keepdim=True))}


def log_softmax(x):
    return torch.log_softmax(x, -1)


def log_softmax_backward(grad_output, x):
    p = torch.softmax(x, -1)
    return {"x": grad_output - p * grad_output.sum(-1, keepdim=True)}


def gelu(x):
    return F.gelu(x)


def gelu_backward(grad_output, x):
    cdf = (1 + torch.erf(x / 2**0.5)) / 2
    density = torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5
    return {"x": grad_output * (cdf + x * density)}


def silu(x):
    return x * torch.sigmoid(x)


def silu_backward(grad_output, x):
    s = torch.sigmoid(x)
    return {"x": grad_output * s * (1 + x * (1 - s))}


def swiglu(x, w_gate, w_up):
    return F.silu(x @ w_gate) * (x @ w_up)


def swiglu_backward(grad_output, x, w_gate, w_up):
    gate, up = x @ w_gate, x @ w_up
    s = torch.sigmoid(gate)
    dup = grad_output * gate * s
    dgate = grad_output * up * s * (1 + gate * (1 - s))
    dx = dgate @ w_gate.T + dup @ w_up.T
    return {"x": dx, "w_gate": x.T @ dgate, "w_up": x.T @ dup}


def geglu(x, w, v):
    return F.gelu(x @ w) * (x @ v)


def geglu_backward(grad_output, x, w, v):
    a, h = x @ w, x @ v
    cdf = (1 + torch.erf(a / 2**0.5)) / 2
    density = torch.exp(-(a**2) / 2) / (2 * torch.pi) ** 0.5
    da = grad_output * h * (cdf + a * density)
    dh = grad_output * a * cdf
    return {"x": da @ w.T + dh @ v.T, "w": x.T @ da, "v": x.T @ dh}


def mix_experts(logits, experts):
    gate = torch.softmax(logits, dim=-1)
    return torch.einsum("ne,ned->nd", gate, experts)


def mix_experts_backward(grad_output, logits, experts):
    gate = torch.softmax(logits, dim=-1)
    mixed = (gate[..., None] * experts).sum(1, keepdim=True)
    dlogits = gate * ((experts - mixed) * grad_output[:, None]).sum(-1)
    dexperts = gate[..., None] * grad_output[:, None]
    return {"logits": dlogits, "experts": dexperts}


def maximum(x):
    return x.max(1).values


def maximum_backward(grad_output, x):
    return {"x": grad_output[:, None] * F.one_hot(x.argmax(1), x.shape[1])}


JACOBIAN = 'return {"x": p * (grad_output - (p * grad_output).sum(-1, keepdim=True))}'

LAYERS = (
    Layer(
        "softmax",
        "Rows of probabilities, p = exp(x)/Σexp(x).",
        "Bridle 1990; the product with the Jacobian is written without forming it.",
        softmax,
        softmax_backward,
        {"x": "N D"},
        (
            Mistake(
                "as if elementwise",
                JACOBIAN,
                'return {"x": grad_output * p * (1 - p)}',
                "The diagonal of the Jacobian is p·(1 − p), as for a sigmoid; beside it stands −p·p.",
            ),
            Mistake(
                "the sum without the probabilities",
                JACOBIAN,
                'return {"x": p * (grad_output - grad_output.sum(-1, keepdim=True))}',
                "This sum belongs to the log-softmax.",
            ),
        ),
    ),
    Layer(
        "log softmax",
        "Logarithms of the softmax, x − log Σexp(x).",
        "`torch.nn.functional.log_softmax`.",
        log_softmax,
        log_softmax_backward,
        {"x": "N D"},
        (
            Mistake(
                "one minus the probability",
                'return {"x": grad_output - p * grad_output.sum(-1, keepdim=True)}',
                'return {"x": grad_output * (1 - p)}',
                "The derivative of the element in itself; every other element of the row is forgotten.",
            ),
            Mistake(
                "the logarithm in place of the probability",
                "p = torch.softmax(x, -1)",
                "p = torch.log_softmax(x, -1)",
                "The saved output is the logarithm, and needs an exp before it is a probability.",
            ),
        ),
    ),
    Layer(
        "gelu",
        "x·Φ(x), with the distribution function of the normal distribution.",
        "Hendrycks and Gimpel 2016, arXiv 1606.08415.",
        gelu,
        gelu_backward,
        {"x": "N D"},
        (
            Mistake(
                "the density forgotten",
                'return {"x": grad_output * (cdf + x * density)}',
                'return {"x": grad_output * cdf}',
                "The product rule has two terms, and Φ looks like a constant gate.",
            ),
            Mistake(
                "the variance not halved",
                "density = torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5",
                "density = torch.exp(-x * x) / (2 * torch.pi) ** 0.5",
                "erf(x/√2) has exp(−x²/2); erf alone has exp(−x²).",
            ),
        ),
    ),
    Layer(
        "silu",
        "x·σ(x), also called swish.",
        "Elfwing et al. 2017, arXiv 1702.03118, with the derivative in this form.",
        silu,
        silu_backward,
        {"x": "N D"},
        (
            Mistake(
                "the gate alone",
                'return {"x": grad_output * s * (1 + x * (1 - s))}',
                'return {"x": grad_output * s * (1 - s)}',
                "It is the sigmoid's derivative.",
            ),
            Mistake(
                "the output for the input",
                'return {"x": grad_output * s * (1 + x * (1 - s))}',
                'return {"x": grad_output * (s + x * (1 - s))}',
                "With the output y the form is s + y·(1 − s); x was put where y stood.",
            ),
        ),
    ),
    Layer(
        "swiglu",
        "A gated layer, silu(xW)·(xV).",
        "Shazeer 2020, arXiv 2002.05202.",
        swiglu,
        swiglu_backward,
        {"x": "N D", "w_gate": "D H", "w_up": "D H"},
        (
            Mistake(
                "the derivative of the sigmoid alone",
                "dgate = grad_output * up * s * (1 + gate * (1 - s))",
                "dgate = grad_output * up * s * (1 - s)",
                "GLU has a sigmoid gate; SwiGLU's gate is multiplied with its own argument.",
            ),
            Mistake(
                "the up branch forgets the gate's argument",
                "dup = grad_output * gate * s",
                "dup = grad_output * s",
                "Again GLU's backward.",
            ),
        ),
    ),
    Layer(
        "geglu",
        "A gated layer, gelu(xW)·(xV).",
        "Shazeer 2020, arXiv 2002.05202.",
        geglu,
        geglu_backward,
        {"x": "N D", "w": "D H", "v": "D H"},
        (
            Mistake(
                "the slope for both branches",
                "dh = grad_output * a * cdf",
                "dh = grad_output * (cdf + a * density)",
                "The other branch needs the gate's value, and is given its derivative.",
            ),
            Mistake(
                "one branch of the input",
                'return {"x": da @ w.T + dh @ v.T, "w": x.T @ da, "v": x.T @ dh}',
                'return {"x": da @ w.T, "w": x.T @ da, "v": x.T @ dh}',
                "x is used twice, and its gradient is the sum of both paths.",
            ),
        ),
    ),
    Layer(
        "mix of experts",
        "Outputs of experts, weighted by a softmax gate.",
        "Jacobs et al. 1991; Shazeer et al. 2017, arXiv 1701.06538.",
        mix_experts,
        mix_experts_backward,
        {"logits": "N E", "experts": "N E D"},
        (
            Mistake(
                "no baseline",
                "dlogits = gate * ((experts - mixed) * grad_output[:, None]).sum(-1)",
                "dlogits = gate * (experts * grad_output[:, None]).sum(-1)",
                "The gates share a sum: an expert gains only by being better than the mixture.",
            ),
            Mistake(
                "a plain average",
                "dexperts = gate[..., None] * grad_output[:, None]",
                "dexperts = (grad_output / gate.shape[1])[:, None].expand_as(experts)",
                "The loss that balances the experts is confused with their mixture.",
            ),
        ),
    ),
    Layer(
        "maximum",
        "The largest element of each row.",
        "`torch.max`; of equal ones the first takes the gradient.",
        maximum,
        maximum_backward,
        {"x": "N D"},
        (
            Mistake(
                "shared out",
                'return {"x": grad_output[:, None] * F.one_hot(x.argmax(1), x.shape[1])}',
                'return {"x": grad_output[:, None].expand(x.shape) / x.shape[1]}',
                "It is the backward of a mean.",
            ),
            Mistake(
                "everything that is large",
                'return {"x": grad_output[:, None] * F.one_hot(x.argmax(1), x.shape[1])}',
                'return {"x": grad_output[:, None] * (x > 0)}',
                "The mask of a rectifier: max(x, 0) is elementwise, max(x) is not.",
            ),
        ),
    ),
)
