"""The whole prover against numbers: claims of the gallery with random changes are never proved where they are wrong."""

import random
from dataclasses import replace

import pytest

from derivcheck.derivation.sweep import adjoint
from derivcheck.derive import derive
from derivcheck.notation.text.parse import parse_program
from derivcheck.proof.claims.sides import two_sides
from derivcheck.proof.numbers.refute import compared
from derivcheck.proof.prove import prove_programs
from derivcheck.prove import parse_claim
from tests.proof.gallery import GALLERY, Entry
from tests.proof.random_terms import LAWS, MISTAKES, Maker, other_name, somewhere

SMALL = [e for e in GALLERY if e.name not in ("makemore", "GRU cell", "LSTM cell", "conv2d", "quaternion to rotation")]
ROUNDS = 3
WITHIN = [m for m in MISTAKES if m is not other_name]


@pytest.mark.parametrize("entry", SMALL, ids=lambda e: e.name)
def test_a_changed_claim_is_proved_only_where_it_is_right(entry: Entry) -> None:
    d = derive(entry.forward, dims=entry.inputs)
    right = parse_claim(entry.backward, d)
    verdicts = []
    for k in range(ROUNDS):
        rng = random.Random(f"{entry.name} {k}")
        maker = Maker(rng, d.program.arguments)
        place = rng.randrange(len(right.definitions))
        changes = [rng.choice(LAWS)] * rng.randint(0, 1) + [rng.choice(WITHIN)] * rng.randint(0, 1)
        term = right.definitions[place].term
        for change in changes:
            term = somewhere(term, change, maker)
        changed = replace(right.definitions[place], term=term)
        claim = replace(right, definitions=(*right.definitions[:place], changed, *right.definitions[place + 1 :]))
        proof = prove_programs(d.program, d.adjoint, claim, time_limit=1.0)
        sides = two_sides(d.program, d.adjoint, claim, {o: o for o in claim.outputs})
        wrong = compared(sides.together, sides.claims, 0.3).examples
        verdicts += [p.status for p in proof.parts]
        for part in proof.parts:
            assert part.status != "proved" or part.name not in wrong, f"round {k}: {term}\n{proof}"
            assert part.status != "refuted" or part.name in wrong, f"round {k}: {term}\n{proof}"
    assert verdicts


def test_values_that_are_kept_of_one_gradient_do_not_speak_of_another() -> None:
    claims = {k: parse_program(f"x_bar[n] := {k}*x[n]*grad_output[n]", {"x": "N", "grad_output": "N"}) for k in (2, 6)}
    for _ in range(2):  # the second time from what is kept
        for factor, right in ((1, 2), (3, 6)):
            forward = parse_program(f"y[n] := {factor}*x[n]^2", {"x": "N"})
            gradient = adjoint(forward)
            for k, claim in claims.items():
                assert prove_programs(forward, gradient, claim).status == ("proved" if k == right else "refuted")
