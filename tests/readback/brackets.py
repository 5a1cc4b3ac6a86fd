"""Random Programs of brackets over integers and reals."""

from __future__ import annotations

import random

from derivcheck.notation.program.program import Program
from derivcheck.notation.text.parse import parse_program

INTEGERS = "i;j;t[i];i//2;i % 2;(i + j) % 3;(i + 1)//2;2*i;3*j;N;K;1;2;0;i*j;N*j;max(i, j);c;i // 3 % 2;(2*i + j) // 3".split(
    ";"
)
REALS = "x[i];-x[i];x[i] - x[j];2*x[i] + 1;x[i]*x[j];s - x[j];-x[i] - x[j];x[i]^2 - 1/2;-s".split(";")
BRACKETED = {"x": "N", "s": "", "t": "int<K: N", "c": "int<K:"}
FORMS = (
    "y[i,j] := A*x[i] + B",
    "y[i] := sum(j: A*x[j]*B)",
    "y := sum(i, j: A*x[i])*2",
    "y[i,j] := (1 - A)*exp(x[j])*B",
    "y[i] := prod(j: A + x[j])",
)


def condition(r: random.Random) -> str:
    """A bracket over integers or reals."""
    relation = r.choice(["<", "<=", ">", ">=", "==", "!="])
    if r.random() < 0.25:
        return f"[{r.choice(REALS)} {relation} {r.choice(['0', '1', 's', '-1/2', 'x[j]'])}]"
    left, right = (
        " ".join(f"{r.choice('+-')} {r.choice(INTEGERS)}" for _ in range(r.choice([1, 1, 2, 3]))).removeprefix("+ ")
        for _ in "lr"
    )
    return f"[{left} {relation} {right}]"


def bracketed(seed: int) -> Program:
    """A Program of two brackets, one of them perhaps within a sum."""
    r = random.Random(seed)
    text = r.choice(FORMS).replace("A", condition(r)).replace("B", condition(r))
    return parse_program(f"{text}\nz[m] := t[m]*x[m]*s*c", BRACKETED)
