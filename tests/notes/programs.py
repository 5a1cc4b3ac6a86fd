"""Derivations to write notes of."""

from __future__ import annotations

from dataclasses import replace

from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.program.program import Program
from derivcheck.notation.text.parse import parse_program

LINEAR_TEXT = "y[n,o] := sum(i: input[n,i]*weight[o,i]) + bias[o]; loss := sum(n, o: (y[n,o] - target[n,o])^2)/(N*out)"
LINEAR_DIMS = {"input": "N in", "weight": "out in", "bias": "out", "target": "N out"}


def pair(
    text: str, dims: dict[str, str] | None = None, parameters: tuple[str, ...] = (), traced: bool = False
) -> tuple[Program, Program]:
    """A forward and its gradient; ``traced`` as an operator's row would have it."""
    p = parse_program(text, dims)
    arguments = tuple(replace(a, role="parameter") if a.name in parameters else a for a in p.arguments)
    definitions = tuple(replace(d, rule="row") if traced else d for d in p.definitions)
    forward = replace(p, arguments=arguments, definitions=definitions)
    return forward, adjoint(forward)


def linear() -> tuple[Program, Program]:
    """Linear and MSE, as traced from torch."""
    return pair(LINEAR_TEXT, LINEAR_DIMS, ("weight", "bias"), traced=True)


ALL = {
    "linear": linear,
    "no loss": lambda: pair(
        "y[n,o] := sum(i: input[n,i]*weight[o,i]) + bias[o]", {k: v for k, v in LINEAR_DIMS.items() if k != "target"}
    ),
    "layer norm": lambda: pair(
        "mean[n] := sum(c: input[n,c])/C; rstd[n] := (sum(c: (input[n,c] - mean[n])^2)/C + 1/100000)^(-1/2);"
        "y[n,c] := (input[n,c] - mean[n])*rstd[n]*weight[c] + bias[c]",
        {"input": "N C", "weight": "C", "bias": "C"},
        ("weight", "bias"),
        traced=True,
    ),
    "attention": lambda: pair(
        "S[n,m] := sum(e: Q[n,e]*K[m,e])/D^(1/2); P[n,m] := exp(S[n,m])/sum(m: exp(S[n,m])); O[n,d] := sum(m: P[n,m]*V[m,d])",
        {"Q": "N D", "K": "M D", "V": "M D"},
    ),
    "perceptron": lambda: pair(
        "y[n,o] := sum(i: input[n,i]*_0_weight[o,i]) + _0_bias[o]; z[n,o] := tanh(y[n,o]);"
        "y_1[n,m] := sum(o: z[n,o]*_2_weight[m,o]) + _2_bias[m]; loss := sum(n, m: (y_1[n,m] - target[n,m])^2)/(M*N)",
        {"input": "N in", "_0_weight": "out in", "_0_bias": "out", "_2_weight": "M out", "_2_bias": "M", "target": "N M"},
        ("_0_weight", "_0_bias", "_2_weight", "_2_bias"),
        traced=True,
    ),
    "scan": lambda: pair("T[k] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k-1]); y := sum(k: T[k]*c[k])", {"a": "K", "c": "K"}),
    "kink": lambda: pair("y[n] := [x[n] > 0]*x[n]^2; z := sum(n: y[n]*exp(-x[n]/2))/N", {"x": "N"}),
    "gather": lambda: pair(
        "e[n,d] := E[ids[n],d]; p := sum(n: log(sum(d: exp(e[n,d]))) - e[n,t[n]])/N",
        {"E": "V D", "ids": "int<V: N", "t": "int<D: N"},
    ),
    "names": lambda: pair(
        "x_1[n] := alpha*x[n] + X[n]*rstd_long[n]; L_2 := sum(n: x_1[n]^2*W[n]*weight[n])",
        {"alpha": "", "x": "N", "X": "N", "rstd_long": "N", "W": "N", "weight": "N"},
    ),
    "two outputs": lambda: pair("y[n] := x[n]^2; z := sum(n: x[n]*w[n])", {"x": "N", "w": "N"}),
}

# -- wider than a page ---------------------------------------------------------
SUM = "longest[n]*alpha[n] + longer[n]*beta[n] + a[n]*longest[n]^2*b[n] - longer[n]*gamma[n]*c[n] + longest[n]*longer[n]*s[n]"
FACTORS = "exp(longest[n]*longer[n])*sin(longest[n]*alpha[n])*cos(longer[n]*beta[n])*tanh(longest[n]*s[n])*log(a[n])"
LONG = (
    f"y[n] := s[n]*(a[n]*exp(alpha[n]) + b[n]*exp(beta[n]) - c[n]*exp(gamma[n])*({SUM}))*(a[n] - b[n])",
    f"y[n] := {FACTORS}*[{SUM} > 0]",
    f"y[n] := [{SUM} > longer[n]*longest[n]*c[n] + longer[n]*b[n]]*a[n]",
    f"y[n] := exp({SUM} + longer[n]*longest[n]*c[n] + longer[n]*b[n])",
)
