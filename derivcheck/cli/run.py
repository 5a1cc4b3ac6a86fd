"""``derivcheck run``: derive, generate, check, train three times, and say what came out and why."""

from __future__ import annotations

import copy
import json
import math
import platform
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import sympy
import torch
from torch import nn

from derivcheck import __version__
from derivcheck.checking.report.report import Report
from derivcheck.cli.outcome import Fit, Outcome, Settings, differences
from derivcheck.cli.screen import Screen
from derivcheck.cli.target import files_of, load_target
from derivcheck.derived import Derivation
from derivcheck.errors import InputError, UnverifiedGradientError
from derivcheck.files import REPORT, Outputs, digest, marked, usable_folder, written_by_us
from derivcheck.training.csv_file import CsvFormat
from derivcheck.training.data import Table, read_table
from derivcheck.training.device import choose_device
from derivcheck.training.group import Group, launched
from derivcheck.training.history import History, histories_csv
from derivcheck.training.plan import Plan, RunOptions, prepare
from derivcheck.training.plots import fit_png, fonts, loss_png
from derivcheck.training.train import train

LARGE, BATCH = 200_000, 4096  # rows beyond which a step does not take all of them, but so many
ROWS = 1 << 18  # of the table that are looked at together
FILES = (REPORT, "fit.png", "loss.png", "derivation.md", "derivation.tex", "gradients.py", "history.csv")


def main_job(settings: Settings, force: bool = False) -> int:
    """The whole job, in this process or in those of torchrun; returns the exit status (2 where the learning rate diverged, with
    all files written)."""
    with launched(settings.device) as group:
        return _job(settings, force, group)


def _job(settings: Settings, force: bool, group: Group) -> int:
    """The whole job in one process of the group: each has rows of its own, and rank 0 shows and writes."""
    screen = Screen(quiet=not group.writes)
    with group.agreed():
        saved = [p for p in map(settings.checkpoint, (1, 2, 3)) if p is not None]
        named = [*(settings.out / name for name in FILES), *saved]
        outputs = Outputs([(path, "--out") for path in named], partial(_read, settings), force, what="folder")
        outputs.ask()
        own = _own_gradient(settings.gradient)
        dtype = getattr(torch, settings.dtype)
        place = choose_device(settings.device, dtype)
        table, true = _data(settings, dtype)
        if len(table.x) < group.world:
            raise InputError(f"{table.name} has {len(table.x)} rows for {group.world} ranks; start no more ranks than rows")
        if group.writes:
            usable_folder(settings.out)
    torch.manual_seed(settings.seed)
    model = nn.Linear(table.x.shape[1], table.y.shape[1], dtype=dtype)
    gradient: str | Callable[..., Any] = own or settings.gradient

    size = settings.batch_size
    if size is None and len(table.x) > LARGE:
        size = BATCH
        screen.note(f"{len(table.x):,} rows are taken in batches of {BATCH}; --batch-size N says otherwise")
    options = RunOptions(settings.lr, settings.epochs, size, place, gradient)
    x, y = (_own_rows(t, group) for t in (table.x, table.y))
    plan = prepare(copy.deepcopy(model), nn.MSELoss(), x, y, options)
    derivation = plan.setting.derivation
    sizes = {"N": plan.batch_size, "in": table.x.shape[1], "out": table.y.shape[1]}
    screen.derivation(derivation, sizes)
    screen.code(derivation.source())
    try:
        reports = plan.verify(settings.seed)
    except UnverifiedGradientError as e:
        screen.check(e.report, plan.name)
        raise
    screen.check(reports[0 if group.world == 1 else -1], plan.name)  # of several ranks, all rows that were looked at

    outcome = _train(settings, screen, model, plan, (table, true), options)
    if not group.writes:
        return 2 if next(iter(outcome.histories.values())).diverged else 0
    screen.outcome(outcome, settings)
    files = _files(settings, derivation, reports, outcome)
    written = outputs.write({settings.out / name: content for name, content in files.items()})
    screen.files(settings.out, written, fonts([*table.features, *table.targets])[1])
    first = next(iter(outcome.histories.values()))
    if first.diverged:
        raw = settings.data is not None and not settings.standardize
        screen.error("the columns are in their own units; bring them to one scale with --standardize: " * raw + first.diverged)
        return 2
    return 0


def _own_gradient(name: str) -> Callable[..., Any] | None:
    """The user's function that --gradient names, where it names one."""
    own = load_target(name, "--gradient") if ":" in name else None
    if own is None and name not in ("derived", "autograd"):
        raise InputError(f"--gradient {name!r} is not known; choose derived, autograd, or path/to/file.py:name")
    if own is not None and not callable(own):
        raise InputError(f"--gradient {name!r} is a {type(own).__name__}; expected a function")
    return own


def _own_rows(whole: torch.Tensor, group: Group) -> torch.Tensor:
    """What this process has of the table: as many rows as the others, or one less."""
    return whole.tensor_split(group.world)[group.rank]


def _read(settings: Settings) -> list[Path]:
    """The files that the command reads."""
    return [*files_of(settings.gradient), *([] if settings.data is None else [settings.data])]


def _data(settings: Settings, dtype: torch.dtype) -> tuple[Table, Fit | None]:
    """The CSV, or the tutorial's line: 100 points on [0, 1], w = 2, b = 1, noise 0.1."""
    if settings.data is not None:
        format = CsvFormat(settings.sep, settings.decimal)
        return read_table(settings.data, settings.targets, settings.features, settings.standardize, dtype, format), None
    if settings.targets or settings.features or settings.standardize:
        raise InputError("--target, --feature and --standardize go with --data FILE.csv")
    generator = torch.Generator().manual_seed(settings.seed)
    x = torch.linspace(0, 1, 100, dtype=torch.float64).unsqueeze(1)
    y = 2 * x + 1 + 0.1 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    true = torch.tensor([[2.0]], dtype=dtype), torch.tensor([1.0], dtype=dtype)
    return Table(x.to(dtype), y.to(dtype), ("x",), ("y",), name="100 points on [0, 1], y = 2x + 1 + noise 0.1"), true


def least_squares(x: torch.Tensor, y: torch.Tensor) -> tuple[Fit, float]:
    """Weight and bias of least loss by torch.linalg.lstsq in float64 (the shortest where there are many), and that loss."""
    kept = torch.empty(0, x.shape[1] + 1 + y.shape[1], dtype=torch.float64)
    for block in _blocks(x, y):  # of each block the triangle is kept, which has the same least squares as its rows
        both = torch.cat([kept, block])
        kept = torch.linalg.qr(both, mode="r").R if len(both) > both.shape[1] else both
    n = x.shape[1] + 1
    solution = torch.linalg.lstsq(kept[:, :n], kept[:, n:], driver="gelsd").solution
    total = sum(float((block[:, :n] @ solution - block[:, n:]).square().sum()) for block in _blocks(x, y))
    return (solution[:-1].mT.contiguous(), solution[-1]), total / y.numel()


def _blocks(x: torch.Tensor, y: torch.Tensor) -> Iterator[torch.Tensor]:
    """Rows (x, 1, y) in float64, a block in memory at a time."""
    for a, b in zip(torch.split(x, ROWS), torch.split(y, ROWS)):
        yield torch.cat([a.double().cpu(), torch.ones(len(a), 1, dtype=torch.float64), b.double().cpu()], 1)


def _train(
    settings: Settings,
    screen: Screen,
    model: nn.Linear,
    plan: Plan,
    data: tuple[Table, Fit | None],
    options: RunOptions,
) -> Outcome:
    """Three runs from the same parameters: as asked, with autograd (or derived beside autograd), with the other optimizer."""
    (table, true), gradient = data, options.gradient
    other = "adam" if settings.optimizer == "sgd" else "sgd"
    reference = "derived" if gradient == "autograd" else "autograd"
    runs: list[tuple[Any, str]] = [(gradient, settings.optimizer), (reference, settings.optimizer), (gradient, other)]
    histories: dict[str, History] = {}
    fits: dict[str, Fit] = {}
    with screen.training([_label(g, o) for g, o in runs], settings.epochs, plan.group.world) as progress:
        for k, (g, o) in enumerate(runs, 1):
            started, saved = copy.deepcopy(model), settings.checkpoint(k)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a run that diverges is told of at the end
                h = train(
                    started,
                    nn.MSELoss(),
                    plan.x,
                    plan.y,
                    optimizer=o,
                    lr=options.lr,
                    epochs=options.epochs,
                    batch_size=options.batch_size,
                    device=options.device,
                    seed=settings.seed,
                    gradient=g,
                    on_epoch=progress(_label(g, o)),
                    recheck=settings.recheck if callable(g) else None,
                    checkpoint=saved,
                    checkpoint_every=settings.checkpoint_every,
                    resume=settings.resume and plan.group.each(saved is not None and saved.exists())[0],
                )
            histories[_label(g, o)] = h
            fits[_label(g, o)] = (h.parameters["weight"].cpu(), h.parameters["bias"].cpu())
    best, floor = least_squares(table.x, table.y)
    return Outcome(table, true, best, floor, histories, fits, plan.contraction(settings.lr, table.x, table.y, ROWS))


def _label(gradient: Any, optimizer: str) -> str:
    name = gradient if isinstance(gradient, str) else getattr(gradient, "__name__", "own")
    return f"{name}, {'SGD' if optimizer == 'sgd' else 'Adam'}"


def _files(settings: Settings, derivation: Derivation, reports: tuple[Report, ...], outcome: Outcome) -> dict[str, str | bytes]:
    """All that a run writes; the report lists the digests of the others, so that a later run knows them as its own."""
    table = outcome.table
    lines = {**({"true": outcome.true} if outcome.true else {}), **outcome.fits, "least squares": outcome.best}
    files: dict[str, str | bytes] = {
        "fit.png": fit_png(table.x, table.y, lines, table.features, table.targets),
        "loss.png": loss_png({n: h.losses for n, h in outcome.histories.items()}, outcome.floor),
        "derivation.md": derivation.to_markdown(),
        "derivation.tex": derivation.to_latex(full=True),
        "gradients.py": derivation.source(),
        "history.csv": histories_csv({n.replace(", ", "_").lower(): h for n, h in outcome.histories.items()}),
    }
    hashes = {name: [digest(content)] for name, content in files.items()}
    for name in files:  # the files are replaced one after the other: if that is interrupted, an earlier one is its own as well
        path = settings.out / name
        if path.exists() and written_by_us(path):
            hashes[name] = list(dict.fromkeys([*hashes[name], digest(path.read_bytes())]))
    report = {**_report(settings, reports, outcome), "files": hashes}
    text = json.dumps(_plain(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return {REPORT: marked(text, "json"), **files}


def _plain(value: Any) -> Any:
    """As JSON can hold it: infinities and NaN as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {n: _plain(v) for n, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _report(settings: Settings, reports: tuple[Report, ...], outcome: Outcome) -> dict[str, Any]:
    """The run as plain data: settings, versions, reports of the gate, histories, fits in the data's units."""
    table = outcome.table

    def plain(fit: Fit) -> dict[str, Any]:
        found: dict[str, Any] = {"weight": fit[0].tolist(), "bias": fit[1].tolist()}
        if table.scaling is not None:
            w, b = table.scaling.original_units(*fit)
            found["original_units"] = {"weight": w.tolist(), "bias": b.tolist()}
        return found

    return {
        "derivcheck": __version__,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "sympy": sympy.__version__},
        "settings": {n: str(v) if isinstance(v, Path) else v for n, v in asdict(settings).items()},
        "data": {"name": table.name, "rows": len(table.x), "features": table.features, "targets": table.targets},
        "check": [r.to_dict() for r in reports],
        "runs": {n: h.to_dict() for n, h in outcome.histories.items()},
        "fits": {
            **({"true": plain(outcome.true)} if outcome.true else {}),
            **{n: plain(f) for n, f in outcome.fits.items()},
            "least squares": plain(outcome.best),
        },
        "least_loss": outcome.floor,
        "first_two_runs_differ_by": differences(outcome),
        "contraction": outcome.contraction and outcome.contraction.to_dict(),
    }
