"""Gradients that are written in a loop over blocks: the line that ends it early, drops a tail or forgets what was added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc

Given = dict[str, Tensor]


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def f(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


def break_in_range(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(0, x.shape[0], 2):
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
        if i >= 2:
            break
    return {"w": dw}


def break_before(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(0, x.shape[0], 2):
        if i + 2 > len(x):
            break
        dw = dw + x[i : i + 2].T @ grad_output[i : i + 2]
    return {"w": dw}


def break_in_split(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for k, (a, b) in enumerate(zip(x.split(2), grad_output.split(2))):
        if k == 2:
            break
        dw = dw + a.T @ b
    return {"w": dw}


def break_in_while(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw, i = torch.zeros_like(w), 0
    while i < x.shape[0]:
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
        i += 2
        if dw.norm() > 0.5:
            break
    return {"w": dw}


def break_in_list(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    parts = []
    for a, b in zip(torch.chunk(x, 3), torch.chunk(grad_output, 3)):
        parts.append(a.T @ b)
        if len(parts) == 2:
            break
    return {"w": torch.stack(parts).sum(0)}


def returns_inside(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(0, x.shape[0], 2):
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
        return {"w": dw}
    return {}


def skips(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for a, b in zip(x.split(2), grad_output.split(2)):
        if len(a) < 2:
            continue
        dw = dw + a.T @ b
    return {"w": dw}


def only_full(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(0, len(x), 4):
        if i + 4 <= len(x):
            block = x[i : i + 4].T @ grad_output[i : i + 4]
            dw += block
    return {"w": dw}


def put_in_range(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(0, x.shape[0], 2):
        dw = x[i : i + 2].T @ grad_output[i : i + 2]
    return {"w": dw}


def put_in_chunk(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for a, b in zip(torch.chunk(x, 3), torch.chunk(grad_output, 3)):
        block = a.T @ b
        dw = block
    return {"w": dw}


def put_in_while(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw, i = torch.zeros_like(w), 0
    while True:
        dw = x[i : i + 2].T @ grad_output[i : i + 2]
        i += 2
        if i >= len(x):
            break
    return {"w": dw}


def begun_anew(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    for i in range(0, x.shape[0], 2):
        dw = torch.zeros_like(w)
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
    return {"w": dw}


def tail_of_range(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    n, dw = x.shape[0], torch.zeros_like(w)
    for i in range(0, n // 2 * 2, 2):
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
    return {"w": dw}


def tail_of_count(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    B, dw = 2, torch.zeros_like(w)
    for k in range(x.shape[0] // B):
        dw += x[k * B : (k + 1) * B].T @ grad_output[k * B : (k + 1) * B]
    return {"w": dw}


def tail_of_a_name(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    B, n = 3, len(x)
    full = n - n % B
    dw = torch.zeros_like(w)
    for i in range(0, full, B):
        dw.add_(x[i : i + B].T @ grad_output[i : i + B])
    return {"w": dw}


def tail_of_while(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw, i = torch.zeros_like(w), 0
    while i + 2 <= x.shape[0]:
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
        i += 2
    return {"w": dw}


def count_of_while(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    n, B, k = x.shape[0], 4, 0
    dw = torch.zeros_like(w)
    while k < n // B:
        dw += x[k * B : (k + 1) * B].T @ grad_output[k * B : (k + 1) * B]
        k += 1
    return {"w": dw}


def tail_of_a_sum(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    B = 2
    return {"w": sum(x[i : i + B].T @ grad_output[i : i + B] for i in range(0, len(x) - B + 1, B))}  # type: ignore[dict-item]


def last_chunk(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for a, b in zip(x.split(2)[:-1], grad_output.split(2)[:-1]):
        dw += a.T @ b
    return {"w": dw}


def first_block(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(2, x.shape[0], 2):
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
    return {"w": dw}


CASES: list[tuple[Callable[..., Given], str, str]] = [
    (break_in_range, "if i >= 2:", ""),
    (break_before, "if i + 2 > len(x):", ""),
    (break_in_split, "if k == 2:", ""),
    (break_in_while, "if dw.norm() > 0.5:", ""),
    (break_in_list, "if len(parts) == 2:", ""),
    (returns_inside, 'return {"w": dw}', 'return {"w": dw}'),
    (skips, "if len(a) < 2:", ""),
    (only_full, "if i + 4 <= len(x):", ""),
    (put_in_range, "dw = x[", "dw += x["),
    (put_in_chunk, "dw = block", "dw += block"),
    (put_in_while, "dw = x[", "dw += x["),
    (begun_anew, "dw = torch.zeros_like(w)", ""),
    (tail_of_range, "for i in", "range(0, n, 2)"),
    (tail_of_count, "for k in", "range((x.shape[0] + B - 1) // B)"),
    (tail_of_a_name, "full =", "full = n"),
    (tail_of_while, "while", "while i < x.shape[0]:"),
    (count_of_while, "while", "while k < (n + B - 1) // B:"),
    (tail_of_a_sum, "return", "range(0, len(x), B)"),
    (last_chunk, "for a, b", "zip(x.split(2), grad_output.split(2))"),
    (first_block, "for i in", "range(0, x.shape[0], 2)"),
]
DATA = {"x": drawn(7, 3), "w": drawn(3, 2)}


@pytest.mark.parametrize(("backward", "line", "new"), CASES, ids=[c[0].__name__ for c in CASES])
def test_the_line_of_a_loop_and_its_fix(backward: Callable[..., Given], line: str, new: str) -> None:
    row = dc.check(f, DATA, backward, wrt=["w"])["w"]
    assert not row.passed and row.fix is not None
    named = row.lines[0]
    assert named.code.startswith(line) and named.new.find(new) >= 0 and named.gone == (new == ""), named
    assert any(e.line == named.line and (new in e.new if new else not e.new) for e in row.fix.edits), row.fix
    assert row.fix.words == row.diagnosis or "dropped" in str(row.diagnosis), row.diagnosis
    assert "factor 2" not in str(row) and not row.fix.alternatives, row.fix


def whole(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(0, x.shape[0], 2):
        if i >= len(x):
            break
        dw += x[i : i + 2].T @ grad_output[i : i + 2]
    return {"w": dw}


def full_blocks_then_the_tail(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    n = x.shape[0] // 2 * 2
    dw, i = x[n:].T @ grad_output[n:], 0
    while i + 2 <= n:
        dw = dw + x[i : i + 2].T @ grad_output[i : i + 2]
        i += 2
    return {"w": dw}


def the_last_is_all(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for rows in torch.arange(len(x)).split(len(x)):
        dw = x[rows].T @ grad_output[rows]
    return {"w": dw}


@pytest.mark.parametrize("backward", [whole, full_blocks_then_the_tail, the_last_is_all])
def test_a_right_loop_of_the_same_shape_is_left_alone(backward: Callable[..., Given]) -> None:
    report = dc.check(f, DATA, backward, wrt=["w"])
    assert report.passed and report["w"].diagnosis is None and report["w"].fix is None and not report["w"].lines


def test_a_fix_that_drops_lines_leaves_none_empty(tmp_path: Any) -> None:
    row = dc.check(f, DATA, skips, wrt=["w"])["w"]
    text = row.fix.diff()
    assert [x[1:].strip() for x in text.splitlines() if x[:1] in "+-" and x[:3] not in ("+++", "---")] == [
        "if len(a) < 2:",
        "continue",
    ]


def goes_on(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    i, dw = 0, torch.zeros_like(w)
    while i < len(x):
        dw += x[i : i + 4].T @ grad_output[i : i + 4]
        i += 4
    return {"w": dw * 1.25}


def test_an_edit_whose_loop_does_not_end_is_given_up() -> None:
    """``i -= 4``, ``i += 0`` and ``pass`` for ``i += 4`` among others."""
    row = dc.check(f, DATA, goes_on, wrt=["w"])["w"]
    assert row.fix is not None and row.fix.edits[0].new.strip() in ('return {"w": dw * 1.0}', 'return {"w": dw}'), row.fix
    (code,) = [p for p in row._repair().pieces if p.open_ended]
    with pytest.raises(RecursionError, match="does not end"), code.running(code.text.replace("i += 4", "pass")):
        goes_on(torch.ones(7, 2), torch.ones(7, 3), torch.ones(3, 2))
    assert "w" in goes_on(torch.ones(7, 2), torch.ones(7, 3), torch.ones(3, 2))


def of_another_formula(grad_output: Tensor, x: Tensor, w: Tensor) -> Given:
    dw = torch.zeros_like(w)
    for i in range(0, x.shape[0], 2):
        a, g = x[i : i + 2], grad_output[i : i + 2]
        d = torch.atan(0.3 * g + 1.7) / (w.exp() + 2.2).sum(0)
        dw += a.T @ d
    return {"w": dw}


def test_a_line_inside_the_loop_is_named_without_a_fix() -> None:
    row = dc.check(lambda x, w: torch.tanh(x @ w) * (x @ w).exp(), DATA, of_another_formula, wrt=["w"])["w"]
    assert row.lines[0].code.startswith("d ="), row.lines
