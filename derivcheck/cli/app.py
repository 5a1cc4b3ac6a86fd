"""The commands and their options; what they do stands in the modules beside, imported when a command runs.

Nothing here loads torch, SymPy or matplotlib, so that ``--help`` answers at once.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from derivcheck import __version__
from derivcheck.cli.asked import CheckedOn, CheckShown, Fixing, Source, TargetPair
from derivcheck.cli.loading import begin, load
from derivcheck.cli.spelling import sentence, spelled
from derivcheck.cli.status import BAD_INPUT, HOLDS, UNDECIDED, WRONG
from derivcheck.errors import DerivcheckError, GradientMismatch, RunInterrupted, UnverifiedGradientError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _exits(command: Callable[..., int]) -> Callable[..., None]:
    """A command's result is the exit status; an error of ours is one message on standard error, in the command's own spelling.

    A traceback comes with ``--verbose`` alone.
    """
    options = frozenset(inspect.signature(command).parameters)

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        """The command, whose errors become exit statuses."""
        try:
            code = command(*args, **kwargs)
        except DerivcheckError as e:
            code = _told(e, options, bool(kwargs.get("verbose")))
        except BrokenPipeError:  # the reader of our output has seen enough
            sys.stderr.close()
            code = HOLDS
        raise typer.Exit(code)

    return run


def _told(e: DerivcheckError, options: Collection[str] = (), verbose: bool = False) -> int:
    """Print an error that ended a command; its exit status."""
    if not e.everywhere or os.environ.get("RANK", "0") == "0":  # what every process of torchrun raised, rank 0 tells
        if verbose:
            typer.echo("".join(traceback.format_exception(e)), err=True)
        typer.echo(f"derivcheck: {sentence(spelled(str(e), options))}", err=True)
    if isinstance(e, RunInterrupted):
        return 128 + e.signal
    if isinstance(e, (UnverifiedGradientError, GradientMismatch)):
        return WRONG if e.report is None or e.report.faulty else UNDECIDED
    return BAD_INPUT


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"derivcheck {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    context: typer.Context,
    config: Annotated[bool, typer.Option("--config/--no-config", help="Take options from pyproject.toml.")] = True,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Derive the gradients of torch code once, for every size; then check, prove, print and train with them.

    TARGET is 'torch.nn:Linear(3, 2)', package.module:name, path/to/file.py:name, index text: 'y\\[n] := x\\[n]^2', or
    LaTeX: 'y_{n} = x_{n}^2'.

    Exit status: 0 holds, 1 a gradient is wrong, 2 bad usage or input, 3 undecided; 130 or 143 stopped by a signal.
    """
    if not config or context.resilient_parsing:
        return
    from derivcheck.cli.settings import read_settings  # --help and completion need none

    commands = {str(c.name): c.callback for c in app.registered_commands if c.callback is not None}
    try:
        context.default_map = read_settings(Path.cwd(), commands)
    except DerivcheckError as e:
        raise typer.Exit(_told(e)) from None


def _option(text: str, metavar: str | None = None, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, **more)


Target = Annotated[str, typer.Argument(metavar="TARGET", help="A module with its arguments, a function, or index text.")]
Loss = Annotated[str, _option("A loss of (output, target) that follows.", "TARGET")]
Dims = Annotated[str, _option("Named dimensions per input: 'x: N in; W: out in'.", "TEXT")]
Where = Annotated[str, _option("What it is made for: 'T % 2 == 0, sigma > 0'.", "TEXT")]
Const = Annotated[list[str] | None, _option("A value that is no tensor; repeatable.", "NAME=VALUE", "--const")]
Wrt = Annotated[list[str] | None, _option("Take the gradient in this input alone; repeatable.", "NAME", "--wrt")]
Verbose = Annotated[bool, _option("Say more; of an error, where it was raised.", None, "--verbose/--no-verbose", "-v")]
Seed = Annotated[int, _option("Of everything random.", min=0)]
Json = Annotated[bool, _option("Print JSON.", None, "--json/--no-json")]
WithFix = Annotated[bool, _option("Where it fails, print an edit of your code that mends it.", None, "--fix/--no-fix")]
Write = Annotated[bool, _option("Make that edit; the file as it was is kept beside it.", None, "--write")]
Force = Annotated[bool, _option("Also overwrite files that derivcheck did not write.", None, "--force")]


@app.command("run")
@_exits
def run(
    data: Annotated[Path | None, _option("A CSV with a header row, or Parquet; default a noisy line.", "FILE")] = None,
    target: Annotated[list[str] | None, _option("A column to predict; repeatable.", "COLUMN")] = None,
    feature: Annotated[list[str] | None, _option("A column to predict from; default the rest.", "COLUMN")] = None,
    sep: Annotated[str, _option("What stands between the cells of the CSV; 'tab' for tabs.", "TEXT")] = ",",
    decimal: Annotated[Literal[".", ","], _option("The decimal point of the CSV.")] = ".",
    standardize: Annotated[
        bool, _option("Bring features to mean 0 and deviation 1.", None, "--standardize/--no-standardize")
    ] = False,
    epochs: Annotated[int, _option("How often to go over the data.", min=1)] = 50,
    lr: Annotated[float, _option("The learning rate.")] = 0.1,
    optimizer: Annotated[Literal["sgd", "adam"], _option("Of the first two runs; the third takes the other.")] = "sgd",
    dtype: Annotated[Literal["float64", "float32"], _option("Of data and parameters.")] = "float64",
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], _option("auto takes a GPU where there is one.")] = "auto",
    seed: Seed = 0,
    batch_size: Annotated[int | None, _option("Rows per step; default all.", min=1)] = None,
    gradient: Annotated[str, _option("derived, autograd, or FILE.py:NAME, your own, checked first.", "SOURCE")] = "derived",
    out: Annotated[Path, _option("For figures, notes, code and report.", "FOLDER")] = Path("derivcheck-out"),
    recheck: Annotated[int | None, _option("Ask your own gradient again every so many steps.", min=1)] = None,
    checkpoint_every: Annotated[int | None, _option("Save the runs in --out every so many steps.", min=1)] = None,
    resume: Annotated[bool, _option("Go on from what was saved in --out.", None, "--resume")] = False,
    verbose: Verbose = False,
    force: Force = False,
) -> int:
    """Derive, generate, check, then train: MSE over nn.Linear, on the tutorial's line or on your CSV.

    Example: derivcheck run --data linnerud.csv --target Weight --target Waist --standardize --epochs 500
    """
    begin(f"derivcheck run: {'a noisy line, y = 2x + 1' if data is None else data}")
    load()
    from derivcheck.cli.outcome import Settings  # torch is loaded when a command runs
    from derivcheck.cli.run import main_job  # and so is what it runs

    return main_job(
        Settings(
            data,
            tuple(target or ()),
            tuple(feature or ()),
            sep,
            decimal,
            standardize,
            epochs,
            lr,
            optimizer,
            dtype,
            device,
            seed,
            batch_size,
            gradient,
            out,
            recheck,
            checkpoint_every,
            resume,
            verbose,
        ),
        force,
    )


@app.command("derive")
@_exits
def derive(
    target: Target, loss: Loss = "", dims: Dims = "", const: Const = None, wrt: Wrt = None, verbose: Verbose = False
) -> int:
    """Print the derivation of TARGET's gradients, step by step, for every size.

    Example: derivcheck derive 'torch.nn:Linear(3, 2)' --loss torch.nn:MSELoss
    """
    load()
    from derivcheck.cli.commands import show_derivation  # torch is loaded when a command runs

    return show_derivation(Source(target, loss, dims, const or [], wrt or []))


@app.command("code")
@_exits
def code(
    target: Target,
    loss: Loss = "",
    dims: Dims = "",
    const: Const = None,
    wrt: Wrt = None,
    out: Annotated[Path | None, _option("Write there instead of printing.", "FILE.py")] = None,
    verbose: Verbose = False,
    force: Force = False,
) -> int:
    """Print the generated torch code: forward and gradients for every size, needing torch alone.

    Example: derivcheck code layers.py:rms_norm --dims 'x: N C; w: C' --const eps=1e-5 --out rms_norm_grad.py
    """
    load()
    from derivcheck.cli.commands import show_code  # torch is loaded when a command runs

    return show_code(Source(target, loss, dims, const or [], wrt or []), out, force)


@app.command("check")
@_exits
def check(
    target: Target,
    backward: Annotated[str, _option("The gradient under test; default the forward's own.", "TARGET")] = "",
    reference: Annotated[str, _option("What the forward means, where it cannot be traced.", "TARGET")] = "",
    dims: Dims = "",
    where: Where = "",
    const: Const = None,
    wrt: Wrt = None,
    sizes: Annotated[str, _option("'N=4, in=3'; default distinct small primes.", "TEXT")] = "",
    dtype: Annotated[Literal["float64", "float32", "bfloat16", "float16"], _option("The type to check in.")] = "float64",
    device: Annotated[str, _option("cpu, cuda or mps.")] = "cpu",
    seed: Seed = 0,
    json: Json = False,
    format: Annotated[
        Literal["table", "json", "github", "sarif"], _option("github: annotations of a review; sarif: a log with fixes.")
    ] = "table",
    junit: Annotated[Path | None, _option("Also write the report for a CI server.", "FILE.xml")] = None,
    reproducer: Annotated[Path | None, _option("Where it fails, write code that shows it with torch alone.", "FILE.py")] = None,
    strict: Annotated[
        bool, _option("Exit 3 where it holds and something was not reached.", None, "--strict/--no-strict")
    ] = False,
    fix: WithFix = False,
    write: Write = False,
    verbose: Verbose = False,
    force: Force = False,
) -> int:
    """Check TARGET's gradient on random inputs against what is derived, autograd, differences and SymPy.

    Example: derivcheck check layers.py:forward --backward layers.py:backward --dims 'x: N in; W: out in'
    """
    load()
    from derivcheck.cli.check import run_check  # torch is loaded when a command runs

    return run_check(
        TargetPair(target, backward, dims, where, const or [], wrt or []),
        CheckedOn(reference, sizes, dtype, device, seed, strict),
        CheckShown("json" if json else format, junit, reproducer, force, verbose),
        Fixing(fix, write),
    )


@app.command("prove")
@_exits
def prove(
    target: Target,
    backward: Annotated[str, typer.Argument(metavar="BACKWARD", help="The hand-written gradient: a function, or index text.")],
    dims: Dims = "",
    where: Where = "",
    const: Const = None,
    wrt: Wrt = None,
    invariant: Annotated[list[str] | None, _option("What a recurrence always is, as index text; repeatable.", "TEXT")] = None,
    json: Json = False,
    fix: WithFix = False,
    write: Write = False,
    verbose: Verbose = False,
) -> int:
    """Is BACKWARD the gradient of TARGET for every size?  Exit 0 proved, 1 refuted, 3 undecided.

    Example: derivcheck prove layers.py:forward layers.py:backward --dims 'x: N in; W: out in'
    """
    load()
    from derivcheck.cli.commands import run_proof  # torch is loaded when a command runs

    claim = TargetPair(target, backward, dims, where, const or [], wrt or [])
    return run_proof(claim, invariant or [], CheckShown("json" if json else "table", verbose=verbose), Fixing(fix, write))


@app.command("notes")
@_exits
def notes(
    target: Target,
    loss: Loss = "",
    dims: Dims = "",
    const: Const = None,
    wrt: Wrt = None,
    format: Annotated[
        Literal["markdown", "latex", "html", "pdf"], _option("latex: a document; html: one page; pdf: by an installed TeX.")
    ] = "markdown",
    style: Annotated[Literal["index", "matrix", "scalar"], _option("scalar: element by element at --sizes.")] = "index",
    lang: Annotated[Literal["en", "zh"], _option("English or Chinese.")] = "en",
    sizes: Annotated[str, _option("'N=2, in=2, out=1', for --style scalar.", "TEXT")] = "",
    detail: Annotated[
        Literal["operators", "names", "result"],
        _option("names: textbook; operators: a line each; result: gradients alone."),
    ] = "names",
    explain: Annotated[str, _option("Explain one gradient instead; --out weight.png draws it.", "NAME")] = "",
    out: Annotated[Path | None, _option("Write there instead of printing.", "FILE")] = None,
    verbose: Verbose = False,
    force: Force = False,
) -> int:
    """Write the derivation as notes: Markdown, LaTeX, HTML or PDF, in index, matrix or scalar style.

    Example: derivcheck notes 'torch.nn:Linear(2, 1)' --loss torch.nn:MSELoss --style matrix --out linear.md
    """
    load()
    from derivcheck.cli.commands import write_explanation, write_notes  # torch is loaded when a command runs
    from derivcheck.cli.inputs import read_sizes  # and so is what reads its options

    if explain:
        return write_explanation(Source(target, loss, dims, const or [], wrt or []), explain, lang, out, force)
    options = {"style": style, "lang": lang, "sizes": read_sizes(sizes) or None, "detail": detail}
    return write_notes(Source(target, loss, dims, const or [], wrt or []), format, options, out, force)


@app.command("audit")
@_exits
def audit(
    script: Annotated[
        list[str] | None, typer.Argument(metavar="[SCRIPT] [-- ARGUMENTS]", help="A script, and after -- its own arguments.")
    ] = None,
    module: Annotated[
        str, _option("Run a module instead of a script, as python -m does.", "PACKAGE.MODULE", "-m", "--module")
    ] = "",
    steps: Annotated[int, _option("Backward passes until the script is stopped.", min=1)] = 2,
    html: Annotated[Path | None, _option("Also write one HTML page.", "FILE.html")] = None,
    allow: Annotated[list[str] | None, _option("Meant not to be the gradient: 'Grad*'; repeatable.", "NAME")] = None,
    seed: Seed = 0,
    json: Json = False,
    verbose: Verbose = False,
    force: Force = False,
) -> int:
    """Run your training script, and check every hand-written backward that it runs at the tensors that reach it.

    Example: derivcheck audit train.py --html audit.html -- --epochs 1
    """
    load()
    from derivcheck.cli.audit import run_audit  # torch is loaded when a command runs

    return run_audit(script or [], module, steps, html, allow or [], seed, json, force)


@app.command("completion")
@_exits
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> int:
    """Print what makes a shell complete commands and options.

    Example: derivcheck completion bash >> ~/.bashrc
    """
    from derivcheck.cli.completion import script  # the scripts are asked for here alone

    print(script(shell))
    return HOLDS
