"""What the library says, in the command's own spelling: ``--dims 'x: N in'``, where a call has ``dims={"x": "N in"}``."""

from __future__ import annotations

import re
from collections.abc import Collection

OPTIONS = ("dims", "where", "wrt", "reference", "strict", "dtype", "device", "seed")  # of check, which reports speak of
_ENTRY = re.compile(r"""(?P<q>["'])(?P<name>\w+)(?P=q)\s*:\s*(?:(?P<r>["'])(?P<dims>.*?)(?P=r)|(?P<open>…|\.\.\.))""")
_DICT = re.compile(r"\b(\w+)=\{([^{}]*)\}")
_TEXT = re.compile(r"""\b(\w+)=((["']).*?\3)""")
_TRUE = re.compile(r"\b(\w+)=True\b")
_BARE = re.compile(r"(?<![-\w.])([a-z_]+)=(?:\[\.\.\.\])?(?=[\s,;:.)]|$)")
_SUBJECT = re.compile(r"(?<![-\w'])(dims|where|wrt) (?=names |says |of ')")
_IN_PYTHON = (  # what only a caller can do, and what the command has in its place
    (re.compile(r"no example, dims or constant for (.*?); give tensors by keyword, or dims=\{\.\.\.\}"),
     r"neither --dims nor --const gives \1; give a tensor with --dims, as in 'x: N in', another value with --const"),
    (re.compile(r"give example inputs \([^()]*\(?[^()]*\)?[^()]*\) or (?=dims=)"), "give "),
    (re.compile(r"(dims=\{\.\.\.\}) or constants\b"), r"\1 or --const"),
    (re.compile(r"leave it out of wrt\b"), "leave it out of --wrt"),
    (re.compile(r"report\.reproducer\(\), or --reproducer FILE\.py on the command line, shows"), "--reproducer FILE.py shows"),
)  # fmt: skip


def spelled(text: str, options: Collection[str]) -> str:
    """A message of the library as the command says it.

    Args:
        options: those of the command, as its function's parameters; other words stay as they are.

    >>> spelled('give dims={"x": "N in", "W": "out in"}, or strict=True', ["dims", "strict"])
    "give --dims 'x: N in; W: out in', or --strict"
    >>> spelled("wrt names 'q'; eps=1e-5 stays, and so does loss=", ["wrt"])
    "--wrt names 'q'; eps=1e-5 stays, and so does loss="
    """
    for pattern, instead in _IN_PYTHON:
        if "--const" not in instead or "const" in options:
            text = pattern.sub(instead, text)

    def option(name: str) -> str:
        return "--" + name.replace("_", "-")

    def mapping(found: re.Match[str]) -> str:
        if found[1] not in options:
            return found[0]
        entries = [f"{e['name']}: {e['dims'] if e['open'] is None else '…'}" for e in _ENTRY.finditer(found[2])]
        return option(found[1]) + (f" '{'; '.join(entries)}'" if entries else "")

    def one(found: re.Match[str]) -> str:
        return option(found[1]) if found[1] in options else found[0]

    text = _DICT.sub(mapping, text)
    text = _TEXT.sub(lambda m: f"{option(m[1])} {m[2]}" if m[1] in options else m[0], text)
    for pattern in (_TRUE, _BARE):
        text = pattern.sub(one, text)
    return _SUBJECT.sub(lambda m: f"{option(m[1])} " if m[1] in options else m[0], text)


def sentence(text: str) -> str:
    """A message with one full stop at its end; what ends otherwise (a question, an ellipsis, several lines) stays.

    >>> sentence("there is no file x.py"), sentence("it stopped.."), sentence("did you mean 'x'?")
    ('there is no file x.py.', 'it stopped.', "did you mean 'x'?")
    """
    text = text.rstrip()
    if "\n" in text or text.endswith(("?", "!", "…", "...")):
        return text
    return text.rstrip(".") + "."
