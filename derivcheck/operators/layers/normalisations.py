"""Normalisations: mean, reciprocal standard deviation and the normalised value as definitions of their own.

Layer norm: Ba, Kiros & Hinton 2016, eq. 4; batch norm: Ioffe & Szegedy 2015, algorithm 1; group norm: Wu & He 2018;
RMS norm: Zhang & Sennrich 2019, eq. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.terms.build import add, mul, power, size_of, sub
from derivcheck.notation.terms.nodes import Number, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value

_MINUS_HALF = Number(Fraction(-1, 2))


@dataclass(frozen=True)
class MomentsOf:
    """The element ``at``, over the indices ``over``, for each of ``kept``."""

    kept: Sequence[Index]
    over: Sequence[Index]
    at: Sequence[Poly]


def _of_element(at: Sequence[Index], kept: Sequence[Index], over: Sequence[Index]) -> MomentsOf:
    return MomentsOf(kept, over, [i_poly(i) for i in at])


def _moments(
    b: Builder, x: Value, of: MomentsOf, eps: Any, centred: bool = True, native: Spelling | None = None
) -> tuple[Value | None, Value]:
    """``mean`` and ``rstd`` of elements of x; ``native``: torch's call that returns both, behind the normalised value."""
    kept, over, at = of.kept, of.over, of.at
    calls = [replace(native, part=k) if native is not None else None for k in (1, 2)]
    count = power(size_of(numel(i.size for i in over)), -1)
    mean = b.define("mean", kept, mul(count, summation(over, x[tuple(at)])), spelling=calls[0]) if centred else None
    deviation = x[tuple(at)] if mean is None else sub(x[tuple(at)], mean[tuple(kept)])
    variance = mul(count, summation(over, power(deviation, 2)))
    term = power(add(variance, b.number(eps)), _MINUS_HALF)
    rstd = b.define("rstd" if centred else "rrms", kept, term, spelling=calls[1])
    return mean, rstd


def _native(b: Builder, call: str, x: Value, weight: Value | None, bias: Value | None, of: str = "") -> Spelling | None:
    """A call of the input, the weight and the bias, ``{x}``, ``{w}`` and ``{b}``; ``of`` stands behind the last two."""
    names = [x, *(v for v in (weight, bias) if v is not None)]
    slots = ["None" if v is None else f"{{{names.index(v)}}}{of}" for v in (weight, bias)]
    return b.spell(call.replace("{x}", "{0}").replace("{w}", slots[0]).replace("{b}", slots[1]), *names)


def _scaled(value: Term, at: tuple[Any, ...], weight: Value | None, bias: Value | None) -> Term:
    if weight is not None:
        value = mul(value, weight[at])
    return value if bias is None else add(value, bias[at])


@row(
    "aten.layer_norm.default",
    gives="y",
    where="eps > 0",
    samples=[
        sample(floats(2, 3, 5), [5], floats(5), floats(5), 1e-5),
        sample(floats(2, 3, 5), [3, 5], floats(3, 5)),
        sample(floats(7), [7]),
        sample(floats(2, 5), [5], floats(5), floats(5)),
        sample(floats(3, 1), [1], floats(1), floats(1)),
    ],
    textbook="""h[n,c] = grad_output[n,c]*weight[c]
                k[n,c] = (input[n,c] - mean[n])*rstd[n]
                input_bar[n,c] = rstd[n]*(h[n,c] - (sum(e: h[n,e]) + k[n,c]*sum(e: h[n,e]*k[n,e]))/size(c))
                weight_bar[c] = sum(n: grad_output[n,c]*k[n,c])
                bias_bar[c] = sum(n: grad_output[n,c])""",
)
def layer_norm(
    b: Builder,
    input: Value,
    normalized_shape: Sequence[Any],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: Any = 1e-05,
    cudnn_enable: bool = True,
) -> Value:
    """y[*n, *c] = (x[*n, *c] - mean[*n])*rstd[*n]*w[*c] + b[*c]"""
    split = input.rank - len(normalized_shape)
    at = b.indices(input.dims)
    n, c = at[:split], at[split:]
    native = None
    if _plain(eps) and (len(c) == 1 or all(i.size.constant is not None for i in c)):
        native = _native(
            b, f"torch.native_layer_norm({{x}}, {{x}}.shape[-{len(c)}:], {{w}}, {{b}}, {float(eps)!r})", input, weight, bias
        )
    if native is not None:
        native = replace(native, part=0, then=f".flatten(-{len(c)}).squeeze(-1)" if len(c) > 1 else ".squeeze(-1)")
    mean, rstd = _moments(b, input, _of_element(at, n, c), eps, native=native)
    assert mean is not None
    y = _scaled(mul(sub(input[at], mean[n]), rstd[n]), c, weight, bias)
    return b.give(at, y, spelling=native and replace(native, then=""))


def _plain(eps: Any) -> bool:
    return isinstance(eps, (int, float, Fraction))


@row(
    "aten.native_layer_norm.default",
    gives="y",
    where="eps > 0",
    samples=[sample(floats(2, 3, 5), [5], floats(5), floats(5), 1e-5), sample(floats(2, 3), [3], None, None, 1e-3)],
)
def native_layer_norm(
    b: Builder, input: Value, normalized_shape: Sequence[Any], weight: Value | None, bias: Value | None, eps: Any
) -> tuple[Value, Value, Value]:
    """y = layer_norm(x), with mean and rstd as further results that torch lets no gradient through"""
    split = input.rank - len(normalized_shape)
    at = b.indices(input.dims)
    n, c = at[:split], at[split:]
    mean, rstd = _moments(b, input, _of_element(at, n, c), eps)
    assert mean is not None
    y = b.give(at, _scaled(mul(sub(input[at], mean[n]), rstd[n]), c, weight, bias))
    ones = [Index(i.name, as_poly(1)) for i in c]
    return y, b.give((*n, *ones), mean[n], 1, stop=True), b.give((*n, *ones), rstd[n], 2, stop=True)


@row(
    "aten.rms_norm.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 5), [5], floats(5), 1e-6),
        sample(floats(2, 3, 5), [3, 5], floats(3, 5)),
        sample(floats(2, 3), [3]),
        sample(floats(2, 3), [3], floats(3), 1e-5),
    ],
    textbook="""h[n,c] = grad_output[n,c]*weight[c]
                input_bar[n,c] = rrms[n]*(h[n,c] - input[n,c]*rrms[n]^2*sum(e: h[n,e]*input[n,e])/size(c))
                weight_bar[c] = sum(n: grad_output[n,c]*input[n,c]*rrms[n])""",
)
def rms_norm(b: Builder, input: Value, normalized_shape: Sequence[Any], weight: Value | None = None, eps: Any = None) -> Value:
    """y[*n, *c] = x[*n, *c]*rrms[*n]*w[*c]"""
    split = input.rank - len(normalized_shape)
    at = b.indices(input.dims)
    n, c = at[:split], at[split:]
    if eps is None:
        b.assume("eps of rms_norm is float64's, 2^-52")
        eps = Fraction(1, 2**52)
    _, rrms = _moments(b, input, _of_element(at, n, c), eps, centred=False)
    return b.give(at, _scaled(mul(input[at], rrms[n]), c, weight, None))


def _channels(b: Builder, input: Value) -> tuple[tuple[Index, ...], Index, tuple[Index, ...]]:
    if input.rank < 2:
        b.refuse(f"its input has {input.rank} dimensions", "Give it a batch and channels, (N, C, ...)")
    at = b.indices(input.dims)
    return at, at[1], (at[0], *at[2:])


def _batch_norm(
    b: Builder, input: Value, weight: Value | None, bias: Value | None, given: tuple[Value | None, Value | None], eps: Any
) -> Value:
    """By the mean and variance that are given, or else by those of the batch."""
    at, c, over = _channels(b, input)
    mean, var = given
    if mean is None or var is None:
        centre, rstd = _moments(b, input, _of_element(at, (c,), over), eps)
        assert centre is not None
    else:
        centre = mean
        rstd = b.define("rstd", (c,), power(add(var[c], b.number(eps)), _MINUS_HALF))
    return b.give(at, _scaled(mul(sub(input[at], centre[c]), rstd[c]), (c,), weight, bias))


@row(
    "aten.batch_norm.default",
    gives="y",
    where="eps > 0",
    samples=[
        sample(floats(5, 3), floats(3), floats(3), None, None, True, 0.1, 1e-5, False),
        sample(floats(2, 3, 5, 2), None, None, None, None, True, 0.1, 1e-3, False),
        sample(
            floats(2, 3, 5), floats(3), floats(3), floats(3, values="fixed"), floats(3, values="fixed"), False, 0.1, 1e-5, False
        ),
    ],
)
def batch_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: Any,
    eps: Any,
    cudnn_enabled: bool,
) -> Value:
    """y[n, c, *p] = (x[n, c, *p] - mean[c])*rstd[c]*w[c] + b[c], moments of the batch or the running ones"""
    given = (None, None) if training else (running_mean, running_var)
    return _batch_norm(b, input, weight, bias, given, eps)


@row(
    "aten.native_batch_norm.default",
    "aten._native_batch_norm_legit.no_stats",
    gives="y",
    where="eps > 0",
    samples=[
        sample(floats(5, 3), floats(3), floats(3), None, None, True, 0.1, 1e-5, only="aten.native_batch_norm.default"),
        sample(floats(5, 3, 2), floats(3), floats(3), True, 0.1, 1e-5, only="aten._native_batch_norm_legit.no_stats"),
    ],
)
def native_batch_norm(b: Builder, input: Value, weight: Value | None, bias: Value | None, *rest: Any) -> tuple[Value, ...]:
    """y = batch_norm(x), with the moments as further results that carry no gradient"""
    *stats, _momentum, eps = rest
    moments = [v for v in stats if isinstance(v, Value)]
    mean, var = moments if len(moments) == 2 else (None, None)
    training = next((v for v in stats if isinstance(v, bool)), True)
    y = _batch_norm(b, input, weight, bias, (None, None) if training else (mean, var), eps)
    if not training:
        empty = b.indices((as_poly(0),))
        return y, *(b.give(empty, Number(0), k, stop=True) for k in (1, 2))
    at, c, over = _channels(b, input)
    centre, rstd = _moments(b, input, _of_element(at, (c,), over), eps)
    assert centre is not None
    return y, b.give((c,), centre[c], 1, stop=True), b.give((c,), rstd[c], 2, stop=True)


@row(
    "aten.instance_norm.default",
    gives="y",
    where="eps > 0",
    samples=[
        sample(floats(2, 3, 5), floats(3), floats(3), None, None, True, 0.1, 1e-5, False),
        sample(floats(2, 3, 5, 4), None, None, None, None, True, 0.1, 1e-5, False),
        sample(
            floats(2, 3, 5), floats(3), floats(3), floats(3, values="fixed"), floats(3, values="fixed"), False, 0.1, 1e-5, False
        ),
    ],
)
def instance_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    use_input_stats: bool,
    momentum: Any,
    eps: Any,
    cudnn_enabled: bool,
) -> Value:
    """y[n, c, *p] = (x[n, c, *p] - mean[n, c])*rstd[n, c]*w[c] + b[c]"""
    if not use_input_stats:
        return _batch_norm(b, input, weight, bias, (running_mean, running_var), eps)
    at = b.indices(input.dims)
    n, c = at[:2]
    mean, rstd = _moments(b, input, _of_element(at, (n, c), at[2:]), eps)
    assert mean is not None
    return b.give(at, _scaled(mul(sub(input[at], mean[n, c]), rstd[n, c]), (c,), weight, bias))


def _group_norm(
    b: Builder, input: Value, groups: Any, weight: Value | None, bias: Value | None, eps: Any
) -> tuple[Value, Value, Value]:
    """Channels c = g·m + r: the moments are over r and all positions."""
    at = b.indices(input.dims)
    n, c, space = at[0], at[1], at[2:]
    per = input.dims[1] // as_poly(groups)
    g, r = b.indices((as_poly(groups), per), ["g", "r"])
    place = i_poly(g) * per + i_poly(r)
    count = as_poly(groups).constant
    native = None
    if count is not None and _plain(eps):
        sizes = "{x}.shape[0], {x}.shape[1], {x}.shape[2:].numel()"
        native = _native(
            b,
            f"torch.native_group_norm({{x}}.contiguous(), {{w}}, {{b}}, {sizes}, {count}, {float(eps)!r})",
            input,
            weight,
            bias,
            ".contiguous()",  # as of x: the call looks at no strides
        )
    native = native and replace(native, part=0)
    mean, rstd = _moments(b, input, MomentsOf((n, g), (r, *space), [i_poly(n), place, *map(i_poly, space)]), eps, native=native)
    assert mean is not None
    own = i_poly(c) // per
    y = b.give(at, _scaled(mul(sub(input[at], mean[n, own]), rstd[n, own]), (c,), weight, bias), spelling=native)
    return y, mean, rstd


@row(
    "aten.group_norm.default",
    gives="y",
    where="eps > 0",
    samples=[
        sample(floats(2, 6, 5), 3, floats(6), floats(6)),
        sample(floats(2, 6, 3, 2), 2),
        sample(floats(5, 4), 2, floats(4)),
        sample(floats(2, 3, 5), 1, floats(3), floats(3)),
    ],
)
def group_norm(
    b: Builder,
    input: Value,
    num_groups: Any,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: Any = 1e-05,
    cudnn_enabled: bool = True,
) -> Value:
    """y[n, c, *p] = (x[n, c, *p] - mean[n, c//(C/G)])*rstd[n, c//(C/G)]*w[c] + b[c]"""
    return _group_norm(b, input, num_groups, weight, bias, eps)[0]


@row(
    "aten.native_group_norm.default",
    gives="y",
    where="eps > 0",
    samples=[sample(floats(2, 6, 5), floats(6), floats(6), 2, 6, 5, 3, 1e-5)],
)
def native_group_norm(
    b: Builder, input: Value, weight: Value | None, bias: Value | None, N: Any, C: Any, HxW: Any, group: Any, eps: Any
) -> tuple[Value, Value, Value]:
    """y = group_norm(x), with mean and rstd as further results"""
    y, mean, rstd = _group_norm(b, input, group, weight, bias, eps)
    return y, mean, rstd
