"""The commands about one TARGET: derive, code, prove, notes.  Each returns the exit status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.syntax import Syntax

from derivcheck.cli.asked import CheckShown, Fixing, Source, TargetPair
from derivcheck.cli.inputs import derivation_of, read_constants, read_dims
from derivcheck.cli.mending import mend
from derivcheck.cli.spelling import OPTIONS, spelled
from derivcheck.cli.status import HOLDS, UNDECIDED, WRONG
from derivcheck.cli.target import files_of, is_index_text, load_target
from derivcheck.errors import InputError
from derivcheck.files import Outputs, marked, marked_pdf


def show_derivation(source: Source) -> int:
    """Print the derivation."""
    Console(highlight=False).print(str(derivation_of(source)), markup=False, soft_wrap=True)
    return HOLDS


def show_code(source: Source, out: Path | None, force: bool) -> int:
    """Print or write the generated code."""
    outputs = _asked(out, source.target, source.loss, force=force)
    return _deliver(derivation_of(source).source(), out, outputs, "python")


def write_notes(source: Source, format: str, options: dict[str, Any], out: Path | None, force: bool) -> int:
    """Print or write notes; ``options`` are those of ``to_latex``, ``to_html`` and ``to_markdown``."""
    if format == "pdf" and out is None:
        raise InputError("a PDF is written, not printed; name a file with --out")
    outputs = _asked(out, source.target, source.loss, force=force)
    d = derivation_of(source)
    if format == "pdf" and out is not None:
        from derivcheck.notes.pages.pdf import pdf  # loaded when asked for

        outputs.write({out: marked_pdf(pdf(d.to_latex(full=True, **options)))})
        print(f"wrote {out}")
        return HOLDS
    if format == "latex":
        text = d.to_latex(full=True, **options)
    elif format == "html":
        text = d.to_html(**options)
    else:
        text = d.to_markdown(**options)
    return _deliver(text, out, outputs, format)


def write_explanation(source: Source, name: str, lang: str, out: Path | None, force: bool) -> int:
    """Print the explanation of one gradient, or write its text, or its picture where the file is named so."""
    outputs = _asked(out, source.target, source.loss, force=force)
    explanation = derivation_of(source).explain(name, lang)
    if out is None or out.suffix.lower() in (".md", ".txt", ""):
        return _deliver(str(explanation), out, outputs, "markdown")
    from derivcheck.notes.explained.picture import file_content  # it loads matplotlib

    outputs.write({out: file_content(explanation.figure(), out)})
    print(f"wrote {out}")
    return HOLDS


def run_proof(claim: TargetPair, invariants: Sequence[str], shown: CheckShown, fixing: Fixing) -> int:
    """Prove a hand-written gradient: 0 proved, 1 refuted, 3 undecided."""
    fixing.usable()
    from derivcheck.prove import prove  # the proofs are loaded where one is asked for

    forward = claim.target if is_index_text(claim.target) else load_target(claim.target)
    under_test = claim.backward if is_index_text(claim.backward) else load_target(claim.backward, "BACKWARD")
    dims, constants = read_dims(claim.dims), read_constants(claim.const)
    restricted: dict[str, Any] = {"where": claim.where or None, "wrt": claim.wrt or None}
    proof = prove(forward, under_test, dims=dims, constants=constants, invariant=invariants, **restricted)
    found = proof.fix if fixing.fix and proof.status == "refuted" else None  # before its lines are told
    if shown.as_json:
        print(json.dumps(proof.to_dict(), indent=2))
    else:
        said = spelled(str(proof), OPTIONS)
        tried = [", ".join(f"{n}={v}" for n, v in sizes.items()) for sizes in proof.tried]
        more = [f"numbers were tried at {'; '.join(tried)}"] * bool(tried) + [f"it took {proof.seconds:.2g} s"]
        Console(highlight=False).print("\n".join([said, *(more if shown.verbose else ())]), markup=False, soft_wrap=True)
    if fixing.fix and proof.status == "refuted":
        mend(found, fixing.write, Console(stderr=shown.as_json, highlight=False))
    return {"proved": HOLDS, "refuted": WRONG}.get(proof.status, UNDECIDED)


def _asked(out: Path | None, *targets: str, force: bool) -> Outputs:
    """The file of --out, asked for before the work."""
    outputs = Outputs([] if out is None else [(out, "--out")], partial(files_of, *targets), force)
    outputs.ask()
    return outputs


def _deliver(text: str, out: Path | None, outputs: Outputs, kind: str) -> int:
    """Write the text to a file with our mark, or show it, in colours on a terminal."""
    if out is not None:
        outputs.write({out: marked(text, kind)})
        print(f"wrote {out}")
        return HOLDS
    console = Console(highlight=False)
    if console.is_terminal and kind == "python":
        console.print(Syntax(text, "python", background_color="default", word_wrap=True))
    else:
        print(text)
    return HOLDS
