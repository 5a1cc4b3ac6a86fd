"""A short file that shows a failure with torch alone, to attach to a bug report."""

from __future__ import annotations

from typing import Any

import torch

from derivcheck.checking.backward.found import intermediates, runner
from derivcheck.checking.report.row import Row
from derivcheck.checking.reproducing.calls import call
from derivcheck.checking.reproducing.findings import finding
from derivcheck.checking.reproducing.script import Script
from derivcheck.checking.reproducing.spelling import EMBEDDED
from derivcheck.checking.subject.elsewhere import small
from derivcheck.checking.subject.subject import Subject
from derivcheck.checking.verdict.derived import JudgedRun, derived
from derivcheck.checking.verdict.judge import judge
from derivcheck.errors import DerivcheckError, InputError


def reproduction(s: Subject, backward: Any, row: Row, seed: int) -> str:
    """The text of the file for one faulty row.

    Raises:
        InputError: code that cannot be copied, nor imported from a file; a finding that torch alone cannot show.
    """
    if s.nested.structure:
        which = next(iter(s.nested.structure))
        raise InputError(f"no reproducer can be written: {which} holds tensors inside; give each as an input of its own")
    if inner := sorted(intermediates(s, backward)):
        raise InputError(f"no reproducer can be written: the backward takes {inner[0]}, which the forward computes on its way")
    evidence, row = _small(s, backward, row)
    script = Script(evidence.subject or s, backward, row, evidence, seed)
    if row.name not in {*script.s.wrt, *evidence.found} and not script.of_value and row.verdict == "shape":
        raise InputError(f"no reproducer can be written: torch alone does not show {row.sentence()}")
    return script.text([*script.data_lines(), *finding(script, call(script))])


def _small(s: Subject, backward: Any, row: Row) -> tuple[JudgedRun, Row]:
    """The failure at small sizes, where the data that showed it is too large to read and the backward fails there too."""
    evidence: JudgedRun = row.evidence
    if sum(t.numel() for t in evidence.tensors.values()) <= EMBEDDED or evidence.situated:
        return evidence, row
    try:
        found = small(s, evidence.upstream, evidence.right.sizes, torch.Generator().manual_seed(0))
        if found is not None:
            right = derived(s, *found, evidence.right.dtype)
            rows, gave = judge(s, runner(s, backward), *found, right)
            for r in rows:
                if r.name == row.name and r.faulty:
                    return JudgedRun(*found, right, gave.gradients), r
    except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
        pass
    return evidence, row
