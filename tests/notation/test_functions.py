"""What a row says of a scalar function holds on numbers."""

from typing import Any

import mpmath
import numpy as np
import pytest

from derivcheck.notation.functions.table import ScalarFunction, functions

OF_ONE = [f for f in functions().values() if f.arity == 1 and f.float64 is not None]


def on(f: ScalarFunction, x: Any) -> Any:
    """Its values on an array, as the row has them for float64."""
    with np.errstate(all="ignore"):
        return np.asarray(getattr(np, f.float64)(x) if isinstance(f.float64, str) else f.float64(np, x), float)  # type: ignore[misc]


def parity(f: ScalarFunction) -> int:
    """What numbers say: 1 even, −1 odd, 0 neither."""
    x = np.array([0.3, 0.45, 0.7] if f.domain else [0.3, 0.45, 1.7, 2.6])
    there, mirrored = on(f, x), on(f, -x)
    return 1 if np.allclose(there, mirrored) else -1 if np.allclose(there, -mirrored) else 0


@pytest.mark.parametrize("f", OF_ONE, ids=lambda f: f.name)
def test_the_parity_and_the_value_at_zero_are_those_of_the_numbers(f: ScalarFunction) -> None:
    assert parity(f) == f.parity
    if f.at_zero is not None:
        assert on(f, np.zeros(1))[0] == pytest.approx(float(f.at_zero))


@pytest.mark.parametrize("f", OF_ONE, ids=lambda f: f.name)
def test_a_step_is_constant_between_jumps(f: ScalarFunction) -> None:
    x = np.array([0.3, 0.31, 0.32]) + (1 if f.domain == "≥ 1" else 0)
    assert (len(set(on(f, x).tolist())) == 1) == f.step


def test_numbers_tell_parities_apart() -> None:
    rows = functions()
    assert [parity(rows[n]) for n in ("sin", "cos", "exp", "log")] == [-1, 1, 0, 0]


#: Where the function is a number of float64, and exponentials in its formula are none; and where it is none either.
AT_THE_END: dict[str, tuple[Any, list[float], list[float]]] = {
    "erfcx": (lambda x: mpmath.exp(x * x) * mpmath.erfc(x), [-26.3, -26.6, 25.5, 1e5], [-26.65, -30.0, -np.inf]),
    "i0": (lambda x: mpmath.besseli(0, x), [30.5, 705.0, -711.0, 713.9], [714.5, 1500.0, np.inf]),
    "i1": (lambda x: mpmath.besseli(1, x), [30.5, 705.0, -711.0, 713.9], [714.5, 1500.0, np.inf]),
}


@pytest.mark.parametrize("name", AT_THE_END)
def test_a_function_is_a_number_as_long_as_float64_has_it(name: str) -> None:
    true, inside, beyond = AT_THE_END[name]
    f = functions()[name]
    with mpmath.workdps(40):
        assert on(f, np.array(inside)) == pytest.approx([float(true(mpmath.mpf(x))) for x in inside], rel=1e-13)
    assert np.isposinf(on(f, np.array(beyond))).all()
