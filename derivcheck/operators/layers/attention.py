"""Scaled dot-product attention as its definitions: scores, the softmax over keys, the weighted sum of values.

Vaswani et al. 2017, eq. 1; grouped heads as in Ainslie et al. 2023 (GQA): query head h reads key head h // (H/G).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.polynomials import Poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, div, func, mul, neg, power, size_of, sub
from derivcheck.notation.terms.nodes import Number, Term
from derivcheck.notation.terms.substitute import extremum, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import bools, floats, row, sample
from derivcheck.operators.language.values import Value, broadcast_dims, spread, where

_HALF = Fraction(-1, 2)


@row(
    "aten.scaled_dot_product_attention.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 5, 4), floats(2, 3, 7, 4), floats(2, 3, 7, 6)),
        sample(floats(5, 4), floats(7, 4), floats(7, 4), scale=0.3),
        sample(floats(2, 3, 5, 4), floats(2, 3, 5, 4), floats(2, 3, 5, 4), None, 0.0, True),
        sample(floats(2, 5, 4), floats(2, 7, 4), floats(2, 7, 4), floats(5, 7)),
        sample(floats(2, 3, 5, 4), floats(2, 3, 7, 4), floats(2, 3, 7, 4), floats(2, 1, 5, 7)),
        sample(floats(2, 3, 5, 4), floats(2, 3, 7, 4), floats(2, 3, 7, 4), bools(5, 7)),
        sample(floats(2, 6, 5, 4), floats(2, 2, 7, 4), floats(2, 2, 7, 4), enable_gqa=True),
    ],
)
def scaled_dot_product_attention(
    b: Builder,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: Any = 0.0,
    is_causal: bool = False,
    *,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Value:
    """y[*n, t, e] = sum(s: P[*n, t, s]*v[*n, s, e]), P = softmax(scale*sum(d: q[*n, t, d]*k[*n, s, d]) + mask)"""
    if dropout_p != 0:
        b.refuse(
            "dropout_p is not 0",
            "Apply dropout to the attention weights with a mask of your own, or evaluate with dropout_p=0.",
        )
    lead = broadcast_dims(query.dims[:-2], key.dims[:-2] if not enable_gqa else ())
    n = b.indices(lead)
    t = b.index(query.dims[-2], "t")
    s = b.index(key.dims[-2], "s")
    d = b.index(query.dims[-1], "d")
    factor: Term = power(size_of(query.dims[-1]), Number(_HALF)) if scale is None else b.number(scale)

    def heads(x: Value) -> tuple[Poly, ...]:
        """The leading positions in keys and values: grouped heads share one."""
        places = list(spread(x.dims[:-2], n))
        if enable_gqa:
            places[-1] = i_poly(n[-1]) // (query.dims[-3] // x.dims[-3])
        return tuple(places)

    scores = mul(factor, summation([d], mul(query[(*spread(query.dims[:-2], n), t, d)], key[(*heads(key), s, d)])))
    keep: Term | None = None
    if attn_mask is not None:
        b.assume("the mask leaves no row without a key (torch gives 0 there)")
        place = spread(attn_mask.dims, (*n, t, s))
        if attn_mask.kind == "bool":
            keep = attn_mask.mask(*place)
        else:
            scores = add(scores, attn_mask[place])
    if is_causal:
        keep = bracket(">=", i_poly(t) - i_poly(s))
    if keep is not None:
        scores = where(keep, scores, neg(func("inf")))
    table = b.define("scores", (*n, t, s), scores)
    top = b.define("top", (*n, t), extremum("max", [s], table[(*n, t, s)]), stop=True)
    r = b.index(key.dims[-2], "r")
    weight = func("exp", sub(table[(*n, t, s)], top[(*n, t)]))
    total = summation([r], func("exp", sub(table[(*n, t, r)], top[(*n, t)])))
    p = b.define("P", (*n, t, s), div(weight, total), spelling=b.spell("torch.softmax({}, dim=-1)", table))
    e = b.index(value.dims[-1], "e")
    return b.give((*n, t, e), summation([s], mul(p[(*n, t, s)], value[(*heads(value), s, e)])))
