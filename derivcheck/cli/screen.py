"""What ``derivcheck run`` shows in a terminal; plain text where the output is not one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text

from derivcheck.checking.report.report import Report
from derivcheck.cli.outcome import Outcome, Settings, differences
from derivcheck.derived import Derivation
from derivcheck.notes.pages.unicode import shape_text

SHOWN = 12  # parameters in the table; beyond that their distance to least squares says more


class Screen:
    """The parts of the report, in the order in which they come."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(highlight=False, quiet=quiet)

    def derivation(self, derivation: Derivation, sizes: Mapping[str, int]) -> None:
        """The chain rule step by step, for every size, and at this one."""
        self._head("1  The derivation, for every size")
        self.console.print(str(derivation), markup=False)
        self.console.print("\n" + shape_text(derivation.program, derivation.adjoint, sizes), markup=False)

    def note(self, text: str) -> None:
        """A sentence on how the run goes."""
        self.console.print(text, markup=False)

    def code(self, source: str) -> None:
        """The generated function; the file around it (its docstring, its errors) is written, not shown."""
        self._head("2  The generated torch code (gradients.py)")
        functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
        shown = ast.get_source_segment(source, functions[0]) if functions else source
        self.console.print(Syntax(shown or source, "python", background_color="default", word_wrap=True))

    def check(self, report: Report, gradient: str) -> None:
        """A row per parameter with every witness."""
        self._head(f"3  The check of the {gradient} gradient at the run's own shapes ({report.dtype})")
        self.console.print(report)
        for note in report.notes:
            self.console.print(note, markup=False)

    @contextmanager
    def training(
        self, labels: Sequence[str], epochs: int, world: int = 1
    ) -> Iterator[Callable[[str], Callable[[int, float], None]]]:
        """Progress bars; gives a function from a run's label to its ``on_epoch``."""
        self._head("4  The training" + f", on {world} ranks" * (world > 1))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            tasks = {n: progress.add_task(n, total=epochs, start=False, loss="…") for n in labels}

            def of(label: str) -> Callable[[int, float], None]:
                progress.start_task(tasks[label])
                return lambda epoch, loss: progress.update(tasks[label], completed=epoch, loss=f"{loss:.5g}")

            yield of

    def outcome(self, outcome: Outcome, settings: Settings) -> None:
        """True, learned and least squares, and why."""
        self._head("5  What was learned, and why")
        columns = {**({"true": outcome.true} if outcome.true else {}), **outcome.fits, "least squares": outcome.best}
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
        grid.add_column("")
        for name in columns:
            grid.add_column(name.replace(", ", "\n"), justify="right")
        weight, bias = outcome.best
        names = [
            *(f"w[{t}, {f}]" for t in outcome.table.targets for f in outcome.table.features),
            *(f"b[{t}]" for t in outcome.table.targets),
        ]
        if weight.numel() + bias.numel() == 2:
            names = ["w", "b"]
        if len(names) <= SHOWN or settings.verbose:
            flat = [torch.cat([w.reshape(-1), b]).tolist() for w, b in columns.values()]
            for row, values in zip(names, zip(*flat)):
                grid.add_row(Text(row), *(f"{v:.6g}" for v in values))
        distance = {n: _distance(f, outcome.best) for n, f in columns.items()}
        grid.add_row("to least squares", *(f"{distance[n]:.3g}" for n in columns))
        losses = {n: f"{h.final_loss:.6g}" for n, h in outcome.histories.items()} | {"least squares": f"{outcome.floor:.6g}"}
        grid.add_row("loss", *(losses.get(n, "") for n in columns))
        self.console.print(grid)
        for line in explanation(outcome, settings, differences(outcome)):
            self.console.print(line, markup=False)

    def files(self, folder: Path, written: Sequence[Path], without_font: str = "") -> None:
        """Where the results are, and which letters of the pictures no installed font has."""
        self.console.print(f"\nWritten to {folder}: {', '.join(p.name for p in written)}", markup=False)
        if without_font:
            self.console.print(f"No installed font has {without_font}; boxes stand for it in the pictures.", markup=False)

    def error(self, text: str) -> None:
        """One sentence on standard error."""
        Console(stderr=True, highlight=False).print(f"derivcheck: {text}", markup=False, soft_wrap=True)

    def _head(self, text: str) -> None:
        self.console.print(f"\n{text}", style="bold", markup=False)


def explanation(outcome: Outcome, settings: Settings, differ: Mapping[str, float]) -> list[str]:
    """The sentences below the table."""
    first, second = list(outcome.histories)[:2]
    run = outcome.histories[first]
    if not any(differ.values()):
        lines = [f"{first} and {second} agree to the last bit, in the parameters and in the losses."]
    else:
        lines = [
            f"{first} and {second} differ by at most {differ['parameters']:.2g} in the parameters and "
            f"{differ['losses']:.2g} in the losses."
        ]
    lines += [f"Note: {note}." for h in (run,) for note in h.notes]
    if own_units(outcome, settings):
        lines.append(
            "The columns are in their own units, which makes the loss a narrow valley; --standardize brings them to one scale."
        )
    if outcome.true is not None:
        lines.append(f"Why do {run.epochs} epochs not reach (2, 1)?")
    if outcome.contraction is not None:
        lines.append(str(outcome.contraction))
        if run.batch_size < len(outcome.table.x):
            lines.append("That is for steps over all rows; a run in batches takes several per epoch, each with its own noise.")
    lines += [line for line in (_adam(outcome, settings),) if line]
    if outcome.true is not None:
        lines.append(
            f"More epochs end at least squares, which is {_distance(outcome.best, outcome.true):.2g} from (2, 1): "
            "the noise in the data moves it."
        )
    if outcome.table.scaling is not None:
        lines.append("w and b are for the standardized features; report.json has them in the file's units as well.")
    return ["\n" + line if k else line for k, line in enumerate(lines)]


NARROW = 0.999  # of the slowest direction's error left by an epoch: a thousand epochs leave a third


def own_units(outcome: Outcome, settings: Settings) -> bool:
    """Whether the scales of the columns are what keeps a run from least squares."""
    raw = settings.data is not None and outcome.table.scaling is None
    diverged = next(iter(outcome.histories.values())).diverged is not None
    return raw and (diverged or outcome.contraction is not None and outcome.contraction.slowest > NARROW)


def _adam(outcome: Outcome, settings: Settings) -> str:
    """Why the run with Adam ended far from least squares, where it did: its steps are about lr long, whatever the slope."""
    label, run = next(((n, h) for n, h in outcome.histories.items() if h.optimizer == "adam"), ("", None))
    if run is None or run.diverged or not run.losses:
        return ""
    best, found = (torch.cat([t.reshape(-1).double() for t in fit]) for fit in (outcome.best, outcome.fits[label]))
    far = float((found - best).abs().max())
    if run.final_loss <= 1.5 * outcome.floor or far <= 0.1 * float(best.abs().max()):
        return ""
    steps = run.epochs * -(-len(outcome.table.x) // run.batch_size)
    most = run.lr * steps
    if far <= 0.1 * most:
        return f"Adam is not done after {steps:,} steps of {run.lr:g}: a parameter is {far:.3g} off. More epochs reach it."
    scale = ", or --standardize" if settings.data is not None and outcome.table.scaling is None else ""
    return (
        f"Adam is far from done: a step moves a parameter by about lr, so {steps:,} steps of {run.lr:g} go {most:.3g} at most, "
        f"and {far:.3g} is still to go. More epochs or a larger --lr reach it{scale}."
    )


def _distance(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Between two fits, as vectors of all their parameters."""
    return float(sum(float((p.double() - q.double()).square().sum()) for p, q in zip(a, b)) ** 0.5)
