"""A factor that stands outside of the sums of a gradient, where it belongs under them."""

from __future__ import annotations

from collections.abc import Iterator

from derivcheck.diagnosis.guess import Example, Guess, edited
from derivcheck.diagnosis.scene import Scene, backward_definitions
from derivcheck.notation.terms.build import ONE, mul, ref
from derivcheck.notation.terms.nodes import Over, Ref, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import subterms

EXAMPLE = Example(
    forward="y[n,c] := w[c]*(x[n,c] - sum(k: x[n,k])/C)",
    dims={"x": "N C", "w": "C"},
    parameter="x",
    right="x_bar[n,c] := w[c]*grad_output[n,c] - sum(k: w[k]*grad_output[n,k])/C",
    wrong="x_bar[n,c] := w[c]*(grad_output[n,c] - sum(k: grad_output[n,k])/C)",
    says="stands outside of the sums",
)


def moved(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Each tensor that is a factor under a sum of the gradient, taken out of every step and put in front of the whole."""
    forward, own = scene.case.forward, backward_definitions(scene.program, scene.case.forward)
    final = scene.program.definition(f"{scene.name}_bar")
    arriving = {*scene.case.upstream, *(d.name for d in own)}
    sums = [t for d in own for t in subterms(d.term) if isinstance(t, Over) and t.names & arriving]
    names = dict.fromkeys(t.name for over in sums for t in subterms(over) if isinstance(t, Ref))
    for name in names:
        if name not in forward.names or name == scene.name or forward.kind(name) != "float" or not forward.dims(name):
            continue
        at = [next((i for i in final.indices if i.size is p), None) for p in forward.dims(name)]
        if any(i is None for i in at) or len(set(at)) < len(at):
            continue

        def without(t: Term, name: str = name) -> Term:
            return ONE if isinstance(t, Ref) and t.name == name else t

        terms = {d.name: new for d in own if (new := transform(d.term, without)) is not d.term}
        whole = terms.get(final.name, final.term)
        terms[final.name] = mul(ref(name, *(i for i in at if i is not None)), whole)
        yield edited("moved", f"the factor {name} stands outside of the sums (or means), where it belongs under them", terms)
