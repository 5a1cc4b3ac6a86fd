"""Where in the user's code something happens: frames, lines, the ``autograd.Function`` that is running."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, TypeVar

import torch

from derivcheck.display import file_name
from derivcheck.kernels.lines import AT, line_of
from derivcheck.tracing.recording.data import CallSite
from derivcheck.tracing.watching.whose_code import user_file

R = TypeVar("R")
_FUNCTION_APPLY: CodeType = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]


@lru_cache(maxsize=1024)
def _spans(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    """The expression of each instruction."""
    return tuple(code.co_positions())


def frames_of(start: FrameType | None) -> tuple[tuple[CallSite, ...], type | None]:
    """The user's frames, innermost first, and the ``autograd.Function`` whose forward is running, if any."""
    found: list[CallSite] = []
    function: type | None = None
    f = start
    while f is not None:
        code = f.f_code
        if code in (_FUNCTION_APPLY, _FORWARD) and function is None:
            function = f.f_locals.get("cls")
        file = code.co_filename
        if user_file(file):
            found.append(CallSite(file, f.f_lineno, code.co_name, id(f), f.f_lasti, _spans(code)[f.f_lasti // 2]))
        elif code is AT:
            line, order = line_of(f)
            found.append(CallSite(line.file, line.line, line.function, line.call, order))
        elif code is _RUN:
            break
        f = f.f_back
    return tuple(found), function


def forward_of(cls: Any, *args: Any) -> Any:
    """The forward of an ``autograd.Function``, seen as such: its code runs where autograd does not look, ``no_grad`` or not."""
    return cls.forward(*args)


_FORWARD: CodeType = forward_of.__code__


def here() -> str | None:
    """``file.py:line`` of the innermost user frame."""
    frames, _ = frames_of(sys._getframe(1))
    return frames[0].place if frames else None


def place_of(error: BaseException) -> str | None:
    """``file.py:line`` of the user's innermost frame that an error passed."""
    found = None
    tb = error.__traceback__
    while tb is not None:
        file = tb.tb_frame.f_code.co_filename
        if user_file(file):
            found = f"{file_name(file)}:{tb.tb_lineno}"
        tb = tb.tb_next
    return found


def run_code(code: Callable[[R], Any], run: R) -> Any:
    """``code(run)``: the user's frames lie above this one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of sizes that do not fit each other; trying those is the point here
        return code(run)


_RUN: CodeType = run_code.__code__
