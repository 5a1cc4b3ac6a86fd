# ruff: noqa: E501  (a formula stays on its line)
"""Forwards with backwards as people publish them, and the same with one realistic mistake each.

A backward may use the forward's names and ``grad_output``.  ``wrong`` is a list of replacements ``old → new`` in the right
one, each of them a mistake of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from examples.gallery import LAYERS, Layer


@dataclass(frozen=True)
class Entry:
    """A forward, its inputs' dimensions, a backward, and mistakes in it."""

    name: str
    forward: str
    dims: str
    backward: str
    wrong: tuple[tuple[str, str], ...]

    @property
    def inputs(self) -> dict[str, str]:
        """Dimensions by input."""
        return dict(tuple(map(str.strip, part.split(":", 1))) for part in self.dims.split(";"))  # type: ignore[misc]

    def mistaken(self, k: int) -> str:
        """The backward with the k-th mistake."""
        old, new = self.wrong[k]
        assert self.backward.count(old) >= 1, (self.name, old)
        return self.backward.replace(old, new, 1)


def entry(layer: Layer) -> Entry:
    """A recurrence of the gallery."""
    dims = "; ".join(f"{n}: {d}" for n, d in layer.dims.items())
    return Entry(layer.name, layer.forward, dims, layer.backward, tuple((m.right, m.wrong) for m in layer.mistakes))


LINEAR = "y[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]"
MSE = "\nL := sum(n, o: (y[n,o] - t[n,o])^2)/(N*out)"
SOFTMAX = "p[n,c] := exp(x[n,c])/sum(k: exp(x[n,k]))"
NORM = """mean[n] := sum(c: x[n,c])/C
rstd[n] := (sum(c: (x[n,c] - mean[n])^2)/C + eps)^(-1/2)
y[n,c] := (x[n,c] - mean[n])*rstd[n]*w[c] + b[c]"""
BATCH = """mean[c] := sum(n: x[n,c])/N
var[c] := sum(n: (x[n,c] - mean[c])^2)/N
y[n,c] := g[c]*(x[n,c] - mean[c])*(var[c] + eps)^(-1/2) + b[c]"""
ATTENTION = """S[n,m] := sum(d: q[n,d]*k[m,d])/D^(1/2)
P[n,m] := exp(S[n,m])/sum(j: exp(S[n,j]))
y[n,e] := sum(m: P[n,m]*v[m,e])"""
CAUSAL = """S[n,m] := sum(d: q[n,d]*k[m,d])/D^(1/2)
P[n,m] := [m <= n]*exp(S[n,m])/sum(j: [j <= n]*exp(S[n,j]))
y[n,e] := sum(m: P[n,m]*v[m,e])"""
COMPOSITE = """T[k] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k-1])
w[k] := a[k]*T[k]
C := sum(k: w[k]*c[k])"""
QKV = "q: T D; k: T D; v: T E"

GALLERY = (
    Entry(
        "linear",
        LINEAR,
        "x: N in; W: out in; b: out",
        "x_bar[n,i] := sum(o: grad_output[n,o]*W[o,i]); W_bar[o,i] := sum(n: grad_output[n,o]*x[n,i]); b_bar[o] := sum(n: grad_output[n,o])",
        (
            ("sum(n: grad_output[n,o]*x[n,i])", "sum(n: grad_output[n,o]*x[n,i])/N"),
            ("sum(n: grad_output[n,o])", "sum(n: 2*grad_output[n,o])"),
        ),
    ),
    Entry(
        "linear with MSE",
        LINEAR + MSE,
        "x: N in; W: out in; b: out; t: N out",
        "W_bar[o,i] := 2/(N*out)*sum(n: (y[n,o] - t[n,o])*x[n,i])*grad_output; b_bar[o] := 2/(N*out)*sum(n: y[n,o] - t[n,o])*grad_output",
        (("2/(N*out)", "2/N"), ("y[n,o] - t[n,o]", "t[n,o] - y[n,o]")),
    ),
    Entry(
        "linear with MSE, closed form",
        LINEAR + MSE,
        "x: N in; W: out in; b: out; t: N out",
        """H[i,k] := sum(n: x[n,i]*x[n,k])
W_bar[o,i] := 2/(N*out)*grad_output*(sum(k: W[o,k]*H[k,i]) + b[o]*sum(n: x[n,i]) - sum(n: t[n,o]*x[n,i]))""",
        (("W[o,k]*H[k,i]", "W[o,i]*H[k,k]"), ("+ b[o]*sum(n: x[n,i])", "+ b[o]")),
    ),
    Entry(
        "two-layer MLP with relu",
        "h[n,m] := sum(i: x[n,i]*V[m,i])\na[n,m] := [h[n,m] > 0]*h[n,m]\ny[n,o] := sum(m: a[n,m]*W[o,m])",
        "x: N in; V: hid in; W: out hid",
        """dh[n,m] := [h[n,m] > 0]*sum(o: grad_output[n,o]*W[o,m])
x_bar[n,i] := sum(m: dh[n,m]*V[m,i]); V_bar[m,i] := sum(n: dh[n,m]*x[n,i]); W_bar[o,m] := sum(n: grad_output[n,o]*a[n,m])""",
        (("[h[n,m] > 0]*", ""), ("*a[n,m]", "*h[n,m]")),
    ),
    Entry(
        "two-layer MLP with gelu",
        "h[n,m] := sum(i: x[n,i]*V[m,i])\ny[n,o] := sum(m: gelu(h[n,m])*W[o,m])",
        "x: N in; V: hid in; W: out hid",
        """dg[n,m] := (1 + erf(h[n,m]/2^(1/2)))/2 + h[n,m]*exp(-h[n,m]^2/2)/(2*pi)^(1/2)
x_bar[n,i] := sum(o, m: grad_output[n,o]*W[o,m]*dg[n,m]*V[m,i])""",
        (("h[n,m]*exp", "exp"), ("-h[n,m]^2/2", "-h[n,m]^2")),
    ),
    Entry(
        "two-layer MLP with silu",
        "h[n,m] := sum(i: x[n,i]*V[m,i])\ny[n,o] := sum(m: silu(h[n,m])*W[o,m])",
        "x: N in; V: hid in; W: out hid",
        """s[n,m] := 1/(1 + exp(-h[n,m]))
V_bar[m,i] := sum(n, o: grad_output[n,o]*W[o,m]*s[n,m]*(1 + h[n,m]*(1 - s[n,m]))*x[n,i])""",
        (("1 - s[n,m]", "s[n,m]"), ("(1 + h", "(h")),
    ),
    Entry(
        "softmax",
        SOFTMAX,
        "x: N C",
        "x_bar[n,c] := p[n,c]*(grad_output[n,c] - sum(k: grad_output[n,k]*p[n,k]))",
        (("p[n,c]*(", "("), ("sum(k: grad_output[n,k]*p[n,k])", "sum(k: grad_output[n,k])")),
    ),
    Entry(
        "softmax, by its Jacobian",
        SOFTMAX,
        "x: N C",
        "x_bar[n,c] := sum(k: grad_output[n,k]*(p[n,k]*[k == c] - p[n,k]*p[n,c]))",
        (("- p[n,k]", "+ p[n,k]"), ("*[k == c]", "")),
    ),
    Entry(
        "softmax, by exponentials",
        SOFTMAX,
        "x: N C",
        """Z[n] := sum(k: exp(x[n,k]))
x_bar[n,c] := exp(x[n,c])*grad_output[n,c]/Z[n] - exp(x[n,c])*sum(k: exp(x[n,k])*grad_output[n,k])/Z[n]^2""",
        (("Z[n]^2", "Z[n]"), ("exp(x[n,k])*grad", "grad")),
    ),
    Entry(
        "log_softmax",
        "y[n,c] := x[n,c] - log(sum(k: exp(x[n,k])))",
        "x: N C",
        "x_bar[n,c] := grad_output[n,c] - exp(y[n,c])*sum(k: grad_output[n,k])",
        (("exp(y[n,c])", "y[n,c]"), ("sum(k: grad_output[n,k])", "grad_output[n,c]")),
    ),
    Entry(
        "cross-entropy, mean",
        "L := -sum(n: x[n,t[n]] - log(sum(k: exp(x[n,k]))))/N",
        "x: N C; t: int<C: N>",
        "x_bar[n,c] := grad_output*(exp(x[n,c])/sum(k: exp(x[n,k])) - [c == t[n]])/N",
        (("/N", ""), ("[c == t[n]]", "1")),
    ),
    Entry(
        "cross-entropy, sum",
        "L := -sum(n: x[n,t[n]] - log(sum(k: exp(x[n,k]))))",
        "x: N C; t: int<C: N>",
        "x_bar[n,c] := grad_output*(exp(x[n,c])/sum(k: exp(x[n,k])) - [c == t[n]])",
        (("- [c == t[n]]", "+ [c == t[n]]"),),
    ),
    Entry(
        "cross-entropy, ignore_index",
        "L := -sum(n: [t[n] != 0]*(x[n,t[n]] - log(sum(k: exp(x[n,k])))))/sum(n: [t[n] != 0])",
        "x: N C; t: int<C: N>",
        "x_bar[n,c] := grad_output*[t[n] != 0]*(exp(x[n,c])/sum(k: exp(x[n,k])) - [c == t[n]])/sum(m: [t[m] != 0])",
        (("/sum(m: [t[m] != 0])", "/N"), ("grad_output*[t[n] != 0]", "grad_output")),
    ),
    Entry(
        "cross-entropy, label smoothing",
        "lp[n,c] := x[n,c] - log(sum(k: exp(x[n,k])))\nL := -sum(n: (1 - e)*lp[n,t[n]] + e*sum(c: lp[n,c])/C)/N",
        "x: N C; t: int<C: N>; e:",
        "x_bar[n,c] := grad_output*(exp(lp[n,c]) - (1 - e)*[c == t[n]] - e/C)/N",
        (("- e/C", ""), ("(1 - e)*", "")),
    ),
    Entry(
        "cross-entropy, soft targets",
        "L := -sum(n, c: q[n,c]*(x[n,c] - log(sum(k: exp(x[n,k])))))/N",
        "x: N C; q: N C",
        "x_bar[n,c] := grad_output*(exp(x[n,c])/sum(k: exp(x[n,k]))*sum(k: q[n,k]) - q[n,c])/N",
        (("*sum(k: q[n,k])", ""),),
    ),
    Entry(
        "BCE with logits",
        "L := sum(n: softplus(x[n]) - t[n]*x[n])/N",
        "x: N; t: N",
        "x_bar[n] := grad_output*(sigmoid(x[n]) - t[n])/N",
        (("sigmoid(x[n]) - t[n]", "t[n] - sigmoid(x[n])"), ("sigmoid(x[n])", "sigmoid(-x[n])")),
    ),
    Entry(
        "BCE with logits, as probabilities",
        "p[n] := sigmoid(x[n])\nL := -sum(n: t[n]*log(p[n]) + (1 - t[n])*log(1 - p[n]))/N",
        "x: N; t: N",
        "x_bar[n] := grad_output*(p[n] - t[n])/N",
        (("/N", ""),),
    ),
    Entry(
        "Huber",
        "r[n] := x[n] - t[n]\na[n] := [r[n] > 0]*r[n] - [r[n] < 0]*r[n]\nL := sum(n: [a[n] <= d]*r[n]^2/2 + [a[n] > d]*d*(a[n] - d/2))",
        "x: N; t: N; d:",
        "x_bar[n] := grad_output*([a[n] <= d]*r[n] + [a[n] > d]*d*([r[n] > 0] - [r[n] < 0]))",
        (("*d*([r", "*([r"), ("- [r[n] < 0]", "")),
    ),
    Entry(
        "KL",
        "L := sum(n, c: p[n,c]*(log(p[n,c]) - x[n,c]))/N",
        "p: N C; x: N C",
        "x_bar[n,c] := -grad_output*p[n,c]/N; p_bar[n,c] := grad_output*(log(p[n,c]) + 1 - x[n,c])/N",
        (("+ 1", ""), ("-grad_output*p", "grad_output*p")),
    ),
    Entry(
        "LayerNorm, two means",
        NORM,
        "x: N C; w: C; b: C; eps:",
        """h[n,c] := (x[n,c] - mean[n])*rstd[n]
g[n,c] := grad_output[n,c]*w[c]
x_bar[n,c] := rstd[n]*(g[n,c] - sum(k: g[n,k])/C - h[n,c]*sum(k: g[n,k]*h[n,k])/C)
w_bar[c] := sum(n: grad_output[n,c]*h[n,c]); b_bar[c] := sum(n: grad_output[n,c])""",
        (("- sum(k: g[n,k])/C ", ""), ("rstd[n]*(g[n,c]", "(g[n,c]"), ("- h[n,c]*sum(k: g[n,k]*h[n,k])/C", ""), ("*w[c]", "")),
    ),
    Entry(
        "LayerNorm, as llm.c writes it",
        NORM,
        "x: N C; w: C; b: C; eps:",
        """dm[n] := sum(c: w[c]*grad_output[n,c])/C
dnm[n] := sum(c: w[c]*grad_output[n,c]*(x[n,c] - mean[n])*rstd[n])/C
x_bar[n,c] := (w[c]*grad_output[n,c] - dm[n] - (x[n,c] - mean[n])*rstd[n]*dnm[n])*rstd[n]""",
        (
            ("w[c]*grad_output[n,c]*(x[n,c] - mean[n])*rstd[n])", "w[c]*grad_output[n,c]*(x[n,c] - mean[n]))"),
            ("- dm[n]", "+ dm[n]"),
        ),
    ),
    Entry(
        "LayerNorm, one-pass variance",
        NORM,
        "x: N C; w: C; b: C; eps:",
        """m[n] := sum(c: x[n,c])/C
r[n] := (sum(c: x[n,c]^2)/C - m[n]^2 + eps)^(-1/2)
g[n,c] := grad_output[n,c]*w[c]
x_bar[n,c] := r[n]*(g[n,c] - sum(k: g[n,k])/C) - r[n]^3*(x[n,c] - m[n])*sum(k: g[n,k]*(x[n,k] - m[n]))/C""",
        (("r[n]^3", "r[n]^2"), ("- m[n]^2", "+ m[n]^2")),
    ),
    Entry(
        "RMSNorm",
        "r[n] := (sum(c: x[n,c]^2)/C + eps)^(-1/2)\ny[n,c] := x[n,c]*r[n]*w[c]",
        "x: N C; w: C; eps:",
        "x_bar[n,c] := r[n]*w[c]*grad_output[n,c] - x[n,c]*r[n]^3*sum(k: grad_output[n,k]*w[k]*x[n,k])/C; w_bar[c] := sum(n: grad_output[n,c]*x[n,c]*r[n])",
        (("r[n]^3", "r[n]"), ("*w[k]*x[n,k]", "*x[n,k]")),
    ),
    Entry(
        "RMSNorm, by the normalised",
        "s[n] := (sum(c: x[n,c]^2)/C + eps)^(1/2)\ny[n,c] := x[n,c]/s[n]*w[c]",
        "x: N C; w: C; eps:",
        """h[n,c] := x[n,c]/s[n]
x_bar[n,c] := (w[c]*grad_output[n,c] - h[n,c]*sum(k: w[k]*grad_output[n,k]*h[n,k])/C)/s[n]""",
        (("/C)/s", ")/s"),),
    ),
    Entry(
        "BatchNorm, four steps",
        BATCH,
        "x: N C; g: C; b: C; eps:",
        """dx[n,c] := grad_output[n,c]*g[c]
dvar[c] := sum(n: dx[n,c]*(x[n,c] - mean[c]))*(-1/2)*(var[c] + eps)^(-3/2)
dmean[c] := -sum(n: dx[n,c])*(var[c] + eps)^(-1/2) + dvar[c]*sum(n: -2*(x[n,c] - mean[c]))/N
x_bar[n,c] := dx[n,c]*(var[c] + eps)^(-1/2) + dvar[c]*2*(x[n,c] - mean[c])/N + dmean[c]/N""",
        (("(-3/2)", "(-1/2)"), ("+ dmean[c]/N", "+ dmean[c]"), ("(-1/2)*", "(1/2)*")),
    ),
    Entry(
        "BatchNorm, compact",
        BATCH,
        "x: N C; g: C; b: C; eps:",
        """r[c] := (var[c] + eps)^(-1/2)
h[n,c] := (x[n,c] - mean[c])*r[c]
b_bar[c] := sum(n: grad_output[n,c]); g_bar[c] := sum(n: grad_output[n,c]*h[n,c])
x_bar[n,c] := g[c]*r[c]/N*(N*grad_output[n,c] - sum(m: grad_output[m,c]) - h[n,c]*sum(m: grad_output[m,c]*h[m,c]))""",
        (("N*grad_output", "grad_output"), ("g[c]*r[c]", "r[c]")),
    ),
    Entry(
        "BatchNorm, makemore",
        "m[c] := sum(n: x[n,c])/N\nv[c] := sum(n: (x[n,c] - m[c])^2)/(N - 1)\ns[c] := (v[c] + eps)^(-1/2)\ny[n,c] := g[c]*(x[n,c] - m[c])*s[c] + b[c]",
        "x: N C; g: C; b: C; eps:",
        """h[n,c] := (x[n,c] - m[c])*s[c]
x_bar[n,c] := g[c]*s[c]/N*(N*grad_output[n,c] - sum(k: grad_output[k,c]) - N/(N-1)*h[n,c]*sum(k: grad_output[k,c]*h[k,c]))""",
        (("N/(N-1)*", ""),),
    ),
    Entry(
        "BatchNorm, centred",
        BATCH,
        "x: N C; g: C; b: C; eps:",
        """r[c] := (var[c] + eps)^(-1/2)
u[n,c] := grad_output[n,c]*g[c]*r[c] - (x[n,c] - mean[c])*g[c]*r[c]^3*sum(m: grad_output[m,c]*(x[m,c] - mean[c]))/N
x_bar[n,c] := u[n,c] - sum(m: u[m,c])/N""",
        (("r[c]^3", "r[c]^2"), ("- sum(m: u[m,c])/N", "")),
    ),
    Entry(
        "GroupNorm",
        """mean[n,j] := sum(c, s: x[n,j,c,s])/(C*S)
rstd[n,j] := (sum(c, s: (x[n,j,c,s] - mean[n,j])^2)/(C*S) + eps)^(-1/2)
y[n,j,c,s] := (x[n,j,c,s] - mean[n,j])*rstd[n,j]*w[j,c]""",
        "x: N G C S; w: G C; eps:",
        """h[n,j,c,s] := (x[n,j,c,s] - mean[n,j])*rstd[n,j]
g[n,j,c,s] := grad_output[n,j,c,s]*w[j,c]
x_bar[n,j,c,s] := rstd[n,j]*(g[n,j,c,s] - sum(k, u: g[n,j,k,u])/(C*S) - h[n,j,c,s]*sum(k, u: g[n,j,k,u]*h[n,j,k,u])/(C*S))
w_bar[j,c] := sum(n, s: grad_output[n,j,c,s]*h[n,j,c,s])""",
        (("/(C*S) - h", "/C - h"),),
    ),
    Entry(
        "attention",
        ATTENTION,
        QKV,
        """dP[n,m] := sum(e: grad_output[n,e]*v[m,e])
dS[n,m] := P[n,m]*(dP[n,m] - sum(j: dP[n,j]*P[n,j]))
q_bar[n,d] := sum(m: dS[n,m]*k[m,d])/D^(1/2); k_bar[m,d] := sum(n: dS[n,m]*q[n,d])/D^(1/2); v_bar[m,e] := sum(n: P[n,m]*grad_output[n,e])""",
        (("*k[m,d])/D^(1/2)", "*k[m,d])"), ("- sum(j: dP[n,j]*P[n,j])", ""), ("P[n,m]*grad_output", "P[m,n]*grad_output")),
    ),
    Entry(
        "attention, flash",
        ATTENTION,
        QKV,
        """delta[n] := sum(e: grad_output[n,e]*y[n,e])
dS[n,m] := P[n,m]*(sum(e: grad_output[n,e]*v[m,e]) - delta[n])
q_bar[n,d] := sum(m: dS[n,m]*k[m,d])/D^(1/2); k_bar[m,d] := sum(n: dS[n,m]*q[n,d])/D^(1/2)""",
        (("*y[n,e]", "*v[n,e]"), ("- delta[n]", "- delta[m]")),
    ),
    Entry(
        "attention, causal",
        CAUSAL,
        QKV,
        """lse[n] := log(sum(j: [j <= n]*exp(S[n,j])))
p[n,m] := [m <= n]*exp(S[n,m] - lse[n])
dP[n,m] := sum(e: grad_output[n,e]*v[m,e])
dS[n,m] := p[n,m]*(dP[n,m] - sum(e: grad_output[n,e]*y[n,e]))
q_bar[n,d] := sum(m: dS[n,m]*k[m,d])/D^(1/2); v_bar[m,e] := sum(n: p[n,m]*grad_output[n,e])""",
        (("p[n,m] := [m <= n]*", "p[n,m] := "), ("[m <= n]", "[m < n]")),
    ),
    Entry(
        "attention, grouped queries",
        """S[h,g,n,m] := sum(d: q[h*G+g,n,d]*k[h,m,d])
P[h,g,n,m] := exp(S[h,g,n,m])/sum(j: exp(S[h,g,n,j]))
y[h,g,n,d] := sum(m: P[h,g,n,m]*v[h,m,d])""",
        "q: H*G T D; k: H T D; v: H T D",
        """dS[h,g,n,m] := P[h,g,n,m]*sum(d: grad_output[h,g,n,d]*(v[h,m,d] - y[h,g,n,d]))
k_bar[h,m,d] := sum(g, n: dS[h,g,n,m]*q[h*G+g,n,d]); v_bar[h,m,d] := sum(g, n: P[h,g,n,m]*grad_output[h,g,n,d])""",
        (("q[h*G+g,n,d]", "q[h*G,n,d]"), ("- y[h,g,n,d]", "")),
    ),
    Entry(
        "RoPE",
        "y[n,d,r < 2] := [r == 0]*(x[n,d,0]*c[n,d] - x[n,d,1]*s[n,d]) + [r == 1]*(x[n,d,0]*s[n,d] + x[n,d,1]*c[n,d])",
        "x: T D 2; c: T D; s: T D",
        "x_bar[n,d,r] := [r == 0]*(grad_output[n,d,0]*c[n,d] + grad_output[n,d,1]*s[n,d]) + [r == 1]*(grad_output[n,d,1]*c[n,d] - grad_output[n,d,0]*s[n,d])",
        (("c[n,d] + grad_output[n,d,1]", "c[n,d] - grad_output[n,d,1]"),),
    ),
    Entry(
        "SwiGLU",
        "a[n,m] := sum(i: x[n,i]*U[m,i])\nh[n,m] := sum(i: x[n,i]*V[m,i])\ny[n,m] := silu(a[n,m])*h[n,m]",
        "x: N in; U: M in; V: M in",
        """s[n,m] := sigmoid(a[n,m])
da[n,m] := grad_output[n,m]*h[n,m]*s[n,m]*(1 + a[n,m]*(1 - s[n,m]))
dh[n,m] := grad_output[n,m]*a[n,m]*s[n,m]
x_bar[n,i] := sum(m: da[n,m]*U[m,i] + dh[n,m]*V[m,i]); U_bar[m,i] := sum(n: da[n,m]*x[n,i])""",
        (("*U[m,i] + dh[n,m]*V[m,i]", "*U[m,i] - dh[n,m]*V[m,i]"), ("(1 + a[n,m]*(1 - s[n,m]))", "(1 - s[n,m])")),
    ),
    Entry(
        "GEGLU",
        "y[n] := gelu(a[n])*h[n]",
        "a: N; h: N",
        "a_bar[n] := grad_output[n]*h[n]*((1 + erf(a[n]/2^(1/2)))/2 + a[n]*exp(-a[n]^2/2)/(2*pi)^(1/2)); h_bar[n] := grad_output[n]*a[n]*(1 + erf(a[n]/2^(1/2)))/2",
        (("*h[n]*(", "*("), ("erf(a[n]/2^(1/2)))/2 +", "erf(a[n]))/2 +")),
    ),
    Entry(
        "embedding",
        "y[n,d] := E[ids[n],d]",
        "E: V D; ids: int<V: N>",
        "E_bar[v,d] := sum(n: [ids[n] == v]*grad_output[n,d])",
        (("sum(n: [ids[n] == v]*grad_output[n,d])", "sum(n: [ids[n] == v]*grad_output[n,d])/N"),),
    ),
    Entry(
        "conv1d",
        "y[o,l < L - K + 1] := sum(c, k: x[c,l+k]*w[o,c,k])",
        "x: Cin L; w: Cout Cin K",
        "w_bar[o,c,k] := sum(l: grad_output[o,l]*x[c,l+k]); x_bar[c,a] := sum(o, l: [a - l >= 0]*[a - l < K]*grad_output[o,l]*w[o,c,a-l])",
        (("w[o,c,a-l]", "w[o,c,K-1-a+l]"), ("x[c,l+k]", "x[c,k]")),
    ),
    Entry(
        "conv1d, strided",
        "y[o,l] := sum(c, k: x[c,2*l+k]*w[o,c,k])",
        "x: Cin 2*L+K-2; w: Cout Cin K",
        "w_bar[o,c,k] := sum(l: grad_output[o,l]*x[c,2*l+k]); x_bar[c,a] := sum(o, l: [a - 2*l >= 0]*[a - 2*l < K]*grad_output[o,l]*w[o,c,a-2*l])",
        (("w[o,c,a-2*l]", "w[o,c,K-1-a+2*l]"),),
    ),
    Entry(
        "conv2d",
        "y[n,o,h < H - K + 1,u < U - J + 1] := sum(c, k, j: x[n,c,h+k,u+j]*w[o,c,k,j])",
        "x: N Cin H U; w: Cout Cin K J",
        """w_bar[o,c,k,j] := sum(n, h, u: grad_output[n,o,h,u]*x[n,c,h+k,u+j])
x_bar[n,c,a,b] := sum(o, k, j: [a - k >= 0]*[a - k <= H - K]*[b - j >= 0]*[b - j <= U - J]*grad_output[n,o,a-k,b-j]*w[o,c,k,j])""",
        (("*w[o,c,k,j])", "*w[o,c,j,k])"), ("x[n,c,h+k,u+j]", "x[n,c,k,j]")),
    ),
    Entry(
        "average pool",
        "y[n,l] := sum(k < K: x[n,l*K+k])/K",
        "x: N L*K",
        "x_bar[n,a] := grad_output[n,a//K]/K",
        (("a//K]/K", "a//K]"),),
    ),
    Entry(
        "L2 normalise",
        "s[n] := sum(c: x[n,c]^2)^(1/2)\ny[n,c] := x[n,c]/s[n]",
        "x: N C",
        "x_bar[n,c] := (grad_output[n,c] - y[n,c]*sum(k: grad_output[n,k]*y[n,k]))/s[n]",
        (("/s[n]", ""), ("y[n,c]*sum", "x[n,c]*sum")),
    ),
    Entry(
        "cosine similarity",
        "a[n] := sum(c: x[n,c]^2)^(1/2)\nb[n] := sum(c: z[n,c]^2)^(1/2)\ny[n] := sum(c: x[n,c]*z[n,c])/(a[n]*b[n])",
        "x: N C; z: N C",
        "x_bar[n,c] := grad_output[n]*(z[n,c]/(a[n]*b[n]) - y[n]*x[n,c]/a[n]^2)",
        (("/a[n]^2", "/a[n]"), ("- y[n]*x", "- y[n]*z")),
    ),
    Entry(
        "bilinear",
        "y[n,o] := sum(i, j: x[n,i]*A[o,i,j]*z[n,j])",
        "x: N I; A: O I J; z: N J",
        "A_bar[o,i,j] := sum(n: grad_output[n,o]*x[n,i]*z[n,j]); x_bar[n,i] := sum(o, j: grad_output[n,o]*A[o,i,j]*z[n,j])",
        (("x[n,i]*z[n,j])", "x[n,i]*z[n,j])/N"),),
    ),
    Entry(
        "GRU cell",
        """r[n,h] := sigmoid(sum(i: x[n,i]*Wr[h,i]) + sum(k: s[n,k]*Ur[h,k]))
z[n,h] := sigmoid(sum(i: x[n,i]*Wz[h,i]) + sum(k: s[n,k]*Uz[h,k]))
m[n,h] := sum(k: s[n,k]*Un[h,k])
c[n,h] := tanh(sum(i: x[n,i]*Wn[h,i]) + r[n,h]*m[n,h])
y[n,h] := (1 - z[n,h])*c[n,h] + z[n,h]*s[n,h]""",
        "x: N I; s: N H; Wr: H I; Ur: H H; Wz: H I; Uz: H H; Un: H H; Wn: H I",
        """dz[n,h] := grad_output[n,h]*(s[n,h] - c[n,h])*z[n,h]*(1 - z[n,h])
da[n,h] := grad_output[n,h]*(1 - z[n,h])*(1 - c[n,h]^2)
dr[n,h] := da[n,h]*m[n,h]*r[n,h]*(1 - r[n,h])
Wn_bar[h,i] := sum(n: da[n,h]*x[n,i]); Un_bar[h,k] := sum(n: da[n,h]*r[n,h]*s[n,k])
Wz_bar[h,i] := sum(n: dz[n,h]*x[n,i]); Ur_bar[h,k] := sum(n: dr[n,h]*s[n,k])
s_bar[n,k] := grad_output[n,k]*z[n,k] + sum(h: dr[n,h]*Ur[h,k] + dz[n,h]*Uz[h,k] + da[n,h]*r[n,h]*Un[h,k])""",
        (
            ("s[n,h] - c[n,h]", "c[n,h] - s[n,h]"),
            ("grad_output[n,k]*z[n,k] + ", ""),
            ("da[n,h]*r[n,h]*s[n,k]", "da[n,h]*s[n,k]"),
        ),
    ),
    Entry(
        "LSTM cell",
        """i[n,h] := sigmoid(sum(k: x[n,k]*Wi[h,k]))
f[n,h] := sigmoid(sum(k: x[n,k]*Wf[h,k]))
g[n,h] := tanh(sum(k: x[n,k]*Wg[h,k]))
o[n,h] := sigmoid(sum(k: x[n,k]*Wo[h,k]))
c[n,h] := f[n,h]*s[n,h] + i[n,h]*g[n,h]
y[n,h] := o[n,h]*tanh(c[n,h])""",
        "x: N K; s: N H; Wi: H K; Wf: H K; Wg: H K; Wo: H K",
        """dc[n,h] := grad_output[n,h]*o[n,h]*(1 - tanh(c[n,h])^2)
s_bar[n,h] := dc[n,h]*f[n,h]
Wi_bar[h,k] := sum(n: dc[n,h]*g[n,h]*i[n,h]*(1 - i[n,h])*x[n,k])
Wf_bar[h,k] := sum(n: dc[n,h]*s[n,h]*f[n,h]*(1 - f[n,h])*x[n,k])
Wg_bar[h,k] := sum(n: dc[n,h]*i[n,h]*(1 - g[n,h]^2)*x[n,k])
Wo_bar[h,k] := sum(n: grad_output[n,h]*tanh(c[n,h])*o[n,h]*(1 - o[n,h])*x[n,k])""",
        (("1 - g[n,h]^2", "1 - g[n,h]"), ("dc[n,h]*f[n,h]", "dc[n,h]*i[n,h]"), ("(1 - tanh(c[n,h])^2)", "tanh(c[n,h])")),
    ),
    Entry(
        "quaternion to rotation",
        """s := 2/sum(a: q[a]^2)
R[i < 3,j < 3] := [i == 0]*([j == 0]*(1 - s*(q[2]^2 + q[3]^2)) + [j == 1]*s*(q[1]*q[2] - q[3]*q[0]) + [j == 2]*s*(q[1]*q[3] + q[2]*q[0])) + [i == 1]*[j == 0]*s*(q[1]*q[2] + q[3]*q[0])""",
        "q: 4",
        """g[i < 3,j < 3] := grad_output[i,j]
t := -(q[2]^2 + q[3]^2)*g[0,0] + (q[1]*q[2] - q[3]*q[0])*g[0,1] + (q[1]*q[3] + q[2]*q[0])*g[0,2] + (q[1]*q[2] + q[3]*q[0])*g[1,0]
q_bar[a] := s*([a == 2]*(-2*q[2]*g[0,0] + q[1]*g[0,1] + q[0]*g[0,2] + q[1]*g[1,0]) + [a == 3]*(-2*q[3]*g[0,0] - q[0]*g[0,1] + q[1]*g[0,2] + q[0]*g[1,0]) + [a == 1]*(q[2]*g[0,1] + q[3]*g[0,2] + q[2]*g[1,0]) + [a == 0]*(-q[3]*g[0,1] + q[2]*g[0,2] + q[3]*g[1,0])) - s^2*q[a]*t""",
        (("-2*q[2]*g[0,0]", "-q[2]*g[0,0]"), (" - s^2*q[a]*t", " - s*q[a]*t")),
    ),
    Entry(
        "projected covariance",
        "T[i,k] := sum(j: J[i,j]*W[j,k])\ny[i,l] := sum(k, m: T[i,k]*V[k,m]*T[l,m])",
        "J: 2 3; W: 3 3; V: 3 3",
        """h[i,k] := sum(l, m: (grad_output[i,l]*V[k,m] + grad_output[l,i]*V[m,k])*T[l,m])
J_bar[i,j] := sum(k: h[i,k]*W[j,k]); V_bar[k,m] := sum(i, l: T[i,k]*grad_output[i,l]*T[l,m])""",
        (("grad_output[l,i]*V[m,k]", "grad_output[i,l]*V[k,m]"), ("sum(k: h[i,k]*W[j,k])", "sum(k: h[i,k]*W[k,j])")),
    ),
    Entry(
        "makemore",
        """e[n,b,d] := C[X[n,b],d]
h[n,u] := sum(b, d: e[n,b,d]*W[b,d,u]) + c[u]
m[u] := sum(n: h[n,u])/N
v[u] := sum(n: (h[n,u] - m[u])^2)/(N - 1)
s[u] := (v[u] + 1/100000)^(-1/2)
r[n,u] := (h[n,u] - m[u])*s[u]
a[n,u] := tanh(g[u]*r[n,u] + k[u])
x[n,z] := sum(u: a[n,u]*Z[u,z]) + f[z]
L := -sum(n: x[n,Y[n]] - log(sum(z: exp(x[n,z]))))/N""",
        "C: V D; X: int<V: N B>; W: B D U; c: U; g: U; k: U; Z: U V; f: V; Y: int<V: N>",
        """dx[n,z] := grad_output*(exp(x[n,z])/sum(j: exp(x[n,j])) - [z == Y[n]])/N
da[n,u] := sum(z: dx[n,z]*Z[u,z])
dp[n,u] := (1 - a[n,u]^2)*da[n,u]
dh[n,u] := g[u]*s[u]/N*(N*dp[n,u] - sum(j: dp[j,u]) - N/(N-1)*r[n,u]*sum(j: dp[j,u]*r[j,u]))
de[n,b,d] := sum(u: dh[n,u]*W[b,d,u])
Z_bar[u,z] := sum(n: a[n,u]*dx[n,z]); f_bar[z] := sum(n: dx[n,z])
g_bar[u] := sum(n: dp[n,u]*r[n,u]); k_bar[u] := sum(n: dp[n,u])
W_bar[b,d,u] := sum(n: e[n,b,d]*dh[n,u]); c_bar[u] := sum(n: dh[n,u])
C_bar[w < V,d] := sum(n, b: [X[n,b] == w]*de[n,b,d])""",
        (
            ("N/(N-1)*", ""),
            ("(1 - a[n,u]^2)", "(1 - r[n,u]^2)"),
            ("- [z == Y[n]]", ""),
            ("sum(n, b: [X[n,b] == w]*de[n,b,d])", "sum(n: [X[n,0] == w]*de[n,0,d])"),
        ),
    ),
    Entry(
        "alpha compositing, suffix sum",
        COMPOSITE,
        "a: K; c: K",
        "a_bar[k] := grad_output*(T[k]*c[k] - sum(j: [j > k]*w[j]*c[j])/(1 - a[k])); c_bar[k] := grad_output*w[k]",
        (("[j > k]", "[j >= k]"), ("/(1 - a[k])", ""), ("/(1 - a[k])", "/(1 + a[k])")),
    ),
    Entry(
        "alpha compositing, total less prefix",
        COMPOSITE,
        "a: K; c: K",
        """P[k] := w[k]*c[k] + [k >= 1]*P[k-1]
a_bar[k] := grad_output*(T[k]*c[k] - (C - P[k])/(1 - a[k])); c_bar[k] := grad_output*w[k]""",
        (("C - P[k]", "C - P[k] + w[k]*c[k]"), ("[k >= 1]*P[k-1]", "[k >= 2]*P[k-1]")),
    ),
    *(entry(LAYERS[name]) for name in ("alpha compositing", "decayed sum", "cumulative sum")),
)
