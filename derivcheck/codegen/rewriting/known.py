"""What torch's own call has computed: the probabilities beside ``logp := x − top − log Σ exp(x − top)`` are ``exp(logp)``."""

from __future__ import annotations

from dataclasses import replace

from derivcheck.derivation.tidy import in_own_names
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import MINUS_ONE, add, func, mul, neg, power, ref
from derivcheck.notation.terms.nodes import Add, Func, Term, is_negative
from derivcheck.notation.terms.substitute import inline

_NAME = "exp of "


def probabilities(d: Definition) -> Definition | None:
    """``exp(d)`` as a definition, ``exp(u)/Σ``, where d is spelled and its term is ``u − log(Σ)``."""
    if d.spelling is None or not isinstance(d.term, Add) or d.recurrent:
        return None
    logs = [a for a in d.term.args if is_negative(a) and isinstance(neg(a), Func) and neg(a).name == "log"]  # type: ignore[attr-defined]
    if len(logs) != 1:
        return None
    (log,) = logs
    total = neg(log)
    assert isinstance(total, Func)
    rest = add(*(a for a in d.term.args if a is not log))
    term = mul(func("exp", rest), power(total.args[0], MINUS_ONE))
    return replace(d, name=_NAME + d.name, term=term, spelling=None, stop=False)


def with_exponentials(term: Term, d: Definition, exponential: Definition) -> Term:
    """The term with ``exp(u)/Σ`` written as ``exp(d)``."""
    found = in_own_names(term, exponential)
    if found is term:
        return term
    return inline(found, {exponential.name: (d.indices, func("exp", ref(d.name, *d.indices)))})
