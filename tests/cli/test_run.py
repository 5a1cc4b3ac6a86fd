"""``derivcheck run``: the tutorial's case, real data, the user's own gradient, bad input."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_diabetes, load_linnerud
from torch import nn
from typer.testing import CliRunner, Result

from derivcheck.cli.app import app
from derivcheck.cli.run import least_squares
from derivcheck.training import plots
from derivcheck.training.contraction import contraction
from derivcheck.training.data import read_table
from derivcheck.training.plan import RunOptions, prepare
from derivcheck.training.train import train

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = ["derivation.md", "derivation.tex", "fit.png", "gradients.py", "history.csv", "loss.png", "report.json"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)], env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("tutorial") / "out"
    return run("--out", out), out


@pytest.fixture(scope="module")
def linnerud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's bundled exercise data: 20 men, 3 exercises, 3 measurements."""
    d = load_linnerud()
    return written(
        tmp_path_factory.mktemp("data") / "linnerud.csv",
        d.feature_names + d.target_names,
        torch.cat([torch.tensor(d.data), torch.tensor(d.target)], 1).tolist(),
    )


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's bundled diabetes data: 442 patients, 10 features, one target."""
    d = load_diabetes()
    return written(
        tmp_path_factory.mktemp("data") / "diabetes.csv",
        [*d.feature_names, "progression"],
        [[*map(float, row), float(t)] for row, t in zip(d.data, d.target)],
    )


def written(path: Path, header: list[str], rows: list[list[float]]) -> Path:
    with path.open("w", newline="") as f:
        csv.writer(f).writerows([header, *rows])
    return path


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


# -- the tutorial's own case -----------------------------------------------------------------------------------------


def test_the_parts_come_in_order_within_80_columns(tutorial: tuple[Result, Path]) -> None:
    result, _ = tutorial
    assert result.exit_code == 0, result.output
    places = [result.output.index(f"\n{k}  ") for k in range(1, 6)]
    assert places == sorted(places)
    assert max(map(len, result.output.splitlines())) <= 80
    for word in ("SymPy", "autograd", "differences", "bound", "verdict", "weight", "bias", "least squares", "Adam"):
        assert word in result.output
    assert "Traceback" not in result.output


def test_it_answers_the_tutorials_question(tutorial: tuple[Result, Path]) -> None:
    """x = 0, 1/99, …, 1: the Hessian of the loss is 2·[[mean x², mean x], [mean x, 1]]."""
    result, out = tutorial
    x = torch.linspace(0, 1, 100, dtype=torch.float64)
    m1, m2 = float(x.mean()), float(x.square().mean())
    values = torch.linalg.eigvalsh(2 * torch.tensor([[m2, m1], [m1, 1.0]], dtype=torch.float64)).tolist()
    told = report(out)["contraction"]
    assert told["eigenvalues"] == pytest.approx(values, rel=1e-12)
    slow = max(abs(1 - 0.1 * v) for v in values)
    assert told["slowest_contraction_per_epoch"] == pytest.approx(slow)
    assert told["largest_stable_lr"] == pytest.approx(2 / values[1])
    flat = " ".join(result.output.split())
    assert f"leaves {slow:.4g} of the slowest direction's error" in flat
    assert f"{slow**50:.2g} of it is left after 50 epochs, {slow**300:.2g} after 300" in flat
    assert f"largest stable lr is {2 / values[1]:.3g}" in flat


def test_the_first_two_runs_agree_to_rounding(tutorial: tuple[Result, Path]) -> None:
    found = report(tutorial[1])
    assert found["first_two_runs_differ_by"]["parameters"] < 1e-13
    assert list(found["runs"]) == ["derived, SGD", "autograd, SGD", "derived, Adam"]
    assert found["fits"]["true"] == {"weight": [[2.0]], "bias": [1.0]}


def test_the_files(tutorial: tuple[Result, Path]) -> None:
    _, out = tutorial
    assert sorted(p.name for p in out.iterdir() if p.name != "__pycache__") == FILES
    for name in ("fit.png", "loss.png"):
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and (out / name).stat().st_size > 10_000
    rows = list(csv.reader((out / "history.csv").open()))
    assert rows[0] == ["epoch", "derived_sgd", "autograd_sgd", "derived_adam"] and len(rows) == 51
    assert [float(r[1]) for r in rows[1:]] == report(out)["runs"]["derived, SGD"]["losses"]
    assert r"\begin{document}" in (out / "derivation.tex").read_text() and "$" in (out / "derivation.md").read_text()


def test_the_written_gradients_need_torch_alone_and_are_right(tutorial: tuple[Result, Path]) -> None:
    _, out = tutorial
    code = "import sys, torch, gradients; assert not any(m.split('.')[0] in ('derivcheck', 'sympy') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=out, check=True, timeout=120)
    spec = importlib.util.spec_from_file_location("gradients_of_a_run", out / "gradients.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x, y = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)
    layer = nn.Linear(3, 2, dtype=torch.float64)
    loss = nn.functional.mse_loss(layer(x), y)
    loss.backward()
    value, grads = module.forward_and_gradients(input=x, weight=layer.weight.detach(), bias=layer.bias.detach(), target=y)
    assert torch.allclose(value, loss.detach()) and torch.allclose(grads["weight"], layer.weight.grad)


def test_its_own_folder_is_written_again_and_another_is_not(tutorial: tuple[Result, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(tutorial[1], out, ignore=shutil.ignore_patterns("__pycache__"))  # another test imports from it
    assert run("--out", out, "--epochs", "2").exit_code == 0
    (out / "history.csv").write_text("mine")
    (out / "fit.png").unlink()
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    refused = run("--out", out)
    assert refused.exit_code == 2 and {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert "history.csv is there and was changed since derivcheck wrote it; name another folder" in refused.stderr
    assert run("--out", out, "--epochs", "2", "--force").exit_code == 0
    assert run("--out", out, "--epochs", "2").exit_code == 0, "what was overwritten is its own now"


def test_the_gradient_and_the_data_are_never_written(linnerud: Path, tmp_path: Path) -> None:
    mine = tmp_path / "gradients.py"
    shutil.copy(EXAMPLES / "tutorial_gradient.py", mine)
    shutil.copy(linnerud, tmp_path / "history.csv")
    for words, name in (
        (["--gradient", f"{mine}:tutorial"], "gradients.py"),
        (["--data", tmp_path / "history.csv", "--target", "Weight"], "history.csv"),
    ):
        before = (tmp_path / name).read_bytes()
        refused = run(*words, "--out", tmp_path, "--force")
        assert refused.exit_code == 2 and f"{name} is read by this command and is never overwritten" in refused.stderr
        assert (tmp_path / name).read_bytes() == before


def test_the_same_seed_gives_the_same_run(tutorial: tuple[Result, Path], tmp_path: Path) -> None:
    assert run("--out", tmp_path).exit_code == 0
    assert (tmp_path / "history.csv").read_text() == (tutorial[1] / "history.csv").read_text()
    assert (tmp_path / "fit.png").read_bytes() == (tutorial[1] / "fit.png").read_bytes()


def test_three_hundred_epochs_come_close(tmp_path: Path) -> None:
    """What the tutorial's own answer says: with 300 epochs little is left."""
    assert run("--out", tmp_path, "--epochs", "300").exit_code == 0
    found = report(tmp_path)
    w, best = found["fits"]["derived, SGD"]["weight"][0][0], found["fits"]["least squares"]["weight"][0][0]
    assert abs(w - best) <= 3 * found["contraction"]["error_left_after_300"]


# -- real data -------------------------------------------------------------------------------------------------------


def close_to_least_squares(path: Path, targets: list[str], part: float = 1e-9) -> None:
    """Train as long as the contraction asks for, and compare with torch.linalg.lstsq within what it leaves.

    After E steps of θ ← θ − lr·(∇ + δ) on a quadratic with slowest contraction ρ: ‖θ_E − θ*‖ ≤ ρ^E ‖θ₀ − θ*‖ + what the
    rounding of the gradient (‖δ‖, the check's own bound, largest at the start) and of the update leave: (lr‖δ‖ + u‖θ‖)/(1 − ρ).
    """
    table = read_table(path, targets, standardize=True)
    torch.manual_seed(0)
    model = nn.Linear(table.x.shape[1], table.y.shape[1], dtype=torch.float64)
    plan = prepare(model, nn.MSELoss(), table.x, table.y, RunOptions(device="cpu"))
    tensors = plan.setting.tensors(plan.x, plan.y)
    first = contraction(plan.setting.derivation, [(1.0, tensors)], ("weight", "bias"), 0.1)
    assert first is not None
    told = plan.contraction(first.best_lr)
    assert told is not None and told.quadratic and told.flat == 0
    epochs = int(told.steps_for(part))
    (w, b), _ = least_squares(table.x, table.y)
    best = torch.cat([w.reshape(-1), b])
    start = torch.cat([model.weight.detach().reshape(-1), model.bias.detach()])
    history = train(model, nn.MSELoss(), table.x, table.y, lr=told.lr, epochs=epochs, device="cpu")
    noise = math.sqrt(len(best)) * max(row.tolerance for row in history.reports[0])
    u = torch.finfo(torch.float64).eps
    rounding = (told.lr * noise + 4 * u * float(best.norm())) / (1 - told.slowest)
    tolerance = told.left(epochs) * float((start - best).norm()) + rounding
    assert tolerance < 1e-6 * float(best.norm()), "the tolerance says something"
    end = torch.cat([model.weight.detach().reshape(-1), model.bias.detach()])
    assert float((end - best).norm()) <= tolerance


def test_linnerud_reaches_least_squares(linnerud: Path) -> None:
    close_to_least_squares(linnerud, ["Weight", "Waist", "Pulse"])


def test_diabetes_reaches_least_squares(diabetes: Path) -> None:
    close_to_least_squares(diabetes, ["progression"])


def test_linnerud_by_the_command(linnerud: Path, tmp_path: Path) -> None:
    options = ["--target", "Weight", "--target", "Waist", "--target", "Pulse", "--standardize"]
    result = run("--data", linnerud, *options, "--epochs", "60", "--lr", "0.5", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
    found = report(tmp_path)
    assert found["data"] == {
        "name": "linnerud.csv",
        "rows": 20,
        "features": ["Chins", "Situps", "Jumps"],
        "targets": ["Weight", "Waist", "Pulse"],
    }
    # features of mean 0 decouple the bias, whose least squares are the means of the targets
    d = load_linnerud()
    assert found["fits"]["least squares"]["bias"] == pytest.approx(d.target.mean(0).tolist())
    assert "original_units" in found["fits"]["least squares"]


def test_chosen_features_in_batches_with_adam_in_float32(diabetes: Path, tmp_path: Path) -> None:
    columns = ["--target", "progression", "--feature", "bmi", "--feature", "bp", "--standardize"]
    result = run(
        "--data",
        diabetes,
        *columns,
        "--epochs",
        "3",
        "--batch-size",
        "100",
        "--optimizer",
        "adam",
        "--dtype",
        "float32",
        "--device",
        "cpu",
        "--seed",
        "7",
        "--gradient",
        "autograd",
        "--out",
        tmp_path,
    )
    assert result.exit_code == 0, result.output
    found = report(tmp_path)
    assert list(found["runs"]) == ["autograd, Adam", "derived, Adam", "autograd, SGD"]
    assert [c["sizes"]["N"] for c in found["check"]] == [100, 42], "the last, shorter batch is checked too"
    assert len(found["fits"]["least squares"]["weight"][0]) == 2


# -- the user's own gradient -----------------------------------------------------------------------------------------


def test_the_tutorials_gradient_trains_its_own_case(tmp_path: Path, tutorial: tuple[Result, Path]) -> None:
    result = run("--gradient", f"{EXAMPLES}/tutorial_gradient.py:tutorial", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "was taken as (1, 1)" in result.output, "the reshape is said"
    mine, theirs = report(tmp_path)["fits"]["tutorial, SGD"], report(tutorial[1])["fits"]["derived, SGD"]
    assert mine["weight"][0] == pytest.approx(theirs["weight"][0], rel=1e-12)


def test_the_tutorials_gradient_is_refused_on_real_data(linnerud: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        "--data",
        linnerud,
        "--target",
        "Weight",
        "--target",
        "Waist",
        "--gradient",
        f"{EXAMPLES}/tutorial_gradient.py:tutorial",
        "--out",
        out,
    )
    assert result.exit_code == 1
    assert "weight" in result.stderr and "(2, 4)" in result.stderr and "no step was taken" in result.stderr
    assert "Traceback" not in result.output
    assert list(out.iterdir()) == [], "nothing is written"


def test_dividing_by_rows_trains_for_one_output_and_is_refused_for_two(linnerud: Path, tmp_path: Path) -> None:
    gradient = f"{EXAMPLES}/tutorial_gradient.py:divides_by_rows"
    common = ["--data", str(linnerud), "--standardize", "--epochs", "2", "--out", str(tmp_path), "--gradient", gradient]
    assert run(*common, "--target", "Weight").exit_code == 0
    assert run(*common, "--target", "Weight", "--target", "Waist").exit_code == 1


# -- bad input -------------------------------------------------------------------------------------------------------


def test_divergence_exits_2_and_keeps_what_was_learned(tmp_path: Path) -> None:
    result = run("--lr", "1e30", "--out", tmp_path)
    assert result.exit_code == 2
    assert "the loss is inf" in result.stderr and "largest stable lr" in result.stderr and "lr was 1e+30" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
    kept = report(tmp_path)["runs"]["derived, SGD"]
    assert 0 < kept["epochs"] < 50 and all(map(math.isfinite, kept["losses"])) and kept["diverged"]


def test_divergence_on_raw_columns_names_the_cure(linnerud: Path, tmp_path: Path) -> None:
    words = ["--data", linnerud, "--target", "Weight", "--out", tmp_path]
    raw = run(*words)
    assert raw.exit_code == 2
    assert raw.stderr.startswith("derivcheck: the columns are in their own units; bring them to one scale with --standardize: ")
    assert run(*words, "--standardize").exit_code == 0
    scaled = run(*words, "--standardize", "--lr", "1e30")
    assert scaled.exit_code == 2 and "--standardize" not in scaled.stderr


def test_numbers_whose_squares_overflow_are_told(tmp_path: Path) -> None:
    data = written(tmp_path / "data.csv", ["a", "y"], [[k * 1e160, (k % 3) * 1e160] for k in range(1, 9)])
    result = run("--data", data, "--target", "y", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "the loss is inf" in result.stderr and "--standardize" in result.stderr
    assert report(tmp_path / "out")["least_loss"] == "inf"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "LINNERUD", "--target", "Weight", "--sep", ";"], "if commas separate them, say so with --sep ','"),
        (["--data", "nowhere.csv", "--target", "y"], "nowhere.csv: there is no such file"),
        (["--data", "LINNERUD", "--target", "Wieght"], "--target 'Wieght' is not a column; did you mean 'Weight'?"),
        (["--data", "LINNERUD"], "no target; name a column with --target"),
        (["--target", "y"], "--target, --feature and --standardize go with --data"),
        (["--lr", "0"], "lr is 0.0; expected a positive number"),
        (["--lr", "nan"], "lr is nan; expected a positive number"),
        (["--gradient", "numeric"], "--gradient 'numeric' is not known"),
        (["--gradient", "nowhere.py:f"], "--gradient: there is no file nowhere.py"),
        (["--gradient", "EXAMPLES/tutorial_gradient.py:tutoriel"], "has no 'tutoriel'; did you mean 'tutorial'?"),
        (["--gradient", "torch:pi"], "is a float; expected a function"),
        (["--out", "LINNERUD/out"], "cannot be written"),
        *([] if torch.cuda.is_available() else [(["--device", "cuda"], "device 'cuda' is not there; this machine has cpu")]),
    ],
    ids=lambda v: "-".join(v)[:40] if isinstance(v, list) else None,
)
def test_bad_input_is_one_sentence_and_exit_2(arguments: list[str], sentence: str, linnerud: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filled = [a.replace("LINNERUD", str(linnerud)).replace("EXAMPLES", str(EXAMPLES)) for a in arguments]
    result = run(*([] if "--out" in filled else ["--out", str(out)]), *filled)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr and result.stderr.count("\n") == 1
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [["--epochs", "0"], ["--optimizer", "sdg"], ["--device", "gpu"], ["--epochs", "x"], ["--batch-size", "0"], ["--nothing"]],
)
def test_bad_usage_exits_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2 and "Traceback" not in result.output


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.filterwarnings("error")
def test_columns_named_in_chinese_and_with_dollars(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[0.1 * k, 0.2 * k + 0.01 * (k % 3)] for k in range(12)]
    data = written(tmp_path / "a.csv", [r"身高 $\foo$", "price_$"], rows)
    if not there:  # no font but matplotlib's own
        monkeypatch.setattr(plots, "findSystemFonts", list)
        monkeypatch.setattr(plots, "_EAST_ASIAN", ())
    result = run("--data", data, "--target", "price_$", "--epochs", "2", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    boxes = plots.fonts(["身高"])[1]
    assert (f"No installed font has {boxes}; boxes stand for it" in result.output) == bool(boxes) and (there or boxes == "身高")
    assert (tmp_path / "out" / "fit.png").stat().st_size > 5000


def test_a_run_that_is_saved_and_goes_on(tmp_path: Path) -> None:
    rows = [[0.1 * k, 0.2 * k + 0.01 * (k % 3)] for k in range(12)]
    data = written(tmp_path / "a.csv", ["x", "y"], rows)
    options = ["--data", data, "--target", "y", "--batch-size", "5"]
    whole = run(*options, "--epochs", "6", "--out", tmp_path / "whole")
    assert run(*options, "--epochs", "4", "--checkpoint-every", "2", "--out", tmp_path / "parts").exit_code == 0
    result = run(*options, "--epochs", "6", "--resume", "--out", tmp_path / "parts")
    assert whole.exit_code == result.exit_code == 0, result.output
    assert (tmp_path / "parts" / "history.csv").read_bytes() == (tmp_path / "whole" / "history.csv").read_bytes()
    other = run(*options, "--epochs", "6", "--lr", "0.2", "--resume", "--out", tmp_path / "parts")
    assert other.exit_code == 2 and "of another run: lr is 0.1 there and 0.2 here" in " ".join(other.output.split())


def test_a_checkpoint_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    torch.save({"mine": torch.ones(2)}, tmp_path / "out" / "checkpoint-1.pt")
    before = (tmp_path / "out" / "checkpoint-1.pt").read_bytes()
    result = run("--epochs", "2", "--checkpoint-every", "1", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "checkpoint-1.pt is there and was not written by derivcheck" in " ".join(
        result.output.split()
    )
    assert (tmp_path / "out" / "checkpoint-1.pt").read_bytes() == before and len(list((tmp_path / "out").iterdir())) == 1


def test_the_first_line_comes_before_anything_is_loaded() -> None:
    code = (
        "import sys\nfrom derivcheck.cli import loading\n"
        "said = loading.typer.echo\n"
        "def echo(*a, **k):\n    said(*a, **k)\n"
        "    print([m for m in ('torch', 'sympy', 'numpy') if m in sys.modules], flush=True)\n"
        "    sys.exit(0)\n"
        "loading.typer.echo = echo\nsys.argv = ['derivcheck', 'run', '--data', 'there.csv']\n"
        "from derivcheck.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["derivcheck run: there.csv", "[]"], done.stdout + done.stderr


def in_their_own_units(folder: Path) -> Path:
    """Heights in centimetres, incomes in thousands: the loss is a narrow valley."""
    torch.manual_seed(0)
    path = folder / "units.csv"
    rows = [(170 + 8 * a, 30 + 9 * b, 60 + 7 * a + 4 * c) for a, b, c in torch.randn(40, 3).tolist()]
    path.write_text("height,income,weight\n" + "".join(f"{h:.1f},{i:.2f},{w:.1f}\n" for h, i, w in rows))
    return path


def test_columns_in_their_own_units_name_standardize_first(tmp_path: Path) -> None:
    data = ["run", "--data", str(in_their_own_units(tmp_path)), "--target", "weight", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*data, "--lr", "3e-5", "--epochs", "20"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    first, hessian = said.index("--standardize brings them to one scale"), said.index("The Hessian of the loss")
    assert first < hessian
    assert re.search(r"an epoch of gradient descent leaves 0\.9999\d+ of the slowest", said), said
    assert "Adam is far from done: a step moves a parameter by about lr, so 20 steps of 3e-05 go 0.0006 at most" in said
    assert "or --standardize." in said
    scaled = CliRunner().invoke(app, [*data, "--standardize", "--epochs", "20"], env={"COLUMNS": "80"})
    assert scaled.exit_code == 0 and "brings them to one scale" not in scaled.output
    apart = CliRunner().invoke(app, data, env={"COLUMNS": "80"})
    assert apart.exit_code == 2
    assert "the columns are in their own units; bring them to one scale with --standardize: the run" in apart.stderr


def test_a_large_table_is_taken_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivcheck.cli.run.LARGE", 30)
    monkeypatch.setattr("derivcheck.cli.run.BATCH", 7)
    monkeypatch.setattr("derivcheck.cli.run.ROWS", 11)
    data = ["run", "--data", str(in_their_own_units(tmp_path)), "--target", "weight", "--standardize", "--epochs", "2"]
    result = CliRunner().invoke(app, [*data, "--out", str(tmp_path / "out")], env={"COLUMNS": "80"})
    assert result.exit_code == 0 and "40 rows are taken in batches of 7; --batch-size N says otherwise" in result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert all(r["batch_size"] == 7 for r in report["runs"].values())


def test_least_squares_by_blocks_is_that_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.randn(50, 3, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    one = torch.cat([x, torch.ones(50, 1, dtype=torch.float64)], 1)
    right = torch.linalg.lstsq(one, y).solution
    for rows in (1, 7, 1000):
        monkeypatch.setattr("derivcheck.cli.run.ROWS", rows)
        (weight, bias), loss = least_squares(x, y)
        assert torch.allclose(torch.cat([weight.T, bias[None]]), right, rtol=1e-11, atol=1e-12)
        assert loss == pytest.approx(float((one @ right - y).square().mean()), rel=1e-12)
    (weight, _), loss = least_squares(torch.ones(40, 2), torch.ones(40, 1))  # the shortest of many
    assert loss < 1e-20 and torch.allclose(weight, torch.full((1, 2), 1 / 3, dtype=torch.float64))


def test_a_loss_beyond_what_an_axis_holds_is_drawn() -> None:
    assert plots.loss_png({"a": [1.0, 1e200, 1e300]}).startswith(b"\x89PNG")
