"""A factor that was fitted on numbers, read as a number times powers of sizes and spelled in the user's own variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from derivcheck.diagnosis.scale import Powers, monomial_candidates
from derivcheck.diagnosis.scene import Array

MOST = 12  # of numerator and denominator
READINGS = 8


def readings(c: float, sizes: Mapping[str, int], env: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Spellings of a factor, simplest first: the text that follows a factor (``* 2 / N``), words, and a cost.

    >>> list(readings(-1.0, {"N": 3}, {}))[0]
    (' * -1', '-1', 0.0)
    >>> list(readings(1 / 3, {"N": 3}, {"N": 3}))[0]
    (' / N', '1/N', 0.3)
    """
    found: list[tuple[float, int, Fraction, list[tuple[str, Fraction]], Powers]] = []
    plain = _rational(c)
    if plain is not None:
        found.append((0.0 if abs(plain) in (1, 2, Fraction(1, 2)) else 0.4, 0, plain, [], ()))
    texts: dict[str, str | None] = {}
    monomials, values = _monomials(tuple(sizes.items()))
    for k, rational in _fitting(c / values) if len(values) else ():
        powers = monomials[k]
        for n, _ in powers:
            texts[n] = texts[n] if n in texts else spelled(n, sizes, env)
        parts = [(text, e) for n, e in powers if (text := texts[n]) is not None]
        if len(parts) < len(powers):
            continue
        cost = 0.3 * float(sum(abs(e) if e.denominator == 1 else 1 for _, e in powers)) + (0 if abs(rational) == 1 else 0.3)
        cost += 0.2 * sum(len(t) > 12 for t, _ in parts)
        found.append((cost, len(found), rational, parts, powers))
    for cost, _, rational, parts, powers in sorted(found, key=lambda f: f[:2])[:READINGS]:
        yield _text(rational, parts), _said(rational, list(powers)), cost


_made: dict[tuple[tuple[str, int], ...], tuple[list[Powers], Array]] = {}
_FRACTIONS = sorted({Fraction(p, q) for p in range(1, MOST + 1) for q in range(1, MOST + 1)})
_NUMBERS = np.array([float(f) for f in _FRACTIONS])


def _monomials(sizes: tuple[tuple[str, int], ...]) -> tuple[list[Powers], Array]:
    """Products of powers of sizes with their values, and those with ``N - 1`` in them, simplest first."""
    if sizes not in _made:
        if len(_made) > 256:
            _made.clear()
        known = dict(sizes)
        plain = [p for p in monomial_candidates(tuple(known)) if p]
        less = [((f"{n} - 1", Fraction(e)), *more) for n in known for e in (1, -1) for more in ((), ((n, Fraction(-e)),))]
        value = {**known, **{f"{n} - 1": v - 1 for n, v in known.items()}}
        good = [(p, v) for p in (*plain, *less) if (v := _value(p, value)) != 0]
        _made[sizes] = [p for p, _ in good], np.array([v for _, v in good])
    return _made[sizes]


def _fitting(ratios: Array) -> list[tuple[int, Fraction]]:
    """Which of the ratios are plain fractions."""
    size = np.abs(ratios)
    near = np.clip(np.searchsorted(_NUMBERS, size), 1, len(_NUMBERS) - 1)
    near = np.where(np.abs(_NUMBERS[near - 1] - size) < np.abs(_NUMBERS[near] - size), near - 1, near)
    good = np.flatnonzero(np.abs(_NUMBERS[near] - size) <= 1e-7 * size)
    return [(int(k), _FRACTIONS[int(near[k])] * (1 if ratios[k] > 0 else -1)) for k in good]


def _value(powers: Powers, sizes: Mapping[str, int]) -> float:
    out = 1.0
    for n, e in powers:
        if sizes[n] <= 0:
            return 0.0
        out *= float(sizes[n]) ** float(e)
    return out


def _rational(c: float) -> Fraction | None:
    r = Fraction(c).limit_denominator(MOST)
    return r if r and abs(r.numerator) <= MOST and abs(float(r) - c) <= 1e-7 * abs(c) else None


def spelled(size: str, sizes: Mapping[str, int], env: Mapping[str, Any]) -> str | None:
    """A size in the user's variables: a number of theirs that is it, or the shape of one of their tensors."""
    if size.endswith(" - 1"):
        inner = spelled(size.removesuffix(" - 1"), sizes, env)
        return None if inner is None else f"({inner} - 1)"
    value = sizes[size]
    if isinstance(env.get(size), int) and env[size] == value:
        return size
    for n, v in env.items():
        if isinstance(v, int) and not isinstance(v, bool) and v == value and n.isidentifier():
            return n
    for n, v in env.items():
        if isinstance(v, torch.Tensor) and n.isidentifier() and value in v.shape:
            return f"{n}.shape[{list(v.shape).index(value)}]"
    return None


def _text(rational: Fraction, parts: list[tuple[str, Fraction]]) -> str:
    """What follows a factor: ``* 1.5``, ``* 2 * N / 3``."""
    above = [t for t, e in parts for t in _powered(t, e) if e > 0]
    below = [t for t, e in parts for t in _powered(t, -e) if e < 0]
    text = "".join(f" * {t}" for t in above)
    if rational.denominator in (2, 4, 5, 8, 10) and abs(rational.numerator) != 1:
        text, rational = f" * {float(rational):g}{text}", Fraction(1)
    text = (f" * {rational.numerator}" if rational.numerator != 1 else "") + text
    below = ([str(rational.denominator)] if rational.denominator != 1 else []) + below
    return text + (f" / {below[0]}" if len(below) == 1 else f" / ({' * '.join(below)})" if below else "")


def _powered(text: str, e: Fraction) -> list[str]:
    if e <= 0:
        return []
    return [text if e == 1 else f"{text}**{float(e):g}"]


def _said(rational: Fraction, parts: list[tuple[str, Fraction]]) -> str:
    """A rational number times powers of sizes as text, one quotient: ``2·N/(3·out)``."""
    above = [_word(n, e) for n, e in parts if e > 0]
    below = [_word(n, -e) for n, e in parts if e < 0]
    top = ([str(rational.numerator)] if rational.numerator != 1 or not above else []) + above
    if rational.numerator == 1 and above:
        top = above
    bottom = ([str(rational.denominator)] if rational.denominator != 1 else []) + below
    text = ("·".join(top) or "1").replace("-1·", "-", 1)
    return text + (f"/{bottom[0]}" if len(bottom) == 1 else f"/({'·'.join(bottom)})" if bottom else "")


def _word(n: str, e: Fraction) -> str:
    n = f"({n})" if " " in n else n
    return n if e == 1 else f"√{n}" if e == Fraction(1, 2) else f"{n}^{e}"
