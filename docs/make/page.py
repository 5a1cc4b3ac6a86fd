"""A page of the gallery: a layer, its derivation, its backward with a proof, and mistakes with what derivcheck says of them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import Any

from examples.gallery import FILES, Layer, Mistake

BETWEEN = "\n\\end{aligned}\n$$\n\n$$\n\\begin{aligned}\n"
FENCE = {"python": "python", "text": "text", "cuda": "cpp"}
SECONDS = 120.0  # what is proved does not hang on how busy the machine is
CALLED = {"python": "torch code", "text": "index text", "cuda": "CUDA source"}


@dataclass(frozen=True)
class Page:
    """A page, and what the table of contents says of it: it is read from the text, also of a page that was made before."""

    layer: str
    text: str

    @property
    def status(self) -> str:
        """Of the right backward's proof: ``proved``, ``undecided`` or ``refuted``."""
        found: list[str] = re.findall(r"^\*\*(\w+)\*\*", self.text, re.MULTILINE)
        return found[0].lower()

    @property
    def told(self) -> list[str]:
        """What is said of each mistake."""
        return re.findall(r"^```text\n(.*?)^```$", self.text.partition("## Mistakes")[2], re.MULTILINE | re.DOTALL)

    @property
    def found(self) -> int:
        """How many mistakes were found."""
        return sum(bool(re.search(r"^refuted|^\S+: \d+ of \d+ gradients? do", t)) for t in self.told)

    @property
    def located(self) -> int:
        """Of how many the line was named."""
        return sum(bool(re.search(r"^ +line ", t, re.MULTILINE)) for t in self.told)

    @property
    def repaired(self) -> int:
        """For how many an edit was offered that makes every gradient right."""
        return sum("\nfix: " in t for t in self.told)


def page(layer: Layer) -> Page:
    """The page of a layer."""
    fence, source = FENCE[layer.language], FILES[layer.name]
    parts = [
        f"# {layer.title}",
        layer.about,
        f"Source: {layer.source}",
        "## Forward",
        _block(layer.forward_listing, fence),
        _dimensions(layer),
        "## Derivation",
        _derivation(layer.derivation),
        *_matrix(layer),
        "## Generated code",
        _block(_code(layer.derivation.source()), "python"),
        "## A backward written by hand",
        _block(layer.listing, fence),
        _verdict(layer),
        "## Mistakes",
        *(part for m in layer.mistakes for part in _mistake(layer, m)),
        "---",
        f"Written by `make docs` from [`examples/gallery/{source}`](../../examples/gallery/{source}). {_lines_of(layer)}",
    ]
    return Page(layer.name, "\n\n".join(p.strip("\n") for p in parts if p) + "\n")


def _block(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def _dimensions(layer: Layer) -> str:
    """The inputs with their dimensions, as ``derive`` takes them."""
    if not layer.dims:
        return ""
    shown = ", ".join(f"`{n}: {d}`" if d else f"`{n}` (a number)" for n, d in layer.dims.items())
    given = "".join(f"; `{n} = {v}`" for n, v in layer.constants.items())
    made_for = f"; made for `{layer.where}`" if layer.where else ""
    return f"Dimensions: {shown}{given}{made_for}."


def _lines_of(layer: Layer) -> str:
    """What the line numbers of reports count in."""
    if layer.language == "text":
        return "Line numbers count in the index text above."
    if layer.file:
        return f"Line numbers are those of [`{layer.file.name}`](../../examples/splatting/{layer.file.name})."
    return "In reports `backward.py` is the backward with the mistake; a line without a file is one of the forward above."


def _formulas(d: Any, style: str) -> str:
    """The derivation's blocks, a level lower, without its title and code; the formulas of a block below each other."""
    text = d.to_markdown(style=style).partition("\n## Generated torch code")[0].partition("\n")[2].strip()
    return re.sub(r"^## ", "### ", text.replace(BETWEEN, " \\\\\n"), flags=re.MULTILINE)


def _derivation(d: Any) -> str:
    """The derivation in indices, its conditions as sentences."""
    lists = r"^### (Conditions|How it was found)\n\n((?:- .*\n?)+)"
    return re.sub(lists, _as_sentence, _formulas(d, "index"), flags=re.MULTILINE)


def _as_sentence(found: re.Match[str]) -> str:
    items = "; ".join(line.removeprefix("- ") for line in found[2].splitlines())
    return f"Under the conditions: {items}.\n" if found[1] == "Conditions" else f"{items[0].upper()}{items[1:]}.\n"


def _matrix(layer: Layer) -> list[str]:
    """The gradients in matrices, where every line has such a form."""
    text = _formulas(layer.derivation, "matrix")
    if "(in indices)" in text:
        return []
    gradients = text.partition("### Gradients by the chain rule")[2].partition("\n### ")[0]
    if r"\mathbf{1}" not in gradients:  # it stands in the forward's lines, which are not shown here
        gradients = re.sub(r"^The bold 1 .*\n*", "", gradients, flags=re.MULTILINE)
    return ["## In matrices", gradients] if gradients else []


def _code(source: str) -> str:
    """The function of a generated file without its docstring and its test of shapes, and the helpers that it calls."""
    tree, lines = ast.parse(source), source.splitlines()
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef))
    head = lines[function.lineno - 1 : function.body[0].lineno - 1]
    rest = [n for n in function.body if not _is_docstring(n) and not _tests_shapes(n)]
    sizes = [ast.unparse(a) for n in function.body if isinstance(n, ast.Try) for a in n.body if _reads_sizes(a)]
    said = [f"    # {ast.get_docstring(function)}", *(f"    {a}" for a in sizes)]
    shown = "\n".join([*head, *said, *lines[rest[0].lineno - 1 : function.end_lineno]])
    helpers = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name != "_shape_error" and f"{n.name}(" in shown]
    return "\n\n\n".join([shown, *("\n".join(lines[n.lineno - 1 : n.end_lineno]) for n in helpers if n is not function)])


def _reads_sizes(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and not any(isinstance(t, ast.Name) and t.id == "fits" for t in node.targets)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _tests_shapes(node: ast.stmt) -> bool:
    return isinstance(node, ast.Try) or (isinstance(node, ast.If) and any(isinstance(n, ast.Raise) for n in node.body))


def _verdict(layer: Layer) -> str:
    """What is known of the right backward."""
    proof = layer.prove(layer.right, SECONDS)
    if proof.status == "proved":
        first, *rest = str(proof).splitlines()
        told = [line for line in rest if line.startswith(("under", "by these"))]
        return f"**Proved**{'; '.join([first, *told]).removeprefix('proved')}."
    said = [f"**{proof.status.capitalize()}**, says `dc.prove`:", "", _block(str(proof), "text")]
    if layer.file is None:
        report = str(layer.check(layer.right)).splitlines()
        said += ["", "`dc.check` says:", "", _block("\n".join(_shortened(line) for line in report), "text")]
    return "\n".join(said)


def _shortened(line: str) -> str:
    """A line of a report, its list of probes counted instead."""
    head, colon, probes = line.partition(" probes: ")
    return f"{head} probes" if colon else line


def _mistake(layer: Layer, mistake: Mistake) -> list[str]:
    """The section of a mistake: why people make it, the line, and what is said."""
    old, new = _lines(layer.listing, mistake)
    diff = "\n".join([*(f"- {line}" for line in old), *(f"+ {line}" for line in new)])
    return [f"### {mistake.name.capitalize()}", mistake.why, _block(diff, "diff"), _block(_told(layer, mistake), "text")]


def _told(layer: Layer, mistake: Mistake) -> str:
    """What derivcheck says of a mistake: a check of torch code, a proof of index text and CUDA source; and its fix."""
    backward = layer.mistaken(mistake)
    if layer.language == "python":
        report = layer.check(backward)
        said, fix = str(report), next((r.fix for r in report if r.fix is not None), None)
    else:
        proof = layer.prove(backward, SECONDS)
        said, fix = str(proof), proof.fix
    text = "\n".join(line for line in said.splitlines() if not line.lstrip().startswith("next: "))
    return text if fix is None else f"{text}\n\nfix: {replace(fix, alternatives=())}"


def _lines(listing: str, mistake: Mistake) -> tuple[list[str], list[str]]:
    """The whole lines that a mistake changes, before and after."""
    start = listing.rfind("\n", 0, listing.index(mistake.right)) + 1
    end = listing.find("\n", listing.index(mistake.right) + len(mistake.right))
    old = listing[start : len(listing) if end < 0 else end]
    return old.splitlines(), old.replace(mistake.right, mistake.wrong).splitlines()
