"""Wrong backwards of twenty-odd kinds, each with code around it that a reproducer has to bring along."""

from __future__ import annotations

import collections
import enum
import functools
import math
import operator as op
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch import sigmoid as sg

from tests.checking import kinds_of_helpers as helpers
from tests.checking.kinds_of_helpers import SCALE as OTHER
from tests.checking.kinds_of_helpers import scaled

Tensors = dict[str, Tensor]
SCALE = 3.0
SLOPES = {"negative": [0.1, 0.2], "positive": (1.0,)}
INFINITE = -math.inf
TABLE = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
LARGE = torch.linspace(0, 1, 900, dtype=torch.float64)


def silu(x: Tensor) -> Tensor:
    return F.silu(x) * SCALE


def by_import(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output * F.sigmoid(x) * SCALE}


def by_alias(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": op.mul(grad_output, sg(x))}


def half(x: Tensor) -> Tensor:
    return quarter(x) * 2 if x.ndim else x


def quarter(x: Tensor) -> Tensor:
    return x / 4 if x.ndim else half(x)


def by_helpers_that_call_each_other(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": half(grad_output) * math.sqrt(2)}


def by_constants(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output * SLOPES["negative"][1] + TABLE[1] + max(INFINITE, OTHER) + LARGE[-1]}


def by_another_files_helper(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": scaled(grad_output) * SCALE}  # its SCALE is another


def by_another_file(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": helpers.scaled(grad_output) * helpers.SCALE}


by_lambda = lambda grad_output, x: {"x": (grad_output * SCALE)}  # noqa: E731
pair = (lambda grad_output, x: {"x": grad_output}, lambda grad_output, x: {"x": 2 * grad_output + SCALE})


def closing_over(c: float, inner: Callable[[Tensor], Tensor]) -> Callable[..., Tensors]:
    SCALE = c

    def backward(grad_output: Tensor, x: Tensor, *, c: float = c) -> Tensors:
        return {"x": inner(grad_output) * SCALE * c}

    return backward


by_closure = closing_over(0.25, half)
by_closure_over_a_lambda = closing_over(0.5, lambda g: g + 1)


def twice(f: Callable[..., Tensors]) -> Callable[..., Tensors]:
    @functools.wraps(f)
    def doubled(*args: Any, **kwargs: Any) -> Tensors:
        return {n: 2 * g for n, g in f(*args, **kwargs).items()}

    return doubled


def thrice(f: Callable[..., Tensors]) -> Callable[..., Tensors]:
    def tripled(grad_output: Tensor, x: Tensor) -> Tensors:
        return {n: 3 * g for n, g in f(grad_output, x).items()}

    return tripled


@twice
def by_decorator(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output}


@thrice
def by_decorator_without_wraps(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output}


class Mode(enum.Enum):
    MEAN = 1
    SUM = "sum"


class Bounds(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Settings:
    mode: Mode = Mode.SUM
    bounds: Bounds = Bounds(-1.0, 2.0)
    weights: list[float] = field(default_factory=lambda: [0.5])


SETTINGS = Settings(Mode.MEAN, Bounds(-2.0, 0.5))


def by_dataclass(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output.clamp(*SETTINGS.bounds) * SETTINGS.weights[0] * (SETTINGS.mode is Mode.MEAN)}


class Backwards:
    """A backward that is a method, of an object with a state."""

    factor = 2.0

    def __init__(self, factor: float) -> None:
        self.state: dict[str, Any] = {"factor": factor, "table": TABLE}

    def backward(self, grad_output: Tensor, x: Tensor) -> Tensors:
        return {"x": self._scaled(grad_output)}

    def _scaled(self, g: Tensor) -> Any:
        return g * self.state["factor"] + self.state["table"][0]

    @staticmethod
    def plain(grad_output: Tensor, x: Tensor) -> Tensors:
        return {"x": grad_output * Backwards.factor}

    @classmethod
    def of_class(cls, grad_output: Tensor, x: Tensor) -> Tensors:
        return {"x": grad_output * cls.factor}

    def __call__(self, grad_output: Tensor, x: Tensor) -> Tensors:
        return self.backward(grad_output, x)


def with_a_factor(factor: float, grad_output: Tensor, x: Tensor, *, more: float) -> Tensors:
    return {"x": factor * grad_output + more}


by_partial = functools.partial(with_a_factor, 0.5, more=1.0)
counted = (k for k in range(10_000))


def by_generator(grad_output: Tensor, x: Tensor) -> Tensors:
    """A generator cannot be copied: the file is imported."""
    return {"x": grad_output * (next(counted) + 10)}


class Flags(enum.Flag):
    A = 1
    B = 2


class Later:
    """It is given attributes after its definition."""

    scale = 1.0


Later.scale, Later.more = 2.0, [0.5]  # type: ignore[attr-defined]
BOTH = Flags.A | Flags.B
QUEUE = collections.deque([1.0, 2.0], maxlen=2)


class Slots:
    __slots__ = ("scale",)

    def __init__(self) -> None:
        self.scale = 2.0


@dataclass(frozen=True, slots=True)
class Narrow:
    scale: float


SLOTS, NARROW = Slots(), Narrow(0.5)
CHOICES: dict[str, Any] = {"double": lambda g: g * 2, "exp": torch.Tensor.exp, "by": collections.defaultdict(float, a=3.0)}


def by_attributes(grad_output: Tensor, x: Tensor) -> Tensors:
    by_attributes.calls += 1  # type: ignore[attr-defined]
    g = CHOICES["double"](CHOICES["exp"](grad_output)) * CHOICES["by"]["a"]
    return {"x": g * Later.scale * Later.more[0] * (Flags.B in BOTH) * QUEUE[1] * SLOTS.scale * NARROW.scale}  # type: ignore[attr-defined]


by_attributes.calls = 0  # type: ignore[attr-defined]


class Shape(ABC):
    @abstractmethod
    def scaled(self, g: Tensor) -> Tensor: ...

    @property
    def two(self) -> float:
        return 2.0


class Square(Shape):
    def scaled(self, g: Tensor) -> Tensor:
        return g * self.two


@functools.cache
def square() -> Shape:
    return Square()


def by_abstract_class(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": square().scaled(grad_output)}


class Base(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return silu(x)


class Derived(Base):
    """Its forward is its base's."""

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return half(grad_output * torch.sigmoid(x))


class WrongShape(Base):
    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        return grad_output.sum(0)


class Frozen(torch.autograd.Function):
    """Its double backward is wrong: it saves what it computed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(2 * x * scale)
        return x * x * scale

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        return grad_output * ctx.saved_tensors[0], None


class Scaled(nn.Module):
    """A module whose own function is wrong, with a parameter, a buffer and a layer of torch's."""

    def __init__(self, n: int, scale: float) -> None:
        super().__init__()
        self.linear = nn.Linear(n, n, dtype=torch.float64)
        self.scale, self.settings = scale, SETTINGS
        self.register_buffer("shift", torch.full((n,), 0.5, dtype=torch.float64))

    def forward(self, x: Tensor) -> Any:
        return Derived.apply(self.linear(x)) * self.scale + self.shift  # type: ignore[no-untyped-call]


def calls_a_function(x: Tensor) -> Any:
    return Derived.apply(x) + x  # type: ignore[no-untyped-call]


def loss(outputs: Tensor, gradients: Tensor, value: Tensor, t: Tensor) -> Tensor:
    """Its inputs are called as the variables of a reproducer are."""
    return ((outputs * gradients - value) * t).square().mean()


def of_loss(grad_output: Tensor, outputs: Tensor, gradients: Tensor, value: Tensor, t: Tensor) -> Tensors:
    g = grad_output * 2 * (outputs * gradients - value) * t * t
    return {"outputs": g * gradients, "gradients": g * outputs, "value": -g, "t": g}


def outer(x: Tensor, by_outer: Tensor) -> Tensor:
    """An input is called as its backward is."""
    return x * by_outer


def by_outer(grad_output: Tensor, x: Tensor, by_outer: Tensor) -> Tensors:
    return {"x": grad_output * by_outer, "by_outer": grad_output}


def casting(x: Tensor) -> Tensor:
    return torch.tanh(x.float()).to(x.dtype)


def by_casting(grad_output: Tensor, x: Tensor) -> Tensors:
    """A hundredth off, and it makes tensors of its own."""
    g = grad_output.float() * torch.ones(x.shape) * (1 - torch.tanh(x.float()) ** 2)
    return {"x": (g * 1.01).to(x.dtype)}


def shapeless(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output.flatten()[:1]}


def missing(grad_output: Tensor, x: Tensor) -> dict[str, None]:
    return {"x": None}


def single(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output.float()}


def raising(grad_output: Tensor, x: Tensor) -> Tensors:
    raise RuntimeError(f"never {SCALE}")


def writing(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output.mul_(torch.sigmoid(x))}


def too_many(grad_output: Tensor, x: Tensor) -> Tensors:
    s = torch.sigmoid(x)
    return {"x": grad_output * SCALE * s * (1 + x * (1 - s)), "nothing": x}
