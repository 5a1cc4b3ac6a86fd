"""How the backward behaves rather than what it computes: it writes into its inputs, misreads strides, changes its mind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from derivcheck.diagnosis.case import same_layout
from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Array, Scene, _array


def _in_place(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    x.mul_(grad_output)
    return {"x": grad_output * w, "w": x.sum(0)}


EXAMPLE = Example(
    forward="y[n,c] := x[n,c]*w[c]",
    dims={"x": "N C", "w": "C"},
    parameter="x",
    right="x_bar[n,c] := grad_output[n,c]*w[c]",
    wrong=_in_place,
    says="writes into x",
)
STRIDES = Example(
    forward="y[n,c] := x[n,c]^3",
    dims={"x": "N C"},
    parameter="x",
    right="x_bar[n,c] := 3*grad_output[n,c]*x[n,c]^2",
    wrong=lambda grad_output, x: {"x": 3 * x**2 * torch.as_strided(grad_output, x.shape, (x.shape[1], 1))},
    says="contiguous",
    transposed=True,
)


def behaviour(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Findings of running the backward again on the very same values."""
    case = scene.case
    if case.backward is None:
        return
    inputs = {k: v.clone() for k, v in case.inputs.items()}
    upstream = {k: same_layout(v) for k, v in case.upstream.items()}
    try:
        first = _of(case.backward(inputs, upstream), scene.name)
        touched = _touched(case.inputs, inputs) + _touched(case.upstream, upstream)
        if touched:
            later = "" if not scene.wrong else ", and what is read from it afterwards is wrong"
            yield Guess(
                "in_place",
                f"the backward writes into {' and '.join(touched)}, in place{later}: work on a copy",
                _found,
                certain=True,
            )
        fresh = {k: v.clone() for k, v in case.inputs.items()}
        second = _of(case.backward(fresh, {k: same_layout(v) for k, v in case.upstream.items()}), scene.name)
        if first is not None and second is not None and not (first.shape == second.shape and scene.near(first, second)):
            yield Guess(
                "state",
                "the same call twice gives two gradients: the backward keeps something from its last call, or is random",
                _found,
                certain=True,
            )
        for name, value in case.upstream.items():
            if not scene.wrong or value.is_contiguous():
                continue
            plain = {k: v.clone(memory_format=torch.contiguous_format) for k, v in case.upstream.items()}
            again = _of(case.backward({k: v.clone() for k, v in case.inputs.items()}, plain), scene.name)
            if again is not None and scene.near(again, scene.right, 1.0):
                what = "expanded" if 0 in value.stride() else "not contiguous"
                yield Guess(
                    "strides",
                    f"wrong only where {name} is {what}: its strides are ignored; call .contiguous() first",
                    _found,
                    certain=True,
                )
            break
    except Exception:
        return


def _found(scene: Scene) -> Array | None:
    return scene.found


def _of(result: Mapping[str, Tensor | None], name: str) -> Array | None:
    value = result.get(name)
    return None if value is None else _array(value).copy()


def _touched(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    return [k for k, v in before.items() if not torch.equal(torch.nan_to_num(v.double()), torch.nan_to_num(after[k].double()))]
