"""What is dropped while terms are built: ``0·log x`` is 0, ``x/x`` is 1, but only where the dropped part is defined.

Building tells of each such part to whoever listens; what it means for a Program is said in
:mod:`derivcheck.notation.program.domains`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from derivcheck.notation.terms.nodes import Term

_heard: ContextVar[dict[Term, None] | None] = ContextVar("dropped", default=None)


@contextmanager
def listening() -> Iterator[dict[Term, None]]:
    """Collect the terms that are dropped inside, in order.

    >>> from derivcheck.notation.terms.build import ZERO, div, func, mul, ref
    >>> with listening() as dropped:
    ...     total = mul(ZERO, func("log", ref("x"))), div(ref("x"), ref("x"))
    >>> list(dropped)
    [log(x), 1/x, x]
    """
    found: dict[Term, None] = {}
    token = _heard.set(found)
    try:
        yield found
    finally:
        _heard.reset(token)


def drop(*terms: Term) -> None:
    """Tell that terms stand no more where they were written."""
    heard = _heard.get()
    if heard is not None:
        heard.update(dict.fromkeys(terms))
