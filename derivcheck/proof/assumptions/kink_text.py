"""Normal forms as text, for explanations and conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.proof.expressions.atoms import Equal, Expression, Monomial, expression_text

_PLACES = re.compile(r"\[[^\[\]]*(\[[^\[\]]*\][^\[\]]*)*\]|(?<=\()\w+(, \w+)*: ")
OWN = ("#", "~")  # the names of indices that rewriting makes


def kink_text(u: Expression, same: Expression, indices: Iterable[Index]) -> tuple[str, str]:
    """A kink that is left out, in words, what it is up to names of indices: what must not be 0, and where it may.

    >>> from derivcheck.notation.text.dims import parse_input
    >>> from derivcheck.notation.text.parse import TextScope, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal_form.normal import new_context, of_term
    >>> context, N = new_context(), size("N")
    >>> scope = TextScope({"x": parse_input("x", "N")}, (Index("i", N), Index("j", N)))
    >>> sides = (of_term(context, parse_term(t, scope)) for t in ("x[j] - x[i]", "[i == j]"))
    >>> kink_text(*sides, scope.indices)
    ('x[i] - x[j] ≠ 0 unless i = j (a kink)', 'x[@0] - x[@1] ≠ 0 unless @0 = @1 (a kink)')
    """
    unless = " or ".join(sorted(_equations(m) for m in same))
    ends = f"≠ 0{' unless ' if unless else ''}{unless} (a kink)"
    told = (f"{expression_text(v)} {ends}" for v in (u, {m: -c for m, c in u.items()}))
    both = [(text, up_to_names(text, indices)) for text in told]
    return min(both, key=lambda t: (t[0][0] == "-", t[0].count("-1*"), len(t[0]), t[1]))


def without_places(u: Expression) -> str:
    """What an expression is up to its sign and to where its elements stand.

    >>> from derivcheck.notation.text.dims import parse_input
    >>> from derivcheck.notation.text.parse import TextScope, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal_form.normal import new_context, of_term
    >>> context, N = new_context(), size("N")
    >>> scope = TextScope({"x": parse_input("x", "N")}, (Index("i", N), Index("j", N)))
    >>> [without_places(of_term(context, parse_term(t, scope))) for t in ("x[j] - x[i]", "x[N-1-i] - x[0]", "x[i] - 1")]
    ['-1*x + 1*x', '-1*x + 1*x', '-1*1 + 1*x']
    """

    def factors(m: Monomial) -> str:
        return "*".join(sorted(f"{_PLACES.sub('', repr(a))}^{e}".removesuffix("^1") for a, e in m)) or "1"

    plain = [(c, factors(m)) for m, c in u.items()]
    return min(" + ".join(sorted(f"{s * c}*{t}" for c, t in plain)) for s in (1, -1))


def up_to_names(text: str, indices: Iterable[Index]) -> str:
    """A text in which the free indices are numbered as they come: one for all that say the same."""
    keys = "|".join(sorted((re.escape(i.key) for i in indices), key=len, reverse=True))
    seen: dict[str, str] = {}
    return re.sub(rf"\b({keys})\b", lambda m: seen.setdefault(m[0], f"@{len(seen)}"), text) if keys else text


def named(indices: Iterable[Index]) -> dict[Index, Index]:
    """Letters for the indices that rewriting made, each like the size that it runs over."""
    every = sorted(indices, key=lambda i: i.key)
    taken = {i.key for i in every}
    found: dict[Index, Index] = {}
    for i in every:
        if i.name in OWN:
            own = min(i.size.sizes(), default="n")[0].lower()
            letter = next(x for x in (own, *"nmpqrstuv", *(f"{own}{k}" for k in range(1, 99))) if x not in taken)
            taken.add(letter)
            found[i] = Index(letter, i.size)
    return found


def _equations(m: Monomial) -> str:
    return " and ".join(sorted(_equation(a.poly) if isinstance(a, Equal) else f"{a} = 1" for a, _ in m))


def _equation(p: Poly) -> str:
    """``p = 0`` with what is taken away on the other side."""
    left, right = (Poly((m, s * c) for m, c in p.terms if s * c > 0) for s in (1, -1))
    return f"{left} = {right}"
