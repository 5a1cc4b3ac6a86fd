"""A short file that shows a failure with torch alone, to attach to a bug report."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

import torch

from derivcheck.checking.found import runner
from derivcheck.checking.report import Report, Row
from derivcheck.checking.subject import Subject
from derivcheck.errors import DerivcheckError

EMBEDDED = 600  # elements that are written out; larger tensors are drawn from the seed


def reproduction(s: Subject, backward: Any, row: Row, report: Report) -> str:
    """The text of the file for one faulty row."""
    sample, row = _small(s, backward, row)
    tensors, upstream = dict(sample.tensors), dict(sample.upstream)
    lines = [
        f'"""{s.name}: {row.sentence().replace(chr(34), chr(39))}."""',
        "",
        "import torch",
        "",
        f"torch.manual_seed({report.seed})",
    ]
    for name, t in {**tensors, **upstream}.items():
        lines.append(f"{name} = {_literal(t)}")
    lines += [f"{name} = {value!r}" for name, value in s.passed.items()]
    lines += ["", *_source(backward if backward is not None else s.function, "the backward under test")]
    names = ", ".join(f"{n}={n}" for n in _accepted(backward, [*tensors, *s.passed]))
    ups = ", ".join(upstream)
    if backward is not None and callable(backward):
        call = getattr(backward, "__name__", "backward")
        call = call if call.isidentifier() else "backward"
        value = ups if len(upstream) == 1 else f"({ups},)"
        lines += ["", f"found = {call}(grad_output={value}, {names})[{row.name!r}]"]
    elif s.function is not None:
        leaves = "\n".join(f"{n}.requires_grad_()" for n in s.wrt)
        call = f"{s.function.__name__}.apply({', '.join(n for n in s.order if n in tensors or n in s.passed)})"
        lines += ["", *leaves.splitlines(), f"(found,) = torch.autograd.grad({call}, [{row.name}], [{ups}])"]
    else:
        lines += ["", f"# put the backward's gradient in {row.name} here; the value below is what it gave"]
        g = sample.found.get(row.name)
        lines.append(f"found = torch.full({() if g is None else tuple(g.shape)}, {row.found!r})")
    if row.worst_index is not None and row.expected is not None:
        at = list(row.worst_index)
        lines += [
            f"expected = {row.expected!r}  # the derivative of Σ grad_output · output in {row.name}{at}",
            f"value = found[{', '.join(map(str, at))}].item()" if at else "value = found.item()",
            'print(f"found {value:.17g}, expected {expected:.17g}")',
            f"assert abs(value - expected) <= {max(row.tolerance, 5e-324)!r}",
        ]
    else:
        lines += ["print(found)", f"# {row.note}"]
    return "\n".join(lines) + "\n"


def _small(s: Subject, backward: Any, row: Row) -> tuple[Any, Row]:
    """The failure at small sizes, where the data that showed it is too large to write out and the backward fails there too."""
    sample = row.sample
    if sum(t.numel() for t in sample.tensors.values()) <= EMBEDDED:
        return sample, row
    from derivcheck.checking.judge import Sample, derived, judge
    from derivcheck.checking.situations import small

    try:
        found = small(s, sample.upstream, sample.right.sizes, torch.Generator().manual_seed(0))
        if found is not None:
            right = derived(s, *found, sample.right.dtype)
            rows, gave = judge(s, runner(s, backward), *found, right)
            for r in rows:
                if r.name == row.name and r.faulty:
                    return Sample(*found, right, gave.gradients), r
    except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
        pass
    return sample, row


def _accepted(backward: Any, names: list[str]) -> list[str]:
    """The names that a backward is called with."""
    if not callable(backward):
        return names
    parameters = inspect.signature(backward).parameters.values()
    loose = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return [n for n in names if loose or n in {p.name for p in parameters}]


def _literal(t: torch.Tensor) -> str:
    kind = f"dtype=torch.{str(t.dtype).removeprefix('torch.')}"
    if t.numel() > EMBEDDED:
        if t.is_floating_point():
            return f"torch.randn({tuple(t.shape)}, dtype=torch.float64).to(torch.{str(t.dtype).removeprefix('torch.')})"
        return f"torch.randint({int(t.max()) + 1}, {tuple(t.shape)})"
    text = f"torch.tensor({t.detach().cpu().tolist()!r}, {kind})"
    if any(k == 0 and n > 1 for k, n in zip(t.stride(), t.shape)):
        return f"{text}.as_strided({tuple(t.shape)}, {tuple(t.stride())})"
    if not t.is_contiguous() or t.storage_offset():
        last = t.storage_offset() + sum((n - 1) * k for n, k in zip(t.shape, t.stride())) + 1
        memory = f"torch.full(({last},), torch.nan, {kind})" if t.is_floating_point() else f"torch.zeros({last}, {kind})"
        return f"{memory}.as_strided({tuple(t.shape)}, {tuple(t.stride())}, {t.storage_offset()}).copy_({text})"
    return text


def _source(f: Any, what: str) -> list[str]:
    if isinstance(f, str):
        return [f"# {what}, in index notation:", *(f"#   {line}" for line in f.splitlines())]
    try:
        return textwrap.dedent(inspect.getsource(f)).rstrip().splitlines()
    except (OSError, TypeError):
        name = getattr(f, "__name__", "backward")
        return [f"# put {what} here: its source was not found", f"from your_module import {name}"]
