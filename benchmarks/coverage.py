"""How much of PyTorch derives: its own sample inputs for torch.nn and for its operators, gradients held against autograd.

    python -m benchmarks.coverage [--samples K] [--seconds S]

An entry is right only where every sample tried is right: the value and the gradient of each floating input, in float64.  The
table goes to docs/coverage.md, the counts into the README between its two marks.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import inspect
import io
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import derivcheck as dc
from benchmarks.edge_samples import Figure, figures

ROOT = Path(__file__).parent.parent
MARKS = ("<!-- coverage: written by make coverage -->", "<!-- /coverage -->")
STATES = ("right", "in part", "unsupported", "wrong", "unclear error", "late")


@dataclass(frozen=True)
class Sample:
    """One call of an entry: how to derive it, its tensors by name, and the same call in torch as a function of them."""

    derive: Callable[[], dc.Derivation]
    tensors: dict[str, Tensor]
    reference: Callable[[dict[str, Tensor]], list[Tensor]]


@dataclass
class Result:
    """What became of an entry.  ``why`` are the sentences of the samples that were not right."""

    name: str
    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    why: list[str] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """One of :data:`STATES`, or ``none`` where no sample could be tried."""
        if not self.kinds:
            return "none"
        for bad in ("wrong", "unclear error", "late"):
            if self.kinds[bad]:
                return bad
        if self.kinds["unsupported"]:
            return "in part" if self.kinds["right"] else "unsupported"
        return "right"


def floating(out: Any) -> list[Tensor]:
    """The floating-point tensors of an output, flattened: what a grad_output is given for."""
    leaves = torch.utils._pytree.tree_leaves(out)
    return [t for t in leaves if isinstance(t, Tensor) and t.is_floating_point()]


def module_entries() -> Iterator[tuple[str, Callable[[int], Iterator[Sample]]]]:
    """The entries of torch.nn that PyTorch tests itself with."""
    from torch.testing._internal.common_modules import module_db

    for info in module_db:
        yield info.module_cls.__name__, lambda most, info=info: _module_samples(info, most)  # type: ignore[misc]


def _module_samples(info: Any, most: int) -> Iterator[Sample]:
    torch.manual_seed(0)
    drawn = list(info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=False, training=True))
    for given in drawn[:most]:
        torch.manual_seed(0)
        try:
            module = info.module_cls(*given.constructor_input.args, **given.constructor_input.kwargs).to(torch.float64).train()
            args, kwargs = given.forward_input.args, given.forward_input.kwargs
            module(*args, **kwargs)  # lazy modules take their shape here
        except Exception:
            continue
        if any("Dropout" in type(m).__name__ for m in module.modules()):
            module.eval()
        names = list(inspect.signature(module.forward).parameters)
        if not all(isinstance(a, Tensor) for a in args):
            continue
        data = dict(zip(names, args)) | {k: v for k, v in kwargs.items() if isinstance(v, Tensor)}
        own = {k.replace(".", "_"): k for k, _ in module.named_parameters()}
        parameters = {k: module.get_parameter(v).detach() for k, v in own.items()}
        others = {k: v for k, v in kwargs.items() if not isinstance(v, Tensor)}
        first = names[: len(args)]

        def reference(
            leaf: dict[str, Tensor],
            module: Any = module,
            own: Any = own,
            first: Any = first,
            data: Any = data,
            others: Any = others,
        ) -> list[Tensor]:
            state = {real: leaf[k] for k, real in own.items()}
            named = {k: leaf[k] for k in data if k not in first}
            return floating(torch.func.functional_call(module, state, tuple(leaf[k] for k in first), {**named, **others}))

        yield Sample(lambda m=module, a=args, k=kwargs: dc.derive(m, *a, **k), {**data, **parameters}, reference)  # type: ignore[misc]


def op_entries() -> Iterator[tuple[str, Callable[[int], Iterator[Sample]]]]:
    """The operators that PyTorch tests itself with, those that have a gradient and take float64."""
    from torch.testing._internal.common_methods_invocations import op_db

    for op in op_db:
        if op.supports_autograd and torch.float64 in op.supported_dtypes("cpu"):  # type: ignore[no-untyped-call]
            name = op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")
            yield name, lambda most, op=op: _op_samples(op, most)  # type: ignore[misc]


def _op_samples(op: Any, most: int) -> Iterator[Sample]:
    torch.manual_seed(0)
    for given in list(op.sample_inputs("cpu", torch.float64, requires_grad=True))[:most]:
        tensors: dict[str, Tensor] = {}
        slots = [_slot(v, tensors) for v in [given.input, *given.args]]
        if not any(t.is_floating_point() for t in tensors.values()):
            continue

        def call(leaf: dict[str, Tensor], slots: Any = slots, kwargs: Any = given.kwargs) -> Any:
            return op(*(_fill(s, leaf) for s in slots), **kwargs)

        try:
            leaf = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in tensors.items()}
            if not any(o.requires_grad for o in floating(call(leaf))):
                continue
        except Exception:
            continue
        f = _named(call, list(tensors))
        yield Sample(lambda f=f, t=tensors: dc.derive(f, **t), tensors, lambda leaf, call=call: floating(call(leaf)))  # type: ignore[misc]


def _slot(value: Any, tensors: dict[str, Tensor]) -> tuple[str, Any]:
    """An argument with each real strided tensor replaced by the name that it goes by."""
    if isinstance(value, Tensor) and value.layout == torch.strided and not value.is_complex():
        name = f"a{len(tensors)}"
        tensors[name] = value.detach()
        return "name", name
    if isinstance(value, (list, tuple)) and any(isinstance(e, Tensor) for e in value):
        return "list", [_slot(e, tensors) for e in value]
    return "value", value


def _fill(slot: tuple[str, Any], leaf: dict[str, Tensor]) -> Any:
    kind, value = slot
    return leaf[value] if kind == "name" else [_fill(e, leaf) for e in value] if kind == "list" else value


def _named(call: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """``call`` as a function of tensors with these parameter names."""

    def f(*args: Tensor, **kwargs: Tensor) -> Any:
        return call({**dict(zip(names, args)), **kwargs})

    f.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names])  # type: ignore[attr-defined]
    return f


class _Late(Exception):
    pass


@contextlib.contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Stop what takes longer."""

    def late(*_: Any) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(sample: Sample, seconds: int = 20) -> tuple[str, str, str]:
    """``(kind, sentence, operator)``: the value and gradients of one sample against autograd's."""
    try:
        with limit(seconds), contextlib.redirect_stdout(io.StringIO()):
            kind, why = _held(sample)
            return kind, why, ""
    except _Late:
        return "late", f"over {seconds} s", ""
    except dc.UnsupportedOperation as e:
        return "unsupported", e.reason, e.operator
    except Exception as e:
        return "unclear error", f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}", ""


def _held(sample: Sample) -> tuple[str, str]:
    derivation = sample.derive()
    fixed: set[str] = set()  # what torch itself does not differentiate in (the target of soft_margin_loss)
    while True:
        leaf = {
            k: v.detach().clone().requires_grad_(v.is_floating_point() and k not in fixed) for k, v in sample.tensors.items()
        }
        try:
            outs = sample.reference(leaf)
            break
        except RuntimeError as e:
            if "not differentiable with respect to argument" not in str(e) or fixed:
                raise
            fixed = {"target"} & set(leaf)
    torch.manual_seed(1)
    ups = [torch.randn_like(o).detach() for o in outs]
    names = [k for k, v in leaf.items() if v.requires_grad]
    live = [(o, u) for o, u in zip(outs, ups) if o.requires_grad]
    want = torch.autograd.grad([o for o, _ in live], [leaf[k] for k in names], [u for _, u in live], allow_unused=True)
    plain = {k: v.detach() for k, v in sample.tensors.items()}
    value, grads = derivation.compile()(**plain, grad_output=ups[0] if len(ups) == 1 else tuple(ups))
    for have, o in zip(floating(value), outs, strict=True):
        if have.shape != o.shape or not torch.allclose(have, o.detach(), rtol=1e-9, atol=1e-11, equal_nan=True):
            return "wrong", "the value differs"
    for k, w in zip(names, want):
        if k not in grads:
            return "wrong", f"no gradient for {k}"
        wanted = torch.zeros_like(leaf[k]) if w is None else w
        if grads[k].shape != wanted.shape or not torch.allclose(grads[k], wanted, rtol=1e-7, atol=1e-9, equal_nan=True):
            return "wrong", f"the gradient of {k} differs"
    return "right", ""


def run(entries: Iterator[tuple[str, Callable[[int], Iterator[Sample]]]], samples: int, seconds: int) -> list[Result]:
    """Each entry with what became of its samples."""
    found = []
    for name, make in entries:
        result = Result(name)
        try:
            drawn = list(make(samples))
        except Exception as e:
            result.kinds["unclear error"] += 1
            result.why.append(f"sample inputs: {e}")
            drawn = []
        for sample in drawn:
            kind, why, operator = judge(sample, seconds)
            result.kinds[kind] += 1
            if kind != "right":
                result.why.append(why)
                result.operators.append(operator)
        found.append(result)
    return found


MECHANISMS = {
    "values decide shapes or control flow": r"data-dependent|depends on the data|Python number of a tensor",
    "complex numbers": r"complex",
    "random without a mask": r"random|draw|dropout",
    "sort-like": r"\b(sort|topk|median|kthvalue|mode|argsort|unique|quantile|msort)",
    "linear algebra": r"linalg|cholesky|inverse|\bqr\b|svd|\beig|\blu|\bdet\b|slogdet|triangular|solve|matrix_exp|lstsq|lobpcg",
    "sizes that are no function of the inputs' sizes": r"function of the sizes|depend on the sizes|depends on a size",
    "Fourier transforms": r"fft|stft",
}


def mechanism(result: Result) -> str:
    """Why an entry is unsupported, in one of a few classes; the rest has no row."""
    text = " ".join([*result.operators, *result.why])
    return next((name for name, pattern in MECHANISMS.items() if re.search(pattern, text)), "no row yet")


def counts(results: Sequence[Result]) -> dict[str, int]:
    """Entries by state, those that could be tried."""
    found = collections.Counter(r.state for r in results)
    return {s: found[s] for s in STATES}


def summary(what: str, results: Sequence[Result]) -> str:
    """One line."""
    n = counts(results)
    tried = sum(n.values())
    rest = ", ".join(f"{n[s]} {s}" for s in STATES[1:])
    return f"{what}: {n['right']} of {tried} right; {rest}"


def page(parts: dict[str, list[Result]], edges: Sequence[Figure]) -> str:
    """docs/coverage.md."""
    lines = [
        "# What derives",
        "",
        "PyTorch's own sample inputs, value and gradients against autograd in float64; written by `make coverage`.",
        "Edge samples of our own (kinks, ties, infinities, saturation, empty tensors) are counted apart, below.",
        "",
        "## Edge samples of our own",
        "",
        *(f"- {figure}" for figure in edges),
        "",
    ]
    for what, results in parts.items():
        lines += [f"## {what}", "", summary(what, results), "", "| why not | entries |", "|---|---|"]
        missing = collections.defaultdict(list)
        for r in results:
            if r.state in ("unsupported", "in part"):
                missing[mechanism(r)].append(r.name)
        lines += [
            f"| {why} | {len(names)}: {', '.join(names)} |" for why, names in sorted(missing.items(), key=lambda t: -len(t[1]))
        ]
        lines += ["", "| entry | state | samples | |", "|---|---|---|---|"]
        for r in results:
            if r.state not in ("right", "none"):
                said = (r.why[0] if r.why else "").replace("|", "\\|")
                lines.append(f"| {r.name} | {r.state} | {', '.join(f'{v} {k}' for k, v in r.kinds.items())} | {said[:160]} |")
        lines.append("")
    return "\n".join(lines)


def into_readme(parts: dict[str, list[Result]], edges: Sequence[Figure], readme: Path) -> None:
    """The counts between the README's two marks."""
    text = readme.read_text(encoding="utf-8")
    if not all(m in text for m in MARKS):
        return
    lines = [f"- {summary(what, results)}." for what, results in parts.items()]
    lines += [f"- Edge samples of our own, {figure}." for figure in edges]
    why: collections.Counter[str] = collections.Counter(
        mechanism(r) for results in parts.values() for r in results if r.state in ("unsupported", "in part")
    )
    lines.append("- Not supported, by reason: " + "; ".join(f"{name} {n}" for name, n in why.most_common()) + ".")
    head, _, rest = text.partition(MARKS[0])
    _, _, tail = rest.partition(MARKS[1])
    readme.write_text(f"{head}{MARKS[0]}\n" + "\n".join(lines) + f"\n{MARKS[1]}{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive PyTorch's own sample inputs and write docs/coverage.md.")
    parser.add_argument("--samples", type=int, default=4, help="samples per entry")
    parser.add_argument("--seconds", type=int, default=20, help="the limit for one sample")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    parts = {}
    for what, entries in {"torch.nn": module_entries(), "torch operators": op_entries()}.items():
        start = time.perf_counter()
        parts[what] = run(entries, given.samples, given.seconds)
        print(f"{summary(what, parts[what])} ({time.perf_counter() - start:.0f} s)", flush=True)
    edges = figures()
    for figure in edges:
        print(figure, flush=True)
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "coverage.md").write_text(page(parts, edges), encoding="utf-8")
    into_readme(parts, edges, ROOT / "README.md")
    bad = sum(counts(results)[s] for results in parts.values() for s in ("wrong", "unclear error", "late"))
    bad += sum(figure.wrong for figure in edges)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
