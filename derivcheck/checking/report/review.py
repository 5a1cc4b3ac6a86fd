"""What a check found, for a review of the code: GitHub's annotations, and SARIF 2.1.0 with the fix as replacements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from derivcheck import __version__
from derivcheck.checking.report.report import Report
from derivcheck.checking.report.row import Row

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RULES = {  # the verdicts that are no pass, in words
    "wrong": "A gradient is wrong",
    "missing": "A backward returns no gradient where one is due",
    "extra": "A backward returns a gradient where none is due",
    "shape": "A gradient has another shape than its input",
    "dtype": "A gradient has another type than its input",
    "changed input": "A backward changes its inputs",
    "raised": "A backward raises",
    "vacuous": "The arithmetic of this type cannot tell whether a gradient is right",
    "right but ill-conditioned": "A gradient is right, and computed in an unstable way",
    "undecided": "The ways of finding a gradient disagree",
    "not reproduced": "The derivation is not the forward; nothing is said of its gradient",
}


@dataclass(frozen=True)
class ReviewFinding:
    """One gradient that is no pass, with its place in the code.

    Attributes:
        rule: the verdict.
        sure: whether it is surely wrong (an error), or open (a warning).
        file, line: where; line 0 where no place is known.
        fix: edits of the code that make every gradient right, as plain data (``file``, ``line``, ``old``, ``new``).
        words: what the fix says was wrong, and how it is known to be right.
    """

    rule: str
    sure: bool
    title: str
    message: str
    file: str = ""
    line: int = 0
    fix: Sequence[Mapping[str, Any]] = field(default=())
    words: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def findings(report: Report, place: tuple[str, int] = ("", 0)) -> list[ReviewFinding]:
    """What a review is to see of a report; ``place`` is where the backward is defined, for what has no line of its own."""
    return [_finding(report, r, place) for r in report.failures]


def _finding(report: Report, r: Row, place: tuple[str, int]) -> ReviewFinding:
    """A gradient that did not pass, its line and its fix."""
    said = [r.sentence() + (f", shown by {r.where}" if r.where else "")]
    said += [f"likely: {r.diagnosis}"] if r.faulty and r.diagnosis is not None else []
    fix = r.fix if r.faulty else None
    line = next(iter(r.lines), None) if r.faulty else None
    if line is not None:
        said.append(f"line {line}")
        place = line.file, line.line
    edits = [] if fix is None or fix.texts else [e.to_dict() for e in fix.edits]
    words = f"{fix.words} ({fix.known})" if fix is not None else ""
    return ReviewFinding(r.verdict, r.faulty, f"{report.name}: {r.name}: {r.verdict}", "\n".join(said), *place, edits, words)


def github(found: Iterable[ReviewFinding]) -> str:
    """A line of GitHub's workflow commands for each finding, its fix in its text.

    >>> print(github([ReviewFinding("wrong", True, "f: x: wrong", "100% wrong", "layer.py", 7)]))
    ::error file=layer.py,line=7,title=f%3A x%3A wrong::100%25 wrong
    """
    return "\n".join(_annotation(f) for f in found)


def _annotation(f: ReviewFinding) -> str:
    """One workflow command."""
    where = {"file": _relative(f.file).as_posix(), "line": str(f.line)} if f.line else {}
    properties = ",".join(f"{n}={_property(v)}" for n, v in {**where, "title": f.title}.items())
    lines = [f.message]
    for e in f.fix:
        lines += [
            f"fix, {_relative(e['file']).as_posix()}:{e['line']}: {f.words}",
            *_signed("-", e["old"]),
            *_signed("+", e["new"]),
        ]
    return f"::{'error' if f.sure else 'warning'} {properties}::{_data(chr(10).join(lines))}"


def _signed(sign: str, text: str) -> list[str]:
    return [f"{sign} {line}" for line in text.splitlines()]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _relative(file: str) -> Path:
    """A file as seen from here, where it stands below."""
    path, here = Path(file).resolve(), Path.cwd().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path


def sarif(found: Sequence[ReviewFinding]) -> str:
    """A SARIF 2.1.0 log (JSON), a result for each finding, with the fix as replacements of text.

    >>> log = json.loads(sarif([ReviewFinding("wrong", True, "f: x: wrong", "wrong", "layer.py", 7)]))
    >>> log["version"], log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"]
    ('2.1.0', 7)
    """
    rules = [r for r in RULES if any(f.rule == r for f in found)]
    driver = {"name": "derivcheck", "version": __version__, "rules": [_rule(r) for r in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, rules.index(f.rule)) for f in found],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule(verdict: str) -> dict[str, Any]:
    text = {"text": f"{RULES[verdict]}."}
    return {
        "id": _rule_id(verdict),
        "name": "".join(w.capitalize() for w in _rule_id(verdict).split("-")),
        "shortDescription": text,
    }


def _rule_id(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _result(f: ReviewFinding, index: int) -> dict[str, Any]:
    """A finding as a result: its rule, its text, its place, its fix."""
    result: dict[str, Any] = {
        "ruleId": _rule_id(f.rule),
        "ruleIndex": index,
        "level": "error" if f.sure else "warning",
        "message": {"text": f"{f.title}\n{f.message}"},
    }
    if f.line:
        region = {"startLine": f.line}
        result["locations"] = [{"physicalLocation": {"artifactLocation": _artifact(f.file), "region": region}}]
    if f.fix:
        changes = [
            {"artifactLocation": _artifact(file), "replacements": [_replacement(e) for e in f.fix if e["file"] == file]}
            for file in dict.fromkeys(e["file"] for e in f.fix)
        ]
        result["fixes"] = [{"description": {"text": f.words}, "artifactChanges": changes}]
    return result


def _artifact(file: str) -> dict[str, str]:
    """A file by its address below the folder that the command runs in, or by its whole address."""
    path = _relative(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}


def _replacement(edit: Mapping[str, Any]) -> dict[str, Any]:
    """The edit of whole lines as text that goes, with its end of line where nothing comes in its place, and text that comes."""
    first, old, new = int(edit["line"]), str(edit["old"]).split("\n"), str(edit["new"])
    last = first + len(old) - 1
    region = {"startLine": first, "startColumn": 1, "endLine": last, "endColumn": len(old[-1]) + 1}
    if not new:
        region |= {"endLine": last + 1, "endColumn": 1}
        return {"deletedRegion": region}
    return {"deletedRegion": region, "insertedContent": {"text": new.replace("\n", _ending(str(edit["file"])))}}


def _ending(file: str) -> str:
    """How the lines of a file end."""
    try:
        return "\r\n" if b"\r\n" in Path(file).read_bytes() else "\n"
    except OSError:
        return "\n"


def gathered(parts: Iterable[Mapping[str, Any]]) -> Iterator[ReviewFinding]:
    """The findings that :meth:`ReviewFinding.to_dict` gave."""
    for p in parts:
        yield ReviewFinding(**p)
