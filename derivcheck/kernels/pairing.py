"""A forward and a backward that share no signature, brought together by names.

A backward of CUDA source takes the forward's inputs under their names, the upstream gradients under names made of those of
the forward's results (``v_cov``, ``dL_dcov``, ``dcov``, ``grad_cov``, ``cov_grad``), and what the forward saved (its results
and variables, by name); it writes gradients under names made of those of the inputs.  ``grads`` says what a name does not.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.interpreter.statements import RESULT
from derivcheck.kernels.cuda.kernel import Kernel
from derivcheck.kernels.cuda.values.results import folded

_BEFORE = re.compile(r"^_?(?:dL_?d_?|dl_?d_?|dLoss_?d|d_?loss_d|grad_|grad(?=[A-Z])|g_|v_|d_|d(?=[A-Za-z])|bar_|adj_|_v_)")
_AFTER = re.compile(r"(?:_grad|_bar|_g|_adj|Grad)$")


@dataclass(frozen=True)
class ForwardAndBackward:
    """A forward and its backward, as every other room takes them.

    Attributes:
        forward, backward: a function of named tensors, and one of these and ``grad_output`` that returns gradients by name.
        dims: the dimensions of the inputs, where the forward says them.
        wrt: the inputs whose gradient the backward gives.
        notes: what was brought together, in words.
    """

    forward: Any
    backward: Callable[..., dict[str, torch.Tensor]]
    dims: dict[str, str] | None
    wrt: tuple[str, ...]
    notes: tuple[str, ...]
    lines: Callable[[str, tuple[int, ...]], str | None] = lambda name, at: None


def bare(name: str) -> str:
    """The name of what a gradient is taken in.

    >>> [bare(n) for n in ("v_R", "dL_dR", "dR", "grad_R", "R_grad", "dL_dmean3D", "_v_R")]
    ['R', 'R', 'R', 'R', 'R', 'mean3D', 'R']
    """
    return _AFTER.sub("", _BEFORE.sub("", name)) or name


def _same(a: str, b: str) -> bool:
    return a.lower().replace("_", "") == b.lower().replace("_", "")


def among(name: str, candidates: Iterable[str]) -> str | None:
    """Which of the candidates a gradient's name speaks of."""
    stem = bare(name)
    if stem == name:
        return None
    found = [c for c in candidates if c == stem] or [c for c in candidates if _same(c, stem)]
    return found[0] if len(found) == 1 else None


def pair(
    forward: Any,
    backward: DeviceFunction,
    grads: Mapping[str, str] | None = None,
    outputs: Iterable[str] | None = None,
) -> ForwardAndBackward:
    """Bring a forward and a backward together.

    Args:
        forward: a :class:`~derivcheck.kernels.cuda.function.DeviceFunction`, or a torch function with one result.
        backward: the backward.
        grads: what the backward's names are the gradient of, where the names do not tell: ``{"dL_dmean3D": "mean3D"}``.
        outputs: the forward's results that the loss depends on; default those whose gradient the backward takes.

    Raises:
        InputError: a name that tells nothing, with what it may mean.
    """
    asked = dict(grads or {})
    whole, forward = forward, _in_parts(forward, backward)
    backward = _shaped(forward, backward, asked)
    own = isinstance(forward, DeviceFunction)
    inputs = forward.inputs if own else _parameters(forward)
    results = forward.outputs if own else (RESULT,)
    _known(asked, backward, inputs, results)
    taken, saved, unknown = _taken(forward, backward, asked, inputs, results)
    chosen = tuple(outputs) if outputs is not None else tuple(r for r in results if r in taken.values())
    for n in chosen:
        if n not in results:
            raise InputError(f"outputs: the forward has no result {n!r}; it has {', '.join(results)}")
    if not chosen or unknown:
        raise InputError(_unknown(forward, backward, unknown, results, inputs))
    given = _given(backward, asked, inputs, forward)
    notes = [f"{n} is the upstream gradient of {r}" for n, r in taken.items()]
    notes += [f"{n} is the forward's own {n}" for n in saved]
    notes += [f"{n} is the gradient of {x}" + (", from 0" if n in backward.shapes.added else "") for n, x in given.items()]
    if forward is not whole:
        notes += [f"{n} of {forward.name} is {v}" for n, v in forward.fixed.items() if n not in whole.fixed]
    left = [r for r in results if r not in chosen]
    notes += [f"the loss does not depend on {', '.join(left)}"] if left else []
    for f in (forward, backward):
        notes += [a for a in (f.assumed if isinstance(f, Kernel) else ()) if a not in notes]

    names = (tuple(inputs), chosen, taken, tuple(saved), given)

    def claimed(**tensors: Any) -> dict[str, torch.Tensor]:
        """Both functions stand in its closure: there a search for the wrong line looks for the source."""
        return _Call(forward, backward, *names).gradients(tensors)

    upstream = ["grad_output"] if len(chosen) == 1 else [f"grad_output_{k}" for k in range(len(chosen))]
    claimed.__signature__ = _signature([*upstream, *inputs])  # type: ignore[attr-defined]
    claimed.__name__ = backward.__name__
    claimed.forward_lines = forward.own_lines if own else None  # type: ignore[attr-defined]
    alone = _results(forward, chosen) if own and chosen != results else forward
    return ForwardAndBackward(
        alone,
        claimed,
        forward.dims if own else None,
        tuple(given.values()),
        tuple(notes),
        _Call(forward, backward, *names).line,
    )


@dataclass(frozen=True)
class _Call:
    """How a backward is called beside its forward.

    Attributes:
        inputs: of the forward.
        chosen: the results of the forward that the loss depends on.
        taken: the backward's name of an upstream gradient -> the forward's result.
        saved: what the backward takes of the forward's own results and variables.
        given: what the backward gives -> the forward's input.
    """

    forward: Any
    backward: DeviceFunction
    inputs: tuple[str, ...]
    chosen: tuple[str, ...]
    taken: Mapping[str, str]
    saved: tuple[str, ...]
    given: Mapping[str, str]

    def gradients(self, tensors: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """What the forward saved comes first; the gradients come back in the inputs' shapes."""
        before = self.backward.shapes
        try:
            return self._gradients(dict(tensors))
        except InputError:
            if self.backward.shapes is before:
                raise
            return self._gradients(dict(tensors))  # an edit of its source makes it read something else

    def _gradients(self, tensors: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The same, with what the backward is known to read."""
        forward, backward, taken, given = self.forward, self.backward, self.taken, self.given
        ups = tensors.pop("grad_output", None)
        ups = (ups,) if isinstance(ups, torch.Tensor) else tuple(ups or ())
        ups = ups or tuple(tensors.pop(f"grad_output_{k}") for k in range(len(self.chosen)))
        values = {n: t for n, t in tensors.items() if n in self.inputs}
        local: dict[str, torch.Tensor] = {}
        if self.saved:
            found, variables = forward.saved(self.saved, **values)
            local = {**variables, **found}
        arguments = {n: values[n] if n in values else local[n] for n in backward.inputs if n not in taken}
        for n, r in taken.items():
            if r in self.chosen:
                arguments[n] = ups[self.chosen.index(r)]
            elif isinstance(forward, Kernel):
                arguments[n] = forward.zeros(r, values, ups[0])
            else:
                arguments[n] = _zeros(forward, r, ups[0], len(backward.batch))
        if isinstance(backward, Kernel):
            back = backward.like(arguments, {n: values[x] for n, x in given.items() if n not in arguments})
        else:
            back = backward.results(**arguments)
        return {x: _like(back[n], values[x], len(backward.batch)) for n, x in given.items()}

    def line(self, name: str, at: tuple[int, ...]) -> str | None:
        """Which lines write an element of a gradient."""
        backward = self.backward
        output = next(n for n, x in self.given.items() if x == name)
        if isinstance(backward, Kernel):
            return backward.line(output)
        where = at[len(backward.batch) :]
        return backward.line(output, where if len(where) == len(backward.shapes.outputs[output]) else ())


def _shaped(forward: Any, backward: DeviceFunction, asked: Mapping[str, str]) -> DeviceFunction:
    """A kernel whose pointers are shaped as those of the forward that they are called after."""
    if not (isinstance(backward, Kernel) and isinstance(forward, Kernel)):
        return backward
    dims = {**forward.dims, **forward.output_dims}
    real = {n: d for n, d in dims.items() if ":" not in d}
    found = {}
    for n in backward.parameters:
        of = n if n in dims else asked.get(n) or among(n, real)
        if of in dims:
            found[n] = dims[of]
    return backward.shaped(found)


def _in_parts(forward: Any, backward: DeviceFunction) -> Any:
    """A kernel whose ``N`` is a product where the backward has its factors: ``B*T``, told by memory that both read."""
    if not (isinstance(backward, Kernel) and isinstance(forward, Kernel)) or forward.declared or backward.declared:
        return forward
    found: dict[str, str] = {}
    try:
        theirs = backward.memory
    except UnsupportedOperation:  # it is not seen how its memory is shaped: the forward says it
        return forward
    for n, mine in forward.memory.inputs.items():
        if n not in theirs.inputs or len(mine) == len(theirs.inputs[n]):
            continue
        rest = [d for d in theirs.inputs[n] if d not in mine]
        single = [d for d in mine if d not in theirs.inputs[n]]
        name = str(single[0]) if len(single) == 1 else ""
        if name in forward.parameters and name not in forward.fixed and len(rest) > 1:
            found[name] = "*".join(map(str, rest))
    return forward.given(**found) if found else forward


def _zeros(forward: Any, result: str, like: torch.Tensor, rank: int) -> torch.Tensor:
    """No gradient of a result that the loss does not depend on."""
    while like.dim() > rank:
        like = like.select(-1, 0)
    shape = forward.shapes.outputs[result]
    return folded([torch.zeros_like(like)] * math.prod(shape), shape, rank)


def with_constants(
    forward: Any, backward: DeviceFunction, constants: Mapping[str, Any] | None
) -> tuple[Any, DeviceFunction, dict[str, Any]]:
    """Both with the constants that they have as parameters, and the constants that the backward does not have."""
    own = {n: v for n, v in (constants or {}).items() if n in backward.parameters}
    rest = {n: v for n, v in (constants or {}).items() if n not in own}
    if isinstance(forward, DeviceFunction):
        mine = {n: v for n, v in (constants or {}).items() if n in forward.parameters}
        forward, rest = forward.given(**mine), {n: v for n, v in rest.items() if n not in mine}
    return forward, backward.given(**own), rest


def _results(forward: DeviceFunction, chosen: tuple[str, ...]) -> Any:
    """The forward with some of its results."""

    def f(**inputs: Any) -> Any:
        found = forward.results(**inputs)
        return found[chosen[0]] if len(chosen) == 1 else tuple(found[n] for n in chosen)

    f.__signature__ = _signature(forward.inputs)  # type: ignore[attr-defined]
    f.__name__ = forward.__name__
    return f


def _signature(names: Iterable[str]) -> inspect.Signature:
    return inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names])


def _parameters(forward: Any) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(forward).parameters)
    except (TypeError, ValueError):
        raise InputError(
            "the forward of a backward of CUDA source is CUDA source too, or a function of named tensors"
        ) from None


def _known(asked: Mapping[str, str], backward: DeviceFunction, inputs: Iterable[str], results: Iterable[str]) -> None:
    for n, of in asked.items():
        if n not in (*backward.inputs, *backward.outputs):
            near = difflib.get_close_matches(n, [*backward.inputs, *backward.outputs], 1)
            raise InputError(f"grads: {backward.name} has no {n!r}{f'; did you mean {near[0]!r}?' if near else ''}")
        where = list(inputs) if n in backward.outputs else list(results)
        if of not in where:
            raise InputError(f"grads: {n!r} cannot be the gradient of {of!r}; expected one of {', '.join(where)}")


def _taken(
    forward: Any, backward: DeviceFunction, asked: Mapping[str, str], inputs: tuple[str, ...], results: tuple[str, ...]
) -> tuple[dict[str, str], list[str], list[str]]:
    """The backward's inputs: upstream gradients with their results, what the forward saved, and what is not known."""
    taken: dict[str, str] = {}
    saved: list[str] = []
    unknown: list[str] = []
    local = forward.variables if isinstance(forward, DeviceFunction) else ()
    for n in backward.inputs:
        if n in asked:
            taken[n] = asked[n]
        elif n in inputs:
            continue
        elif isinstance(forward, DeviceFunction) and (n in results or n in local):
            saved.append(n)
        elif (of := among(n, results)) is not None:
            taken[n] = of
        else:
            unknown.append(n)
    open_ = [r for r in results if r not in taken.values()]
    open_ = [r for r in open_ if r not in saved] or open_
    if len(unknown) == 1 and len(open_) == 1 and _fits(forward, open_, backward, unknown[0]):
        taken[unknown.pop()] = open_[0]
    return taken, saved, unknown


def _fits(forward: Any, open_: list[str], backward: DeviceFunction, name: str) -> bool:
    if bare(name) != name and open_[0] != RESULT:
        return False  # it is called after something else
    return not isinstance(forward, DeviceFunction) or forward.shapes.outputs[open_[0]] == backward.shapes.inputs[name]


def _unknown(
    forward: Any, backward: DeviceFunction, unknown: list[str], results: tuple[str, ...], inputs: Iterable[str]
) -> str:
    """What to say of parameters of the backward that nothing of the forward is known for."""
    name = getattr(forward, "__name__", "the forward")
    if not unknown:
        return (
            f"{backward.name} takes no gradient of a result of {name} ({', '.join(results)}); "
            "say which with grads={name: result}"
        )
    first = unknown[0]
    near = difflib.get_close_matches(bare(first), [*results, *inputs], 1)
    hint = f"grads={{{first!r}: {near[0] if near and near[0] in results else results[0]!r}}}"
    return (
        f"{backward.name} takes {first!r}, which is no input, result or variable of {name}; "
        f"if it is the upstream gradient of a result ({', '.join(results)}), say so: {hint}"
    )


def _given(backward: DeviceFunction, asked: Mapping[str, str], inputs: tuple[str, ...], forward: Any) -> dict[str, str]:
    """Which input each result of the backward is the gradient of."""
    given: dict[str, str] = {}
    unknown: list[str] = []
    for n in backward.outputs:
        of = asked.get(n) or among(n, inputs)
        if of is None and isinstance(forward, Kernel) and among(n, forward.outputs) is not None:
            continue  # the gradient of what the forward saves, on the way
        if of is None:
            unknown.append(n)
        else:
            given[n] = of
    rest = [x for x in (forward.wrt if isinstance(forward, DeviceFunction) else inputs) if x not in given.values()]
    if len(unknown) == 1 and isinstance(forward, DeviceFunction):
        rest = [x for x in rest if forward.shapes.inputs[x] == backward.shapes.outputs[unknown[0]]]
    if len(unknown) == 1 and len(rest) == 1 and bare(unknown[0]) == unknown[0]:
        given[unknown.pop()] = rest[0]
    if unknown and not given or any(bare(n) != n for n in unknown):
        n = unknown[0]
        near = difflib.get_close_matches(bare(n), inputs, 1)
        raise InputError(
            f"{backward.name} gives {n!r}, and no input is called {bare(n)!r}; "
            f"say whose gradient it is: grads={{{n!r}: {(near or list(inputs))[0]!r}}}"
        )
    twice = [x for x in given.values() if list(given.values()).count(x) > 1]
    if twice:
        raise InputError(f"{backward.name} gives the gradient of {twice[0]} twice; say with grads= which is meant")
    return given


def _like(found: torch.Tensor, x: torch.Tensor, rank: int) -> torch.Tensor:
    """A gradient in the shape of its input: what flat memory leaves out at its end is 0."""
    own, shape = tuple(found.shape[rank:]), tuple(x.shape[rank:])
    if own == shape or len(own) != 1:
        return found
    more = math.prod(shape) - own[0]
    if more < 0:
        return found
    parts = [found.select(-1, k) for k in range(own[0])] + [torch.zeros_like(found.select(-1, 0))] * more
    return folded(parts, shape, rank)
