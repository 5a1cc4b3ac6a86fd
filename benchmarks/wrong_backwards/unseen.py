# ruff: noqa: E501
"""Wrong backwards written after the hypotheses by someone who had read neither them nor the other sets.

The accepted words were fixed before the first run.  The sentence alone is judged, whatever kind of diagnosis it is.
Alone: ``python -m benchmarks.wrong_backwards.unseen``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.wrong import Wrong


class _AnyKind(tuple[str, ...]):
    """Kinds that hold every kind."""

    def __contains__(self, kind: object) -> bool:
        return True


ANY = _AnyKind()


def _sizes(*names: str) -> tuple[dict[str, int], ...]:
    k = len(names)
    return (
        dict(zip(names, (3, 5, 7, 2)[:k], strict=True)),
        dict(zip(names, (4, 4, 4, 4)[:k], strict=True)),
        dict(zip(names, (8, 4, 16, 2)[:k], strict=True)),
    )


def _uniform(*dims: str):
    return lambda size, rng: torch.rand(*(size[d] for d in dims), generator=rng, dtype=torch.float64) * 0.8 + 0.1


def mish(grad_output, x):  # softplus' own derivative, sigmoid(x), left out of the chain
    t = torch.tanh(F.softplus(x))
    return {"x": grad_output * (t + x * (1 - t * t))}


def prelu(grad_output, x, w):  # dw not restricted to the negative inputs
    return {"x": grad_output * torch.where(x > 0, 1.0, w[:, None]), "w": (grad_output * x).sum((0, 2))}


def group_norm(grad_output, x, w, b):  # one group: the means run over C and L, but L alone is divided by
    C, L = x.shape[1:]
    mu = x.mean((1, 2), keepdim=True)
    r = (x.var((1, 2), keepdim=True, unbiased=False) + 1e-5).rsqrt()
    h = (x - mu) * r
    gw = grad_output * w[:, None]
    dx = r * (gw - gw.sum((1, 2), keepdim=True) / L - h * (gw * h).sum((1, 2), keepdim=True) / L)
    return {"x": dx, "w": (grad_output * h).sum((0, 2)), "b": grad_output.sum((0, 2))}


def bilinear(grad_output, x, w, z):  # dw is averaged over the batch
    return {
        "x": torch.einsum("no,opq,nq->np", grad_output, w, z),
        "w": torch.einsum("no,np,nq->opq", grad_output, x, z) / x.shape[0],
        "z": torch.einsum("no,opq,np->nq", grad_output, w, x),
    }


def cosine(grad_output, a, b):  # da takes a's own norm for a constant
    na, nb = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    g = grad_output[:, None]
    cos = (a * b).sum(1, keepdim=True) / (na * nb)
    return {"a": g * b / (na * nb), "b": g * (a / (na * nb) - cos * b / nb**2)}


def normalize(grad_output, x):  # the projection is added where it is to be taken off
    r = x.norm(dim=1, keepdim=True)
    y = x / r
    return {"x": (grad_output + y * (grad_output * y).sum(1, keepdim=True)) / r}


def logsumexp(grad_output, x):  # shifted exponentials that nobody normalised
    return {"x": grad_output[:, None] * torch.exp(x - x.amax(1, keepdim=True))}


def std(grad_output, x):  # the sample deviation's backward with the population's D
    d = x - x.mean(1, keepdim=True)
    return {"x": grad_output[:, None] * d / (x.std(1, keepdim=True) * x.shape[1])}


def softmax_rows(grad_output, x):  # softmax down the columns, its correction summed along the rows
    y = torch.softmax(x, 0)
    return {"x": y * (grad_output - (grad_output * y).sum(1, keepdim=True))}


def cumsum(grad_output, x):  # runs forward again, not from the end
    return {"x": grad_output.cumsum(1)}


def huber(grad_output, x, t):  # the residual is not clipped
    g = grad_output * (x - t) / x.numel()
    return {"x": g, "t": -(grad_output * (x - t).clamp(-0.5, 0.5) / x.numel())}


def kl_batchmean(grad_output, x, t):  # divided by every element, as reduction="mean" would
    return {"x": -grad_output * t / x.numel(), "t": grad_output * (t.log() + 1 - x) / x.shape[0]}


def conv1d(grad_output, x, w):  # dw with the taps in reverse: the gradient of a true convolution
    K, P = w.shape[2], grad_output.shape[2]
    dw = torch.stack([torch.einsum("nop,ncp->oc", grad_output, x[:, :, u : u + P]) for u in range(K)], 2).flip(2)
    dx = torch.zeros_like(x)
    for u in range(K):
        dx[:, :, u : u + P] += torch.einsum("nop,oc->ncp", grad_output, w[:, :, u])
    return {"x": dx, "w": dw}


def avg_pool(grad_output, x):  # spreads the gradient, does not share it out
    dx = torch.zeros_like(x)
    g = grad_output.repeat_interleave(2, 2)
    dx[:, :, : g.shape[2]] = g
    return {"x": dx}


def triplet(grad_output, a, p, q):  # the anchor hears of the positive only
    u, v = a - p, a - q
    near, far = u.norm(dim=1, keepdim=True), v.norm(dim=1, keepdim=True)
    g = grad_output * (near - far + 1 >= 0) / a.shape[0]
    return {"a": g * u / near, "p": -g * u / near, "q": g * v / far}


def bce_pos_weight(grad_output, x, t, pw):  # dx without the positives' weight
    k = grad_output / x.numel()
    return {
        "x": k * (torch.sigmoid(x) - t),
        "t": k * (F.logsigmoid(-x) - pw * F.logsigmoid(x)),
        "pw": k * (-t * F.logsigmoid(x)).sum(0),
    }


def glu(grad_output, v, u):  # the gate's sigmoid differentiated as s, not s(1 - s)
    s = torch.sigmoid(u)
    return {"v": grad_output * s, "u": grad_output * v * s}


def squeeze_gate(grad_output, x, z):  # the gate's gradient averaged over positions where they add up
    s = torch.sigmoid(z)
    return {"x": grad_output * s[:, :, None], "z": (grad_output * x).mean(2) * s * (1 - s)}


def rotary(grad_output, x, c, s):  # turned the same way again, not back
    g, h = grad_output[:, 0], grad_output[:, 1]
    x0, x1 = x[:, 0], x[:, 1]
    return {"x": torch.stack([g * c - h * s, g * s + h * c], 1), "c": g * x0 + h * x1, "s": h * x0 - g * x1}


def layer_scale(grad_output, x, W, k):  # dx without what goes straight through the residual
    f = torch.tanh(x @ W.T)
    d = grad_output * k * (1 - f * f)
    return {"x": d @ W, "W": d.T @ x, "k": (grad_output * f).sum(0)}


_ND = _sizes("N", "D")
_NCL = _sizes("N", "C", "L")

SET = (
    Wrong(
        "mish", "y[n,d] := x[n,d]*tanh(softplus(x[n,d]))", {"x": "N D"}, mish,
        "x", ANY, r"sigmoid|σ", _ND,
    ),
    Wrong(
        "prelu", "y[n,c,l] := [x[n,c,l] > 0]*x[n,c,l] + [x[n,c,l] <= 0]*w[c]*x[n,c,l]", {"x": "N C L", "w": "C"}, prelu,
        "w", ANY, r"\bx\S* ?(<|>|≤|≥)|0 ?(<|>|≤|≥)|-x|mask|negative|positive", _NCL,
    ),
    Wrong(
        "group norm",
        "mean[n] := sum(c, l: x[n,c,l])/(C*L); rstd[n] := (sum(c, l: (x[n,c,l] - mean[n])^2)/(C*L) + 1/100000)^(-1/2); "
        "y[n,c,l] := (x[n,c,l] - mean[n])*rstd[n]*w[c] + b[c]",
        {"x": "N C L", "w": "C", "b": "C"}, group_norm,
        "x", ANY, r"divided by L\b|over C.{0,3}L|C×|/ ?C\b", _NCL,
    ),
    Wrong(
        "bilinear", "y[n,o] := sum(p, q: x[n,p]*w[o,p,q]*z[n,q])", {"x": "N P", "w": "O P Q", "z": "N Q"}, bilinear,
        "w", ANY, r"divided by N\b|1/N\b|/ ?N\b|mean over n", _sizes("N", "P", "O", "Q"),
    ),
    Wrong(
        "cosine similarity",
        "na[n] := sum(d: a[n,d]^2)^(1/2); nb[n] := sum(d: b[n,d]^2)^(1/2); y[n] := sum(d: a[n,d]*b[n,d])/(na[n]*nb[n])",
        {"a": "N D", "b": "N D"}, cosine,
        "a", ANY, r"(missing|constant|left out|dropped).*\b(na|norm)|\b(na|norm).*(missing|constant|left out|dropped)",
        _ND,
    ),
    Wrong(
        "normalize", "r[n] := sum(d: x[n,d]^2)^(1/2); y[n,d] := x[n,d]/r[n]", {"x": "N D"}, normalize,
        "x", ANY, r"sign|[-−]1\b.*\br\b|\br\b.*[-−]1\b", _ND,
    ),
    Wrong(
        "logsumexp", "m[n] := max(d: x[n,d]) (no gradient); y[n] := m[n] + log(sum(d: exp(x[n,d] - m[n])))", {"x": "N D"}, logsumexp,
        "x", ANY, r"normali[sz]|softmax|sum ?\(|Σ|divi", _ND,
    ),
    Wrong(
        "std",
        "mean[n] := sum(d: x[n,d])/D; var[n] := sum(d: (x[n,d] - mean[n])^2)/(D - 1); y[n] := var[n]^(1/2)", {"x": "N D"}, std,
        "x", ANY, r"D ?[-−] ?1", _ND,
    ),
    Wrong(
        "softmax over the first axis", "y[n,d] := exp(x[n,d])/sum(m: exp(x[m,d]))", {"x": "N D"}, softmax_rows,
        "x", ANY, r"axis|dim\b|over (n|m|d)\b|along|sum\(", _ND,
    ),
    Wrong(
        "cumsum", "y[n, d < D] := sum(e: [d - e >= 0]*x[n,e])", {"x": "N D"}, cumsum,
        "x", ANY, r"revers|flip|backwards|direction|suffix|from the end|>=|<=|≥|≤|triang|transpos", _ND,
    ),
    Wrong(
        "huber",
        "r[n,d] := x[n,d] - t[n,d]; L := sum(n, d: [r[n,d]^2 <= 1/4]*r[n,d]^2/2 + [r[n,d] > 1/2]*(r[n,d]/2 - 1/8) "
        "+ [-r[n,d] > 1/2]*(-r[n,d]/2 - 1/8))/(N*D)",
        {"x": "N D", "t": "N D"}, huber,
        "x", ANY, r"clip|clamp|1/2|0\.5|1/4|branch|where .*(<|>|≤|≥)", _ND,
    ),
    Wrong(
        "kl divergence", "L := sum(n, d: t[n,d]*log(t[n,d]) - t[n,d]*x[n,d])/N", {"x": "N D", "t": "N D"}, kl_batchmean,
        "x", ANY, r"divided by (N.{0,3})?D\b|1/D\b|/ ?D\b", _ND, {"t": _uniform("N", "D")},
    ),
    Wrong(
        "conv1d", "y[n, o, p < (L - K + 1)] := sum(c, u: x[n,c,p+u]*w[o,c,u])", {"x": "N C L", "w": "O C K"}, conv1d,
        "w", ANY, r"flip|revers|mirror|K ?[-−] ?(1|u)",
        (
            {"N": 3, "C": 2, "L": 11, "O": 5, "K": 3},
            {"N": 3, "C": 3, "L": 8, "O": 3, "K": 3},
            {"N": 4, "C": 2, "L": 16, "O": 8, "K": 4},
        ),
    ),
    Wrong(
        "average pooling", "y[n, c, p < (L//2)] := sum(u < 2: x[n,c,2*p+u])/2", {"x": "N C L"}, avg_pool,
        "x", ANY, r"2×|factor (of )?2|divided by 2|1/2|twice|2 times", _NCL,
    ),
    Wrong(
        "triplet margin",
        "near[m] := sum(i: (a[m,i] - p[m,i])^2)^(1/2); far[m] := sum(i: (a[m,i] - q[m,i])^2)^(1/2); "
        "L := sum(m: (near[m] - far[m] + 1)*[near[m] - far[m] + 1 >= 0])/N",
        {"a": "N D", "p": "N D", "q": "N D"}, triplet,
        "a", ANY, r"(missing|left out|dropped).*(far|\bq\b)|(far|\bq\b).*(missing|left out|dropped)", _ND,
    ),
    Wrong(
        "bce with logits",
        "L := sum(n, d: -pw[d]*t[n,d]*logsigmoid(x[n,d]) - (1 - t[n,d])*logsigmoid(-x[n,d]))/(N*D)",
        {"x": "N D", "t": "N D", "pw": "D"}, bce_pos_weight,
        "x", ANY, r"\bpw\b", _ND, {"t": _uniform("N", "D")},
    ),
    Wrong(
        "glu", "y[n,d] := v[n,d]*sigmoid(u[n,d])", {"v": "N D", "u": "N D"}, glu,
        "u", ANY, r"1 ?[-−] ?|sigmoid\(-|sigmoid|σ", _ND,
    ),
    Wrong(
        "squeeze and excite gate", "y[n,c,l] := x[n,c,l]*sigmoid(z[n,c])", {"x": "N C L", "z": "N C"}, squeeze_gate,
        "z", ANY, r"divided by L\b|1/L\b|/ ?L\b|mean over l", _NCL,
    ),
    Wrong(
        "rotary embedding",
        "y[t,u < 2,d] := [u == 0]*(x[t,0,d]*c[t,d] - x[t,1,d]*s[t,d]) + [u == 1]*(x[t,0,d]*s[t,d] + x[t,1,d]*c[t,d])",
        {"x": "T 2 D", "c": "T D", "s": "T D"}, rotary,
        "x", ANY, r"sign|transpos|[-−]s\b|\bs\b.*negat|revers|inverse", _sizes("T", "D"),
    ),
    Wrong(
        "layer scale with residual", "f[n,d] := tanh(sum(e: x[n,e]*W[d,e])); y[n,d] := x[n,d] + k[d]*f[n,d]",
        {"x": "N D", "W": "D D", "k": "D"}, layer_scale,
        "x", ANY, r"residual|skip|direct|identity|(missing|left out).*(grad_output|y_bar|\bg\b)|(grad_output|y_bar).*missing", _ND,
    ),
)  # fmt: skip


def main() -> None:
    from benchmarks.diagnosis import results, table

    table("unseen", results(SET), verbose=True)


if __name__ == "__main__":
    main()
