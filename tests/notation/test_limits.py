"""Index text just past each limit is refused in a sentence, and just within it is derived; nothing runs without end."""

from __future__ import annotations

import sys

import pytest
import torch

import derivcheck as dc
from derivcheck.notation.integers.polynomials import Index, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ref
from derivcheck.notation.text import limits
from derivcheck.notation.text.dims import parse_dims, parse_input
from derivcheck.notation.text.parse import parse_program

X = {"x": "N"}
MOD = "n % 19" + "".join(f" % {k}" for k in (17, 15, 13, 11, 9, 7, 5, 3, 2))


def nested(levels: int) -> str:
    return "y[n] := " + "exp(0*" * levels + "x[n]" + ")" * levels


def total(addends: int) -> str:
    return "y := " + " + ".join(f"x[{k}]^2" for k in range(addends))


def times(factors: int) -> str:
    return "y[n] := " + "*".join(f"(x[n] + {k})" for k in range(factors))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y[n] := 1e309*x[n]", "the number is about 1e309, beyond float64's range, 1e-308 to 1.8e308"),
        ("y[n] := 1e1000*x[n]", "the number 1e1000 is beyond float64's range"),
        ("y[n] := 1e-1000*x[n]", "the number 1e-1000 is beyond float64's range"),
        ("y[n] := 1e00001*x[n]", "the number 1e00001 is beyond float64's range"),
        (f"y[n] := 0.{'1' * limits.LITERAL}*x[n]", "a number of 702 characters; expected at most 700"),
        (f"y[n] := 0.{'3' * 320}*x[n]", "a quotient of integers beyond float64's range"),
        ("y[n] := 1e200*1e109*x[n]", "the number is about 1e309"),
        ("y[n] := 1e308*x[n] + 1e308*x[n]", "the number is about 1e308"),
        ("y[n] := (1e155*x[n])^2", "the power is a number beyond float64's range"),
        ("y[n] := 2^1024*x[n]", "beyond float64's range"),
        ("y[n] := 2^(2^5)^3*x[n]", "the power is a number beyond float64's range"),
        ("y[n] := (1/3)^700*x[n]", "the number is about 1e-334"),
        ("y[n] := x[n]^1e200^2", "beyond float64's range"),
        ("y[n] := N^17*x[n]", "the exponent of an integer expression is 17; expected at most 16"),
        ("y[n] := x[N^17]*x[n]", "the exponent of an integer expression is 17; expected at most 16"),
        ("y[n] := x[(n + N + 1)^22]*x[n]", "the exponent of an integer expression is 22"),
        ("y[n] := x[9223372036854775808]*x[n]", "an integer beyond 64 bits; sizes and positions are below 2^63"),
        ("y[n] := x[n + 3^64]*x[n]", "an integer beyond 64 bits"),
        ("y[n] := x[4294967296*n*2147483648]*x[n]", "an integer beyond 64 bits"),
        ("y[n < 9223372036854775808] := x[0]*n", "an integer beyond 64 bits"),
        (f"y[n] := x[{MOD}]*x[n]", "multiplied out, the integer expression has more than 256 terms or 4000 characters"),
        (nested(limits.DEPTH), "more than 64 levels inside one another: name parts in definitions of their own"),
        ("y[n] := " + "-" * 66 + "x[n]", "more than 64 levels"),
        ("y[n] := x[n]" + "^x[n]" * 66, "more than 64 levels"),
        ("y[n] := " + "[" * 66 + "x[n]" + " > 0]" * 66, "more than 64 levels"),
        ("y := " + "sum(n: " * 66 + "x[n]" + ")" * 66, "more than 64 levels"),
        (total(limits.ADDENDS + 1), "513 addends; expected at most 512: name parts"),
        (times(limits.FACTORS + 1), "33 factors; expected at most 32: name parts"),
        (f"y[n] := ({times(17)[8:]})*sin(n)*({times(17)[8:].replace('x', 'w')})", "factors, once brackets are opened"),
        ("y[n] := [" + " < ".join(f"x[n] + {k}^(1/2)" for k in range(2, 37)) + "]", "factors, once brackets are opened"),
        (f"y[n] := {'a' * (limits.NAME + 1)}[n]", "a name of 129 characters; expected at most 128"),
        ("y[n] := ℌ[n]", "Python reads the name 'ℌ' as 'H'; expected that spelling"),
        ("ﬁ[n] := x[n]", "Python reads the name 'ﬁ' as 'fi'"),
        ("y[ⅰ] := x[ⅰ]", "Python reads the name 'ⅰ' as 'i'"),
        ("y[n < Nₒ] := x[0]*n", "Python reads the name 'Nₒ' as 'No'"),
        ("y[n] := x[n]\noutput ﬁ", "Python reads the name 'ﬁ' as 'fi'"),
        ("y[n] := x[n]" + " " * limits.TEXT, "index text of 200012 characters; expected at most 200000"),
    ],
)  # fmt: skip
def test_past_a_limit(text: str, says: str) -> None:
    with pytest.raises(limits.Beyond) as caught:
        parse_program(text)
    assert says in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "y[n] := 1e308*x[n] + 1e-308*w[n]",
        "y[n] := 2^1023*x[n] + 0^(2^500) + 1^(2^500)",
        f"y[n] := 0.{'1' * 300}*x[n]",
        "y[n] := x[n]^1e30 + x[n]^(2^63) + N^16*x[n] + x[n]/N^9",
        "y[n] := [x[n] > 1e300]*x[n] + [n < 99999999999999999999]*x[n]",
        "y[n] := x[n]*x[n % 2 % 3]*x[9223372036854775807*(n//N)]",
        nested(limits.DEPTH // 2 - 2),
        "y[n] := " + "(" * 3000 + "x[n]" + ")" * 3000,
        times(limits.FACTORS),
        f"y[n] := x[n]*{'a' * limits.NAME}[n]",
        "é[n] := x[n]*α[n]*权重[n]",
    ],
)
def test_within_the_limits(text: str) -> None:
    d = dc.derive(text)
    numbers = {n: torch.ones(3, dtype=torch.float64) for n in d.program.inputs}
    value, grads = d.compile()(**numbers, grad_output=torch.ones(3, dtype=torch.float64))
    assert value.shape == (3,) and not grads["x"].isnan().any()
    assert str(d) and d.to_latex() and str(dc.derive(str(d.program)).program) == str(d.program)


def test_the_longest_sum() -> None:
    d = dc.derive(total(400), dims=X)
    x = torch.arange(400.0, dtype=torch.float64)
    value, grads = d.compile()(x=x)
    assert value == (x**2).sum() and torch.equal(grads["x"], 2 * x)
    assert parse_program(total(limits.ADDENDS), X).outputs == ("y",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("N^17", "'N^17': the exponent of an integer expression is 17; expected at most 16"),
        ("N^99999999", "the exponent of an integer expression is 99999999; expected at most 16"),
        ("9223372036854775808", "an integer beyond 64 bits"),
        ("2^2^6", "an integer beyond 64 bits"),
        ("*".join(["99999"] * 4), "an integer beyond 64 bits"),
        ("9" * 701, "a number of 701 characters; expected at most 700"),
        ("-" * 66 + "N", "more than 64 levels inside one another"),
        ("+".join("N" * 513), "513 addends; expected at most 512"),
        ("N " * 65, "65 dimensions; torch's tensors have at most 64"),
        ("ℌ", "Python reads the name 'ℌ' as 'H'; expected that spelling"),
        ("ℌ+1 3", "Python reads the name 'ℌ' as 'H'"),
        ("n" * 129, "a name of 129 characters"),
        ("int<2^63: N", "an integer beyond 64 bits"),
    ],
)
def test_dimensions_past_a_limit(text: str, says: str) -> None:
    with pytest.raises(limits.Beyond) as caught:
        parse_input("x", text)
    assert str(caught.value).startswith("dims of 'x': ") and says in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_dimensions_within_the_limits() -> None:
    assert len(parse_dims("N " * 64)) == 64
    assert str(parse_dims("N^16 9223372036854775807")) == "(N^16, 9223372036854775807)"
    assert parse_input("x", "int<" + " " * 300).dims == () and parse_input("x", " int <V : N").dims == (size("N"),)


def test_names_in_dims_and_in_programs() -> None:
    with pytest.raises(dc.InputError, match="Python reads the name 'ﬁ' as 'fi'; expected that spelling"):
        dc.derive("y[n] := fi[n]", dims={"ﬁ": "N"})
    n = Index("n", size("N"))
    program = Program((Input("ﬁ", (n.size,)),), (Definition("y", (n,), ref("ﬁ", n)),), ("y",))
    with pytest.raises(dc.InputError, match="Python reads the name 'ﬁ' as 'fi'"):
        dc.derive(program).source()


def test_deep_expressions_are_generated_in_parts() -> None:
    """A chain of operations deeper than Python's stack: each part of the line has a name."""
    before = sys.getrecursionlimit()  # torch's compiler raises it for good
    sys.setrecursionlimit(1000)
    try:
        d = dc.derive("; ".join(f"y{k}[n] := sin({f'y{k - 1}' if k else 'x'}[n])" for k in range(60)), dims=X)
        assert d.source().count("torch.sin") >= 60
        longest = max(dc.derive(total(300), dims=X).source().splitlines(), key=len)
        assert len(longest) < 200 and sys.getrecursionlimit() == 1000
    finally:
        sys.setrecursionlimit(before)
