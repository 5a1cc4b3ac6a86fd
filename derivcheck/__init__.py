"""Derive the gradients of torch code once, for every size; then check, prove, print and train with them.

The public names load on first use (PEP 562), so that ``import derivcheck`` costs neither torch nor SymPy.

>>> import derivcheck as dc
>>> d = dc.derive("y[n] := x[n]^2", dims={"x": "N"})
>>> print(d.gradients["x"].definition.term)
2*grad_output[n]*x[n]
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from derivcheck.audit.audit import audit as audit
    from derivcheck.audit.outcome import Audit as Audit
    from derivcheck.checking.check import assert_gradients as assert_gradients
    from derivcheck.checking.check import check as check
    from derivcheck.checking.gradcheck import gradcheck as gradcheck
    from derivcheck.checking.gradgradcheck import gradgradcheck as gradgradcheck
    from derivcheck.checking.report.report import Report as Report
    from derivcheck.derive import derive as derive
    from derivcheck.derived import Derivation as Derivation
    from derivcheck.errors import DerivcheckError as DerivcheckError
    from derivcheck.errors import GradientMismatch as GradientMismatch
    from derivcheck.errors import InputError as InputError
    from derivcheck.errors import NotationError as NotationError
    from derivcheck.errors import RunInterrupted as RunInterrupted
    from derivcheck.errors import UnsupportedOperation as UnsupportedOperation
    from derivcheck.errors import UnverifiedGradientError as UnverifiedGradientError
    from derivcheck.kernels.cuda.read import cuda as cuda
    from derivcheck.operators.language.row import row as row
    from derivcheck.proof.report.proof import NotProved as NotProved
    from derivcheck.prove import assert_proved as assert_proved
    from derivcheck.prove import prove as prove
    from derivcheck.training.accumulation import check_accumulation as check_accumulation
    from derivcheck.training.history import History as History
    from derivcheck.training.train import train as train

__version__ = "0.1.0"

_PUBLIC = {
    "derive": "derivcheck.derive",
    "Derivation": "derivcheck.derived",
    "check": "derivcheck.checking.check",
    "assert_gradients": "derivcheck.checking.check",
    "gradcheck": "derivcheck.checking.gradcheck",
    "gradgradcheck": "derivcheck.checking.gradgradcheck",
    "Report": "derivcheck.checking.report.report",
    "prove": "derivcheck.prove",
    "assert_proved": "derivcheck.prove",
    "NotProved": "derivcheck.proof.report.proof",
    "cuda": "derivcheck.kernels.cuda.read",
    "row": "derivcheck.operators.language.row",
    "audit": "derivcheck.audit.audit",
    "Audit": "derivcheck.audit.outcome",
    "train": "derivcheck.training.train",
    "check_accumulation": "derivcheck.training.accumulation",
    "History": "derivcheck.training.history",
    "DerivcheckError": "derivcheck.errors",
    "InputError": "derivcheck.errors",
    "NotationError": "derivcheck.errors",
    "RunInterrupted": "derivcheck.errors",
    "UnsupportedOperation": "derivcheck.errors",
    "GradientMismatch": "derivcheck.errors",
    "UnverifiedGradientError": "derivcheck.errors",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"derivcheck has no {name!r}; it has {', '.join(_PUBLIC)}")
    found = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The import system stores the module ``derivcheck.derive`` under the function's name; the function is what users want."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
