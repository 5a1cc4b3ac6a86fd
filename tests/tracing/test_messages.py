"""What a check says of a size where it fails decides nothing; what is said elsewhere may."""

from __future__ import annotations

import pprint
from collections.abc import Callable

import pytest
import torch

import derivcheck as dc
from tests.tracing.meant import normal

T = torch.Tensor


def check(condition: bool, message: str | None = None, raises: bool = True) -> bool:
    if not condition:
        if raises:
            if message is None:
                said = "it does not hold"
            else:
                said = message
                said += "."
            raise ValueError(said)
        return False
    return True


TABLE = {"n is 5": 2.0, "n is 7": 3.0}


def looked_up(condition: bool, message: str) -> float:
    return TABLE.get(message, 1.0)


found: list[float] = []


def kept(condition: bool, message: str) -> None:
    found.append(TABLE.get(message, 1.0))


def handed_on(condition: bool, message: str) -> None:
    kept(condition, message)


def checked(x: T) -> T:
    check(x.shape[0] > 0, f"n is {x.shape[0]}")
    check(len(x.shape) > 1, message=f"a shape of {x.shape}, " + str(x.shape[1]))
    check(
        x.shape[1] % 1 == 0 and x.numel() % x.shape[0] == 0,
        f"a long text over several lines, with {x.shape[0]}, and with {x.shape[1]:d} " + repr(x.shape[0]),
    )
    return x.sum() / x.shape[0]


def chosen(x: T) -> T:
    return x.sum() * looked_up(True, f"n is {x.shape[0]}")


def chosen_later(x: T) -> T:
    kept(True, f"n is {x.shape[0]}")
    return x.sum() * found[-1]


def chosen_further_on(x: T) -> T:
    handed_on(True, f"n is {x.shape[0]}")
    return x.sum() * found[-1]


def by_the_library(x: T) -> T:
    check(pprint.pformat(x.shape[0]) == "5" or found.append(9.0) is None, f"n is {x.shape[0]}")
    return x.sum() * len(found)


def both(x: T) -> T:
    check(f"n is {x.shape[0]}" in TABLE or x.shape[0] > 0, f"n is {x.shape[0]}")
    return x.sum()


def test_the_message_of_a_check_decides_nothing() -> None:
    d = dc.derive(checked, x=normal(5, 4))
    assert str(d.program.dims("x")[0]) == "N"
    _, grads = d.compile()(x=torch.ones(7, 3, dtype=torch.float64))
    torch.testing.assert_close(grads["x"], torch.full((7, 3), 1 / 7, dtype=torch.float64))


@pytest.mark.parametrize("f", [chosen, chosen_later, chosen_further_on, by_the_library, both])
def test_a_text_of_which_more_is_made_may_decide(f: Callable[[T], T]) -> None:
    assert str(dc.derive(f, x=normal(5, 4)).program.dims("x")[0]) == "5"  # fixed at what the example has
    with pytest.raises(dc.UnsupportedOperation):
        dc.derive(f, dims={"x": "N M"})
