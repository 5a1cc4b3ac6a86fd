"""The command ``audit``: a user's own script, run until enough is seen; then every backward that was seen is checked."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from derivcheck.audit.defined import unreached
from derivcheck.audit.judging import count, judged, unjudged
from derivcheck.audit.observer import Observer
from derivcheck.audit.outcome import Audit, JudgedBackward, allowing, details, times
from derivcheck.audit.script import Ending, UserScript
from derivcheck.cli.status import BAD_INPUT, HOLDS, UNDECIDED, WRONG
from derivcheck.errors import InputError
from derivcheck.files import Outputs, marked

INTERRUPTED = 130
STYLES = {"good": "green", "bad": "bold red", "open": "yellow"}


@dataclass
class _Progress:
    """What is told while it runs, on standard error: the script's own output stays as it is."""

    steps: int
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def passed(self, observer: Observer) -> None:
        met = sum(bool(s.sightings) for s in observer.seen.values())
        self.say(f"backward pass {observer.passes} of {self.steps}: {met} hand-written backward{'' if met == 1 else 's'} met")

    def say(self, text: str) -> None:
        self.console.print(f"derivcheck: {text}", markup=False, soft_wrap=True)


def run_audit(
    words: Sequence[str],
    module: str,
    steps: int,
    html: Path | None,
    allow: Sequence[str],
    seed: int,
    as_json: bool,
    force: bool,
) -> int:
    """Run a script and check what it runs; 0 all hold, 1 one is wrong, 2 it ran badly, 3 undecided, 130 interrupted."""
    if not words and not module:
        raise InputError("name a script to audit, as in derivcheck audit train.py -- --epochs 1, or a module with -m")
    script = UserScript(module or words[0], tuple(words if module else words[1:]), bool(module))
    script.ask()
    outputs = Outputs([] if html is None else [(html, "--html")], lambda: [Path(script.target)], force)
    outputs.ask()
    rank = os.environ.get("RANK", "0")
    progress = _Progress(steps)
    observer = Observer(steps)
    observer.told = (lambda _: progress.passed(observer)) if rank == "0" else None
    ending = script.run(observer)
    if rank != "0":
        return _of_another_rank(ending, script.target, observer, steps, rank)
    rows, stopped = _checked(observer, ending, seed, progress)
    audit = Audit(
        script.target,
        observer.passes,
        allowing(rows, allow),
        tuple(unreached(observer, script.package)),
        tuple(_notes(ending, script.target, observer, steps, stopped)),
    )
    _show(audit, as_json)
    if html is not None:
        outputs.write({html: marked(audit.to_html(), "html")})
        progress.say(f"wrote {html}")
    if stopped or ending.how == "interrupted":
        return INTERRUPTED
    if audit.faulty:
        return WRONG
    return BAD_INPUT if ending.bad or not observer.passes else HOLDS if audit.passed else UNDECIDED


def _of_another_rank(ending: Ending, name: str, observer: Observer, steps: int, rank: str) -> int:
    """What is said on the ranks that do not report: nothing, but for an error of their own."""
    if ending.bad:
        _Progress(steps).say(f"rank {rank}: {ending.sentence(name, observer.passes, steps)}")
    return BAD_INPUT if ending.bad else HOLDS


def _checked(observer: Observer, ending: Ending, seed: int, progress: _Progress) -> tuple[list[JudgedBackward], bool]:
    """The checks of what was seen, as far as they came; whether they were interrupted."""
    rows: list[JudgedBackward] = []
    if ending.how == "interrupted":
        return list(unjudged(observer, 0)), False
    columns = (TextColumn("checking {task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        plain = not progress.console.is_terminal
        with ending.as_main(), Progress(*columns, console=progress.console, transient=True, disable=plain) as bar:
            task = bar.add_task("", total=count(observer))

            def told(name: str) -> None:
                bar.update(task, description=name)
                if plain:
                    progress.say(f"checking {name} ({len(rows) + 1} of {count(observer)})")

            for row in judged(observer, seed, told):
                rows.append(row)
                bar.advance(task)
    except KeyboardInterrupt:
        return [*rows, *unjudged(observer, len(rows))], True
    return rows, False


def _notes(ending: Ending, name: str, observer: Observer, steps: int, stopped: bool) -> list[str]:
    """How it ended, and in which way it ran."""
    found = [ending.sentence(name, observer.passes, steps)]
    found += [
        f"torch.compile at {place}: that code ran uncompiled, where its backwards can be seen" for place in observer.compiled
    ]
    world = os.environ.get("WORLD_SIZE", "1")
    found += [f"rank 0 of {world}: what other ranks alone run was not seen"] if world != "1" else []
    found += ["the checks were interrupted; what is not checked above was seen"] if stopped else []
    return [n for n in found if n]


def _show(audit: Audit, as_json: bool) -> None:
    """The table, and below it what is to be said."""
    if as_json:
        print(json.dumps(audit.to_dict(), indent=2, allow_nan=False))
        return
    console = Console(highlight=False)
    console.print(audit.headline, markup=False, style="bold", soft_wrap=True)
    if audit.rows:
        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("what", "where", "how often", "verdict"):
            grid.add_column(name, overflow="fold", no_wrap=name in ("how often", "verdict"))
        for r in audit.ordered:
            style = STYLES[r.tone]
            grid.add_row(Text(r.name), Text(r.line.split(": ")[0] or r.place), Text(times(r)), Text(r.word, style=style))
        console.print(grid)
    below = [line for r in audit.ordered for line in details(r)]
    for line in ([f"Never reached: {', '.join(audit.unreached)}"] if audit.unreached else []) + list(audit.notes):
        below += ["", line]
    for line in below:
        console.print(_wrapped(line, console.width), markup=False, soft_wrap=True)


def _wrapped(line: str, width: int) -> str:
    """A sentence in lines of that width; code stays as it is written."""
    indent = line[: len(line) - len(line.lstrip())]
    if len(indent) >= 4:
        return line
    how: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return "\n".join(textwrap.wrap(line, width, subsequent_indent=f"{indent}  ", **how))
