"""How the backward behaves rather than what it computes: it writes into its inputs, misreads strides, changes its mind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Array, Scene, _array
from derivcheck.tracing.program.copies import same_layout


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
    inputs = {k: same_layout(v) for k, v in case.inputs.items()}
    upstream = {k: same_layout(v) for k, v in case.upstream.items()}
    versions = {k: v._version for k, v in {**inputs, **upstream}.items()}
    try:
        first = _of(case.backward(inputs, upstream), scene.name)
        touched = _touched(case.inputs, inputs) + _touched(case.upstream, upstream)
        restored = [k for k, v in {**inputs, **upstream}.items() if v._version != versions[k] and k not in touched]
        if touched:
            later = "" if not scene.wrong else ", and what is read from it afterwards is wrong"
            yield Guess(
                "in_place",
                f"the backward writes into {' and '.join(touched)}, in place{later}: work on a copy",
                _found,
                certain=True,
            )
        elif restored and not scene.wrong:
            words = f"the backward writes into {' and '.join(restored)}, and puts back what was there: work on a copy"
            yield Guess("in_place", words, _found, certain=True)
        fresh = {k: same_layout(v) for k, v in case.inputs.items()}
        second = _of(case.backward(fresh, {k: same_layout(v) for k, v in case.upstream.items()}), scene.name)
        if first is not None and second is not None and not (first.shape == second.shape and scene.near(first, second)):
            yield Guess(
                "state",
                "the same call twice gives two gradients: the backward keeps something from its last call, or is random",
                _found,
                certain=True,
            )
        yield from _strides(scene)
    except Exception:
        return


def _strides(scene: Scene) -> Iterator[Guess]:
    """What is right on the same numbers laid out one after the other."""
    case = scene.case
    given = {**case.inputs, **case.upstream}
    odd = [k for k, v in given.items() if not v.is_contiguous() or v.storage_offset()]
    if case.backward is None or not odd or not scene.wrong:
        return
    if not _right_on(scene, {k: v.clone(memory_format=torch.contiguous_format) for k, v in given.items()}):
        return
    name = next((k for k in odd if not given[k].is_contiguous()), odd[0])
    if not _right_on(scene, {k: _from_within(v) for k, v in given.items()}):
        words = f"wrong only where {name} starts inside its storage: its storage_offset is ignored; call .clone() first"
    else:
        what = "expanded" if 0 in given[name].stride() else "not contiguous"
        words = f"wrong only where {name} is {what}: its strides are ignored; call .contiguous() first"
    yield Guess("strides", words, _found, certain=True)


def _right_on(scene: Scene, given: Mapping[str, Tensor]) -> bool:
    """Whether the backward is right on the same numbers, laid out like this."""
    assert scene.case.backward is not None
    inputs, upstream = ({k: given[k] for k in part} for part in (scene.case.inputs, scene.case.upstream))
    again = _of(scene.case.backward(inputs, upstream), scene.name)
    return again is not None and scene.near(again, scene.right, 1.0)


def _from_within(t: Tensor) -> Tensor:
    """The same numbers one after the other, not from the start of their memory."""
    flat = t.reshape(-1)
    return torch.cat([flat[:1], flat])[len(flat[:1]) :].view(t.shape)


def _found(scene: Scene) -> Array | None:
    return scene.found


def _of(result: Mapping[str, Tensor | None], name: str) -> Array | None:
    value = result.get(name)
    return None if value is None else _array(value).copy()


def _touched(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    return [k for k, v in before.items() if not torch.equal(torch.nan_to_num(v.double()), torch.nan_to_num(after[k].double()))]
