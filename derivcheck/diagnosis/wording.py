"""Sentences in the names that the user has: what has no name in their code is shown by its code.

A definition of a traced forward that no variable is assigned bears a name of the tracer's (``z_3``), and a variable that is
assigned twice a number (``h_1``).  Nobody can look these up.
"""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Iterable
from pathlib import Path

from derivcheck.notation.program.definitions import Definition, Site
from derivcheck.notation.program.program import Program
from derivcheck.tracing.recording.data import CallSite
from derivcheck.tracing.recording.naming import assigned

MOST = 60
_WORD = re.compile(r"[A-Za-z]{3,}")
_NAME = re.compile(r"(?<![\w.`'])([^\W\d]\w*)(\[[^\[\]]*\])?(?![\w(])")
_PATH = re.compile(r"(\bthe path through )([^\W\d]\w*)")
_NOUN, _WORDS = re.compile(r" [a-z]{3,}\b"), ("mean", "sum", "output", "product", "variance")
_SAME = re.compile(r"(what line \d+ of \S+ computes) is read where \1 is meant")
_CODE = re.compile(r"(`[^`]*`)")


def in_own_names(sentence: str, forward: Program, adjoint: Program) -> str:
    """The sentence with each name of the tracer's replaced by the code that it stands for."""
    shown = {d.name: text for d in forward.definitions if d.sites and (text := _shown(d, forward)) is not None}
    if not any(d.sites for d in forward.definitions):
        return sentence  # index text: every name is the user's
    indices = {i.key for p in (forward, adjoint) for d in p.definitions for i in d.indices}
    taken = {*forward.names, *adjoint.names}

    def new(m: re.Match[str]) -> str:
        """The name and positions as a reader knows them: the user's variable, ``the gradient of`` one, letters for indices."""
        name, at = m[1], m[2] or ""
        if not at and _is_english(m):
            return name
        base = name.removesuffix("_detached").removesuffix("_bar")
        if name in shown:
            return shown[name]
        if base in shown and name.endswith("_bar"):
            return f"the gradient of {shown[base]}"
        if name.endswith("_bar") and name in adjoint.names and base in forward.names:
            return f"the gradient of {base}{_letters(at)}"
        if name in taken and name not in forward.inputs and (known := shown.get(base)) is not None:
            return known
        return f"{_letter(name) if name not in taken else name}{_letters(at)}"

    through = {d.name: name for d in forward.definitions if d.name in shown and (name := _towards(d, forward)) is not None}
    sentence = _PATH.sub(lambda m: f"{m[1]}{through.get(m[2], m[2])}", sentence)
    parts = _CODE.split(sentence)
    said = "".join(p if p.startswith("`") else _NAME.sub(new, p) for p in parts) if indices or shown else sentence
    said = _SAME.sub(r"of \1, one value is read where another is meant", said)
    said = said.replace("the path through a step of", "the path through")
    return said.replace("in the gradient of the gradient of", "in the gradient of")


def _is_english(m: re.Match[str]) -> bool:
    """Whether what looks like a tracer's name is a word of the sentence: an article, or ``the mean``."""
    before, after = m.string[: m.start()], m.string[m.end() :]
    return (m[1] == "a" and _NOUN.match(after) is not None) or (m[1] in _WORDS and before.endswith((" the ", "The ")))


def _letter(name: str) -> str:
    """An index that is told apart by a number, told apart by a stroke."""
    m = re.fullmatch(r"([a-z])_(\d)", name)
    return name if m is None else m[1] + "'" * int(m[2])


def _letters(at: str) -> str:
    return re.sub(r"\b([a-z])_(\d)\b", lambda m: m[1] + "'" * int(m[2]), at)


def _shown(d: Definition, program: Program) -> str | None:
    """What stands for a definition in a sentence; None where its name is the user's own."""
    names = {n for s in d.sites for n in assigned(CallSite(s.file, s.line, s.function, 0, 0)) or ()}
    base = re.sub(r"_\d+$", "", d.name)
    if d.name in names:
        return None
    site = d.sites[0]
    where = f"(line {site.line})"
    if base in names and _last(d, program.definitions):
        return f"{base} {where}"
    if not _last(d, program.definitions) and _WORD.match(base):
        return base  # a step inside an operator, by its name in the field
    if d.name in program.outputs and len(program.outputs) == 1:
        return "the output"
    code = _code(site)
    if code is None:
        return f"what line {site.line} of {Path(site.file).name} computes"
    return f"`{code}` {where}" if _last(d, program.definitions) else f"a step of `{code}` {where}"


def code_of(d: Definition, program: Program) -> str | None:
    """The user's code of a definition, whole; None where it is a step inside an operator, or the code is not at hand."""
    code = _code(d.sites[0]) if d.sites and _last(d, program.definitions) else None
    return None if code is None or code.endswith("…") else code


def _towards(d: Definition, program: Program) -> str | None:
    """The variable that the statement assigns in which a step without a name stands."""
    s = d.sites[0]
    names = assigned(CallSite(s.file, s.line, s.function, 0, 0)) or []
    return names[0] if len(names) == 1 and names[0] in program.names and names[0] != d.name else None


def _last(d: Definition, every: Iterable[Definition]) -> bool:
    """Whether it is the result of its operator, and not a step inside."""
    same = [x for x in every if x.sites and x.sites[0] == d.sites[0]]
    return same[-1] is d


def _code(site: Site) -> str | None:
    """The code of an expression, on one line."""
    span = site.span
    if span is None or None in span:
        return None
    first, last, start, end = span
    lines = [linecache.getline(site.file, n).rstrip("\n") for n in range(first, last + 1)]  # type: ignore[operator, arg-type]
    if not lines or not lines[0]:
        return None
    lines[-1] = lines[-1].encode()[:end].decode()
    lines[0] = lines[0].encode()[start:].decode()
    text = " ".join(" ".join(lines).split())
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return None
    return text if len(text) <= MOST else text[: MOST - 1] + "…"
