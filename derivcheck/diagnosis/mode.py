"""Batch norm in the wrong mode: the formula of training where the statistics are constants, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from torch import Tensor

from derivcheck.derivation.sweep import adjoint
from derivcheck.diagnosis.guess import Example, Guess, reread
from derivcheck.diagnosis.scene import Scene
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import div, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Add, Number, Pow, Ref
from derivcheck.notation.terms.substitute import rename, summation
from derivcheck.notation.terms.walk import subterms

EXAMPLE = Example(
    forward="y[n,c] := (x[n,c] - running_mean[c])*(running_var[c] + 1/1000)^(-1/2)",
    dims={"x": "N C", "running_mean": "C", "running_var": "C"},
    parameter="x",
    right="x_bar[n,c] := grad_output[n,c]*(running_var[c] + 1/1000)^(-1/2)",
    wrong=lambda grad_output, x, running_mean, running_var: {"x": _training(grad_output, x)},
    says="eval",
    special={
        "running_var": [1.5, 0.7, 2.0],
        "running_mean": [0.1, 0.2, 0.3],
        "x": [[1.0, -2.0, 0.5], [3.0, -1.0, 2.0], [0.2, 0.4, -0.7], [0.3, 1.1, 0.9]],
    },
)
GIVEN = replace(
    EXAMPLE,
    wrong=lambda grad_output, x, running_mean, running_var: {"x": _through_given(grad_output, x, running_mean, running_var)},
    says="as if they were the mean and the variance",
)


def _through_given(g: Tensor, x: Tensor, m: Tensor, v: Tensor) -> Tensor:
    r = (v + 1e-3).rsqrt()
    k = (x - m) * r
    return r * (g - g.mean(0) - k * (g * k).mean(0))


def _training(grad_output: Tensor, x: Tensor) -> Tensor:
    r = (x.var(0, unbiased=False) + 1e-3).rsqrt()
    k = (x - x.mean(0)) * r
    return r * (grad_output - grad_output.mean(0) - k * (grad_output * k).mean(0))


def mode(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Statistics that are inputs, computed from the batch instead; statistics of the batch, taken as constants."""
    program = scene.case.forward
    means, variances = _statistics(program)
    for d in program.definitions:
        for x in dict.fromkeys(t for t in subterms(d.term) if isinstance(t, Ref)):
            own = dict(zip(program.dims(x.name), x.at))
            for m in means:
                for v in variances:
                    if m.name == x.name or v.name == x.name or not set(program.dims(m.name)) < set(own):
                        continue
                    for unbiased in (False, True):
                        other = _of_the_batch(program, x.name, m.name, v.name, unbiased)
                        yield reread(
                            "mode",
                            f"the formula of training in eval mode: {m.name} and {v.name} are constants, not the batch's own",
                            other,
                        )
                        yield _with_given_values(program, scene.name, x.name, m, v, other)
    defined = [d for d in program.definitions if d.kind == "float" and d.name in _names(program)]
    for k, d in enumerate(defined):
        for e in defined[k + 1 :]:
            stopped = tuple(replace(f, stop=True) if f is d or f is e else f for f in program.definitions)
            yield reread(
                "mode",
                f"the formula of eval mode in training: {d.name} and {e.name} depend on the input, and are taken as constants",
                replace(program, definitions=stopped),
            )


def _with_given_values(program: Program, name: str, x: str, m: Ref, v: Ref, training: Program) -> Guess:
    """The gradient through the statistics of the batch, with the values of those that are given.

    A published formula has no path of the mean through the variance (``Σ(x − mean)`` is 0 in training), so the mean is
    held constant in the variance.
    """
    mean, variance, *rest = training.definitions
    held = Definition(f"{m.name}_held", mean.indices, ref(m.name, *mean.indices), stop=True)
    inside = rename(variance.term, {m.name: held.name})
    back = adjoint(replace(training, definitions=(mean, held, replace(variance, term=inside), *rest)), [name])
    given = tuple(Input(n, program.dims(n)) for n in (m.name, v.name))
    definitions = tuple(d for d in back.definitions if d.name not in (m.name, v.name))
    words = f"the formula of training in eval mode: {m.name} and {v.name} are constants, and a gradient flows through them"
    words += f" as if they were the mean and the variance of {x}"
    known = Program((*back.arguments, *given), definitions, back.outputs)
    return Guess("mode", words, lambda s: s.evaluated(known), key=known.definitions)


def _names(program: Program) -> set[str]:
    return {d.name for d in program.definitions if any(t.kind == "sum" for t in subterms(d.term) if hasattr(t, "kind"))} | {
        d.name for d in program.definitions if isinstance(d.term, Pow)
    }


def _statistics(program: Program) -> tuple[list[Ref], list[Ref]]:
    """Inputs that are subtracted, and those under a root with something added: a mean and a variance that are given."""
    given = set(program.inputs)
    means: dict[Ref, None] = {}
    variances: dict[Ref, None] = {}
    for d in program.definitions:
        for t in subterms(d.term):
            if isinstance(t, Pow) and isinstance(t.exponent, Number) and t.exponent.value in (Fraction(-1, 2), Fraction(1, 2)):
                variances.update(dict.fromkeys(r for r in subterms(t.base) if isinstance(r, Ref) and r.name in given))
            elif isinstance(t, Add):
                for a in t.args:
                    means.update(dict.fromkeys(r for r in a.children if isinstance(r, Ref) and r.name in given))
    return [m for m in means if m not in variances], list(variances)


def _of_the_batch(program: Program, x: str, m: str, v: str, unbiased: bool) -> Program:
    """The forward with the given statistics replaced by those of the batch."""
    dims = program.dims(x)
    kept = program.dims(m)
    indices = [Index(f"s{k}", p) for k, p in enumerate(dims)]
    own = tuple(next(i for i in indices if i.size is p) for p in kept)
    over = [i for i in indices if i not in own]
    count = Poly(((((), 1)),))
    for i in over:
        count = count * i.size
    below = size_of(count - 1 if unbiased else count)
    mean = Definition(m, own, div(summation(over, ref(x, *indices)), size_of(count)))
    spread = summation(over, power(sub(ref(x, *indices), ref(m, *own)), 2))
    variance = Definition(v, own, div(spread, below))
    arguments = tuple(a for a in program.arguments if a.name not in (m, v))
    plain = tuple(replace(d, spelling=None) for d in program.definitions)
    return replace(program, arguments=arguments, definitions=(mean, variance, *plain))
