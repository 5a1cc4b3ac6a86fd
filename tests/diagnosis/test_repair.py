"""The line that can be repaired, and the fix, through the public API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc
from derivcheck.errors import InputError
from examples.gallery.norms import layer_norm


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def mse(x: Tensor, w: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return ((x @ w.T + b - t) ** 2).mean()


def mean_over_rows(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor, t: Tensor) -> dict[str, Tensor]:
    y = x @ w.T + b
    e = grad_output * 2 * (y - t) / x.shape[0]
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def tanh(x: Tensor, w: Tensor) -> Tensor:
    return torch.tanh(x @ w.T)


def sign_of_the_slope(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    y = torch.tanh(x @ w.T)
    d = grad_output * (1 + y**2)
    return {"x": d @ w, "w": d.T @ x}


def axis_of_the_sum(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    y = torch.softmax(x, -1)
    return {"x": y * (grad_output - (y * grad_output).sum(0, keepdim=True))}


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def mean_path_left_out(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> dict[str, Tensor]:
    mean = x.mean(-1, keepdim=True)
    rstd = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt()
    hat = (x - mean) * rstd
    h = grad_output * w
    dx = rstd * (h - hat * (h * hat).mean(-1, keepdim=True))
    return {"x": dx, "w": (grad_output * hat).sum(0), "b": grad_output.sum(0)}


def embedding(E: Tensor, ids: Tensor) -> Tensor:
    return E[ids]


def overwritten(grad_output: Tensor, E: Tensor, ids: Tensor) -> dict[str, Tensor]:
    d = torch.zeros_like(E)
    d[ids] = grad_output
    return {"E": d}


def normed(x: Tensor) -> Any:
    return x / x.norm(dim=-1, keepdim=True)


def _length(x: Tensor) -> Any:
    return x.norm(dim=-1, keepdim=True) ** 2


def in_a_helper(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    y = x / _length(x).sqrt()
    return {"x": (grad_output - y * (grad_output * y).sum(-1, keepdim=True)) / _length(x)}


def two_lines(x: Tensor, w: Tensor) -> Tensor:
    return torch.sin(x) * w


def both_wrong(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    dx = grad_output * w * torch.sin(x)
    dw = (grad_output * torch.cos(x)).sum(0)
    return {"x": dx, "w": dw}


def relu_square(x: Tensor) -> Tensor:
    return F.relu(x) ** 2


def no_mask(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    return {"x": 2 * grad_output * x}


XW = {"x": drawn(5, 3), "w": drawn(2, 3)}
CASES: list[tuple[Callable[..., Any], dict[str, Tensor], Callable[..., Any], str, str, str]] = [
    (mse, {**XW, "b": drawn(2), "t": drawn(5, 2)}, mean_over_rows, "e = ", "/ w.shape[0]", "proved"),
    (tanh, XW, sign_of_the_slope, "d = ", "(1 - y**2)", "proved"),
    (softmax, {"x": drawn(4, 3)}, axis_of_the_sum, "return", "sum(1, keepdim=True)", "proved"),
    (layer_norm, {"x": drawn(4, 3), "w": drawn(3), "b": drawn(3) + 1}, mean_path_left_out, "dx = ", "h.mean(-1, keepdim=True)",
     "proved"),
    (embedding, {"E": drawn(4, 3), "ids": torch.tensor([1, 1, 0])}, overwritten, "d[ids] = ", "accumulate=True", "proved"),
    (normed, {"x": drawn(4, 3)}, in_a_helper, "return", "x.norm(", "proved"),
    (relu_square, {"x": drawn(4, 3)}, no_mask, "return", "(x > 0)", "proved"),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "data", "backward", "line", "new", "status"), CASES, ids=[c[2].__name__ for c in CASES])
def test_the_line_and_the_fix(
    forward: Callable[..., Any], data: dict[str, Tensor], backward: Callable[..., Any], line: str, new: str, status: str
) -> None:
    wrt = [n for n in data if n != "t" and data[n].is_floating_point()]
    code = backward.__code__
    report = dc.check(forward, data, backward, wrt=wrt)
    bad = [r for r in report if not r.passed]
    assert bad
    fix = bad[0].fix
    assert fix is not None and fix.status == status, fix
    (edit,) = fix.edits
    assert edit.old.strip().startswith(line) and new in edit.new and edit.file == __file__, edit
    assert linecache_line(edit.file, edit.line) == edit.old.split("\n")[0]
    for row in bad:
        assert row.fix is fix  # it makes every gradient right
        assert any(x.line == edit.line for x in row.lines), row.lines
    assert f"{Path(__file__).name}:{edit.line}" in str(report)
    assert backward.__code__ is code  # the user's function is as it was


def linecache_line(file: str, line: int) -> str:
    return Path(file).read_text(encoding="utf-8").splitlines()[line - 1]


def test_two_mistakes_are_two_edits() -> None:
    report = dc.check(two_lines, {"x": drawn(4, 3), "w": drawn(3)}, both_wrong)
    fix = report["x"].fix
    assert fix is not None and fix is report["w"].fix
    assert [e.new.strip() for e in fix.edits] == [
        "dx = grad_output * w * torch.cos(x)",
        "dw = (grad_output * torch.sin(x)).sum(0)",
    ]
    text = str(report)
    assert all(f"{Path(__file__).name}:{e.line}" in text for e in fix.edits)


def test_an_own_function() -> None:
    class Sigmoid(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            s = x.sigmoid()
            ctx.save_for_backward(s)
            return s

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            (s,) = ctx.saved_tensors
            return g * s * (s - 1)

    before = Sigmoid.backward.__code__
    row = dc.check(Sigmoid, {"x": drawn(4, 3)})["x"]
    assert row.fix is not None and "g * s * (1 - s)" in row.fix.edits[0].new and row.fix.status == "proved", row.fix
    assert Sigmoid.backward.__code__ is before


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return g * w, (g * x).mean(0)


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Any:
        return torch.sin(Scaled.apply(x, self.w))  # type: ignore[no-untyped-call]


def _applied(x: Tensor, w: Tensor) -> Any:
    return Scaled.apply(x, w)  # type: ignore[no-untyped-call]


def test_a_function_inside_a_module_or_a_function() -> None:
    for forward, data in ((Layer(), {"x": drawn(4, 3)}), (_applied, {"x": drawn(4, 3), "w": drawn(3)})):
        row = dc.check(forward, data)["w"]
        assert row.fix is not None and "(g * x).sum(0)" in row.fix.edits[0].new, row.fix


def test_a_proof_has_the_fix() -> None:
    proof = dc.prove(tanh, sign_of_the_slope, dims={"x": "N in", "w": "out in"})
    assert proof.status == "refuted" and proof.fix is not None and proof.fix.status == "proved"
    assert "1 - y**2" in proof.fix.edits[0].new
    assert str(proof).count(f"{Path(__file__).name}:{proof.fix.edits[0].line}") == 2  # of each gradient


def test_no_fix_where_there_is_none() -> None:
    def nonsense(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": torch.sin(3.7 * grad_output) * torch.exp(-(x**4)) + 0.31}

    row = dc.check(lambda x: torch.tanh(x) * 1.7, {"x": drawn(4, 5)}, nonsense)["x"]
    assert row.fix is None and row.diagnosis is None


def test_a_right_backward_has_none() -> None:
    row = dc.check(torch.sin, {"input": drawn(3)}, lambda grad_output, input: {"input": grad_output * input.cos()})["input"]
    assert row.passed and row.fix is None and row.lines == ()


def test_a_fix_that_only_random_data_forgives_is_none() -> None:
    def divided(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": 2 * grad_output * (x.prod(-1, keepdim=True) / x)}

    row = dc.check(lambda x: x.prod(-1, keepdim=True), {"x": drawn(4, 3)}, divided)["x"]
    assert row.fix is None  # half of it divides by 0 where an input is 0


def test_the_forward_is_not_mended() -> None:
    def f(x: Tensor) -> Tensor:
        return helper(x) * x

    def helper(x: Tensor) -> Tensor:
        return torch.sin(x)

    def b(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output * f(x)}

    row = dc.check(f, {"x": drawn(4)}, b)["x"]
    fixed = row.fix
    assert fixed is None or all("return {" in e.old for e in fixed.edits)


WRONG = """import torch


def forward(x, w):
    return torch.tanh(x @ w.T)


def backward(grad_output, x, w):
    y = torch.tanh(x @ w.T)
    d = grad_output * (1 + y**2)
    return {"x": d @ w, "w": d.T @ x}
"""


def mended(folder: Path, text: str = WRONG) -> Any:
    path = folder / "layer.py"
    path.write_text(text, encoding="utf-8", newline="")
    scope: dict[str, Any] = {}
    exec(compile(text, str(path), "exec"), scope)
    return dc.check(scope["forward"], XW, scope["backward"])["x"].fix


def test_a_fix_is_a_diff_and_is_written(tmp_path: Path) -> None:
    fix = mended(tmp_path)
    assert "-    d = grad_output * (1 + y**2)\n+    d = grad_output * (1 - y**2)\n" in fix.diff()
    (tmp_path / "layer.py.orig").write_text("mine", encoding="utf-8")
    assert fix.write() == {tmp_path / "layer.py": tmp_path / "layer.py.orig1"}
    assert (tmp_path / "layer.py").read_text(encoding="utf-8") == WRONG.replace("1 + y", "1 - y")
    assert (tmp_path / "layer.py.orig1").read_text(encoding="utf-8") == WRONG
    assert (tmp_path / "layer.py.orig").read_text(encoding="utf-8") == "mine"
    with pytest.raises(InputError, match="has changed since it was read"):
        fix.write()


def test_a_file_that_changed_is_not_written(tmp_path: Path) -> None:
    fix = mended(tmp_path)
    path = tmp_path / "layer.py"
    path.write_text(WRONG + "\n# more\n", encoding="utf-8")
    for call in (fix.write, fix.diff):
        with pytest.raises(InputError, match=r"layer.py has changed since it was read"):
            call()
    assert path.read_text(encoding="utf-8") == WRONG + "\n# more\n" and not (tmp_path / "layer.py.orig").exists()


def test_lines_keep_their_ends(tmp_path: Path) -> None:
    fix = mended(tmp_path, WRONG.replace("\n", "\r\n"))
    fix.write()
    assert (tmp_path / "layer.py").read_bytes() == WRONG.replace("1 + y", "1 - y").replace("\n", "\r\n").encode()


def test_code_that_reaches_beyond_torch_is_not_tried() -> None:
    ran: list[int] = []

    def b(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        ran.append(x.data_ptr())
        return {"x": 2 * grad_output}

    row = dc.check(torch.sin, {"input": drawn(3)}, lambda grad_output, input: {"input": b(grad_output, input)["x"]})["input"]
    before = len(ran)
    assert row.fix is None
    assert len(ran) - before < 30  # it was run as it is, and with no edit


def focal(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    pt = torch.where(y == 1, p, 1 - p)
    return -((1 - pt) ** 2 * torch.log(pt)).mean()


def side_left_out(grad_output: Tensor, z: Tensor, y: Tensor) -> dict[str, Tensor]:
    p = torch.sigmoid(z)
    pt = torch.where(y == 1, p, 1 - p)
    dpt = (1 - pt) ** 2 / pt - 2 * (1 - pt) * torch.log(pt)
    return {"z": -grad_output * dpt * p * (1 - p) / z.numel()}  # where y is 0, dpt/dz has the other sign


def test_a_fix_is_right_for_labels_that_the_data_do_not_have() -> None:
    """With labels of 0 alone, to turn every sign looks right."""
    fix = dc.check(focal, {"z": drawn(6), "y": torch.zeros(6, dtype=torch.float64)}, side_left_out)["z"].fix
    assert fix is None or all(" y" in e.new.partition("#")[0] for one in (fix, *fix.alternatives) for e in one.edits), str(fix)


def grouped(q: Tensor, k: Tensor) -> Tensor:
    return q * k.repeat_interleave(q.shape[0] // k.shape[0], dim=0)


def grouped_the_wrong_way(grad_output: Tensor, q: Tensor, k: Tensor) -> dict[str, Tensor]:
    each = q.shape[0] // k.shape[0]
    return {"q": grad_output * k.repeat_interleave(each, dim=0), "k": (grad_output * q).reshape(each, k.shape[0], -1).sum(0)}


def test_sizes_that_stayed_at_the_examples_are_no_proof() -> None:
    fix = dc.check(grouped, {"q": drawn(4, 3), "k": drawn(2, 3)}, grouped_the_wrong_way)["k"].fix
    assert fix is None or fix.status == "agrees"
