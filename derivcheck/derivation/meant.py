"""Which gradient a backward means by a name: ``h``, ``h_bar``, ``grad_h``, ``h_grad``, ``dh`` and ``d_h`` are that of ``h``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from derivcheck.derivation.sweep import bar_names
from derivcheck.notation.program.program import Program

_BEFORE, _AFTER = ("grad_", "d_", "d"), ("_bar", "_grad")


def meant(program: Program, adjoint: Program) -> Mapping[str, str]:
    """The gradients that a backward may return by name, each with what defines it in the adjoint.

    A name of the forward means the gradient of what bears it there, and never its value; a name of the adjoint is that
    definition.  Only a name that is neither is read as another spelling (see :func:`gradient_of`).

    >>> from derivcheck.notation.text.parse import parse_program
    >>> from derivcheck.derivation.sweep import adjoint
    >>> p = parse_program("h[n] := h_bar[n]^2; y[n] := sin(h[n])", {"h_bar": "N"})
    >>> [meant(p, adjoint(p))[n] for n in ("h_bar", "h", "y", "h_bar_bar_bar")]
    ['h_bar_bar', 'h_bar_bar_bar', 'grad_output', 'h_bar_bar_bar']
    """
    defined = {d.name for d in adjoint.definitions}
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    ups = (a.name for a in adjoint.arguments if a.role == "upstream")
    upstream = {o: u for o, u in zip(floats, ups) if floats.count(o) == 1}
    found: dict[str, str] = {}
    for name, bar in bar_names(program).items():
        if bar in defined:
            found[name] = bar
        elif name in upstream:
            found[name] = upstream[name]
    own = {*program.inputs, *(d.name for d in program.definitions)}
    found.update({d.name: d.name for d in adjoint.definitions if d.name not in own})
    return found


def gradient_of(name: str, known: Mapping[str, str], own: frozenset[str]) -> str | None:
    """What defines the gradient that a backward returns as ``name``, or None where it names none, or more than one.

    Args:
        known: see :func:`meant`.
        own: the names of the forward, which mean nothing else.

    >>> gradient_of("dh", {"h": "h_bar", "h_bar": "h_bar"}, frozenset({"x", "h"}))
    'h_bar'
    >>> gradient_of("dh", {"h": "h_bar"}, frozenset({"h", "dh"})) is None
    True
    """
    if name in known or name in own:
        return known.get(name)
    others = {known[base] for base in _bases(name) if base in known}
    return others.pop() if len(others) == 1 else None


def _bases(name: str) -> Iterator[str]:
    yield from (name.removeprefix(p) for p in _BEFORE if name.startswith(p))
    yield from (name.removesuffix(p) for p in _AFTER if name.endswith(p))
