"""Numbers made of sizes are carried to where they are used: derived once, the code equals autograd everywhere, or refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from tests.tracing.fuzz_sizes import tried

T = torch.Tensor


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> T:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def autograd(f: Callable[..., T], *tensors: T) -> tuple[T, T, tuple[T, ...]]:
    leaves = [t.clone().requires_grad_() for t in tensors]
    out = f(*leaves)
    up = normal(*out.shape, seed=9) if out.dim() else torch.ones_like(out)
    return out.detach(), up, torch.autograd.grad(out, leaves, up)


def same_as_autograd(d: Any, f: Callable[..., T], **data: T) -> None:
    """The generated code's value and gradients are autograd's."""
    out, up, want = autograd(f, *data.values())
    value, grads = d.compile()(**data, **({} if d.program.scalar else {"grad_output": up}))
    torch.testing.assert_close(value, out, rtol=1e-10, atol=1e-12)
    for n, g in zip(data, want, strict=True):
        torch.testing.assert_close(grads[n], g, rtol=1e-9, atol=1e-12)


EVERYWHERE: list[tuple[Callable[[T], T], list[tuple[int, int]]]] = [
    (lambda x: (x[:, :512] ** 2).mean(), [(4, 20), (2, 200), (2, 600)]),
    (lambda x: x[:, -512:].pow(2).sum() if False else x[:, 3:512].pow(2).sum(), [(4, 20), (2, 600), (2, 3)]),
    (lambda x: x.tensor_split([256])[0].pow(2).sum(), [(9, 4), (130, 4), (300, 4)]),
    (lambda x: x.tensor_split(3)[1].pow(2).sum(), [(9, 4), (10, 2), (2, 2), (31, 1)]),
    (lambda x: x.sum() / ((x.shape[0] + 255) // 256), [(2, 5), (130, 3), (300, 4), (600, 4)]),
    (lambda x: x.sum() / -(-x.shape[0] // 64), [(2, 5), (5, 2), (70, 3), (300, 4)]),
    (lambda x: x.sum() * (x.shape[0] >> 6), [(2, 5), (70, 3), (300, 2)]),
    (lambda x: x.sum() * (x.shape[0] & 63), [(2, 5), (64, 3), (300, 2)]),
    (lambda x: x.sum() / min(x.shape[0], x.shape[1], 40), [(2, 3), (3, 2), (30, 5), (5, 200), (60, 50)]),
    (lambda x: x.topk(max(1, x.shape[0] // 4), 0).values.sum(), [(1, 4), (3, 3), (4, 2), (9, 2), (40, 3)]),
    (lambda x: F.pad(x, (0, 0, 0, (-x.shape[0]) % 256)).var(0).sum(), [(9, 4), (256, 4), (300, 4)]),
    (lambda x: x.roll(x.shape[1] * 3, 0), [(2, 5), (7, 2), (64, 3)]),
    (lambda x: x[:, x.shape[1] // 2 :] * 2, [(2, 1), (2, 2), (3, 31)]),
    (lambda x: x[: -(x.shape[1] & 3)] if x.shape[0] > 3 else x, [(4, 5), (5, 8), (9, 7)]),
    (lambda x: x * (1.0 / x.shape[0]) + 0.5 * x.shape[1] - x.shape[0] ** -0.5, [(1, 1), (4, 7)]),
    (lambda x: x / math.sqrt(x.shape[1]) * math.log2(x.shape[0] + 1), [(1, 1), (4, 7), (64, 2)]),
    (lambda x: x * (1 << (x.shape[0] - 1).bit_length()), [(1, 2), (8, 2), (9, 2), (300, 1)]),
    (lambda x: x * 2 ** math.ceil(math.log2(x.shape[0])), [(1, 2), (8, 2), (9, 2), (300, 1)]),
    (lambda x: x * int(math.sqrt(x.shape[0])) + math.isqrt(x.shape[1]), [(1, 2), (8, 9), (15, 16), (100, 1)]),
    (lambda x: x * math.gcd(x.shape[0], 12) * round(x.shape[1] / 4), [(1, 2), (8, 6), (18, 10), (7, 14)]),
    (lambda x: x * len(range(0, x.shape[0], 3)), [(1, 2), (3, 2), (4, 2), (100, 1)]),
    (lambda x: x * sorted(x.shape)[0] if x.shape[0] < x.shape[1] else x, [(2, 3), (5, 30)]),
    (lambda x: x * torch.tensor([1 / x.shape[0], 2.0, x.shape[1]], dtype=x.dtype).sum(), [(1, 2), (9, 4)]),
    (lambda x: x - torch.full_like(x, 1 / x.shape[0]) + x.new_full((x.shape[1],), x.shape[0] / 7), [(1, 2), (9, 4)]),
    (lambda x: x.flatten().reshape(x.shape[1], -1).t() @ torch.ones(x.shape[1], 1, dtype=x.dtype), [(1, 2), (9, 4)]),
    (lambda x: x.narrow(1, 0, min(x.shape[1], 6)) ** 2, [(4, 20), (2, 3), (2, 600)]),
    (lambda x: x.chunk(3)[0] ** 2, [(9, 2), (10, 2), (300, 1)]),
    (lambda x: x[range(x.shape[0]), 0] * 2, [(1, 1), (5, 3)]),
    (lambda x: x.unflatten(1, (-1, 1)).sum(2) * x.numel(), [(1, 1), (5, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("f", "shapes"), EVERYWHERE)
@pytest.mark.parametrize("how", ["example", "dims"])
def test_a_number_made_of_sizes_is_right_at_every_size(f: Callable[[T], T], shapes: list[tuple[int, int]], how: str) -> None:
    d = dc.derive(f, x=normal(9, 12)) if how == "example" else dc.derive(f, dims={"x": "N M"})
    held = 0
    for shape in shapes:
        try:
            same_as_autograd(d, f, x=normal(*shape, seed=3))
            held += 1
        except ValueError:  # a condition that is printed
            assert d.conditions
    assert held and (d.conditions or held == len(shapes))


@pytest.mark.parametrize(
    ("f", "held", "refused"),
    [
        (lambda x: x.sum() * (2 if x.shape[0] > 60 else 1), [(2, 5), (60, 1)], [(61, 4)]),
        (
            lambda x: sum((x[i : i + 256].softmax(0) ** 2).sum() for i in range(0, x.shape[0], 256)),
            [(2, 5), (256, 1)],
            [(257, 1)],
        ),
        (lambda x: (x.split(8)[0] ** 2).sum(), [(2, 5), (8, 1)], [(9, 1)]),
        (lambda x: x[[0, 1, 2][len(x) % 3 if len(x) > 9 else 0]] * 2, [(2, 5), (9, 1)], [(10, 1)]),
    ],
)
def test_a_branch_taken_on_a_size_is_a_condition(
    f: Callable[[T], T], held: list[tuple[int, int]], refused: list[tuple[int, int]]
) -> None:
    d = dc.derive(f, x=normal(5, 3))
    assert d.conditions
    for shape in held:
        same_as_autograd(d, f, x=normal(*shape))
    for shape in refused:
        with pytest.raises(ValueError, match="this was derived for"):
            d.compile()(x=normal(*shape), **({} if d.program.scalar else {"grad_output": f(normal(*shape))}))


def test_conditions_that_others_imply_are_printed_once() -> None:
    def f(x: T) -> T:
        if x.shape[0] > 60 or x.shape[0] > 40 or x.shape[0] > 80:
            return x
        return 2 * x

    (only,) = dc.derive(f, x=normal(5, 3)).conditions
    assert only.startswith("N <= 40 at test_sizes_carried.py:")


def test_a_type_by_which_the_code_chooses_is_a_condition() -> None:
    d = dc.derive(lambda x: (x * 2 if x.dtype == torch.float64 else x * 3).sum(), x=normal(5, 3))
    assert any(c.startswith("dtype = torch.float64 at test_sizes_carried.py:") for c in d.conditions)
    with pytest.raises(ValueError, match="derived for dtype = torch.float64; found torch.float32"):
        d.compile()(x=normal(2, 3, dtype=torch.float32))
    handed_on = dc.derive(lambda x: x * torch.ones(3, dtype=x.dtype, device=x.device), x=normal(5, 3))
    assert not handed_on.conditions


def test_a_size_that_is_only_printed_stays_free() -> None:
    def f(x: T) -> T:
        print("shape", x.shape, f"{x.shape[0]:3d}")
        return x / x.shape[0]

    d = dc.derive(f, x=normal(4, 3))
    assert d.program.notes[0].startswith("holds for every N, M")


TABLE = torch.linspace(0.0, 1.0, 3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sum(torch.arange(0, 2).tolist()),
        lambda x: x * 2 if bool(TABLE[0] > TABLE[1]) else x * 3,
        lambda x: x * torch.tensor([1.0, 2.0]).numpy()[1],
        lambda x: x * float((TABLE * 2).max()),
        lambda x: sum((x * k.item() for k in torch.arange(3)), x),
    ],
)
def test_what_no_input_has_touched_is_a_constant(f: Callable[[T], T]) -> None:
    d = dc.derive(f, x=normal(4, 3))
    for shape in ((4, 3), (2, 7)):
        same_as_autograd(d, f, x=normal(*shape))


def test_the_value_of_a_tensor_that_sizes_made_pins_them() -> None:
    d = dc.derive(lambda x: x * torch.arange(x.shape[0])[-1].item(), x=normal(4, 3))
    assert "fixed sizes: x.shape[0] = 4" in d.program.notes
    same_as_autograd(d, lambda x: x * 3, x=normal(4, 5))
    with pytest.raises(dc.UnsupportedOperation, match="data-dependent"):
        dc.derive(lambda x: x * x.sum().item(), x=normal(4, 3))


def test_a_crop_that_removes_nothing_at_the_example_is_seen_by_a_proof() -> None:
    def forgotten(grad_output: T, x: T) -> dict[str, T]:
        return {"x": grad_output * 2 * x}

    assert dc.prove(lambda x: (x[:, :512] ** 2).sum(), forgotten, dims={"x": "N M"}).status != "proved"

    def cropped(grad_output: T, x: T) -> dict[str, T]:
        return {"x": torch.cat([grad_output * 2 * x[:, :512], 0 * x[:, 512:]], 1)}

    assert dc.prove(lambda x: (x[:, :512] ** 2).sum(), cropped, dims={"x": "N M"}).status != "refuted"


def test_at_few_calls_of_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = torch.nn.Linear.forward
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, input: calls.append(input.shape) or forward(self, input))
    dc.derive(torch.nn.Linear(3, 2), torch.ones(4, 3), loss=torch.nn.MSELoss())
    assert len(calls) <= 5
    calls.clear()
    dc.derive(
        lambda x, W, y: calls.append(0) or ((F.linear(x, W) - y) ** 2).mean(), x=normal(9, 4), W=normal(3, 4), y=normal(9, 3)
    )
    assert len(calls) <= 6  # one more, to find which of the example's sizes have to be equal


@pytest.mark.parametrize("block", range(20))
def test_random_functions_of_sizes_are_right_or_refused(block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        outcome = tried(seed)
        assert outcome.kind in ("agree", "refused", "invalid"), f"{outcome.kind}: {outcome.detail}\n{outcome.text}"


def test_the_fuzz_finds_a_misread_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A derivation that takes 1 for ``(n + 255)//256`` is called silent."""
    import tests.tracing.fuzz_sizes as fuzz

    monkeypatch.setattr(fuzz, "function", lambda seed: (lambda x: x.sum() / ((x.shape[0] + 255) // 256), "f"))
    derive = dc.derive
    monkeypatch.setattr(fuzz.dc, "derive", lambda f, **k: derive(lambda x: x.sum(), **k))
    assert tried(7, points=20).kind == "silent"


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.t().reshape(-1),
        lambda x: x.t().contiguous().view(-1, 1) * x.shape[0],
        lambda x: (x - x.mean(0)) / x.shape[0],
        lambda x: x.transpose(0, 1).flatten()[: x.shape[0]],
    ],
)
@pytest.mark.parametrize("example", [(1, 4), (4, 1), (1, 1), (3, 4)])
def test_a_size_of_one_in_the_example_is_as_good_as_another(f: Callable[[T], T], example: tuple[int, int]) -> None:
    d = dc.derive(f, x=normal(*example))
    assert d.program.notes[0].startswith("holds for every N, M")
    for shape in ((1, 4), (4, 1), (3, 5)):
        same_as_autograd(d, f, x=normal(*shape))


def test_sizes_that_agree_by_chance_are_told_apart() -> None:
    def f(x: T, w: T) -> T:
        return F.conv2d(x, w, stride=2, dilation=2)

    d = dc.derive(f, x=normal(2, 3, 9, 8), w=normal(4, 3, 3, 3))
    assert [n for n in d.program.notes if "equal" in n] == ["x.shape[1] = w.shape[1] (the code needs them equal)"]
    same_as_autograd(d, f, x=normal(3, 2, 9, 8), w=normal(5, 2, 3, 2))


def test_pieces_of_nothing_are_told_from_pieces() -> None:
    def f(x: T) -> T:
        return (x[:, x.shape[0] // 2 : -64].chunk(2, 1)[0] ** 2).sum()

    run = dc.derive(f, x=normal(3, 6)).compile()
    with pytest.raises(ValueError, match="this was derived for"):
        run(x=normal(2, 4099))


def test_a_number_of_the_codes_own_is_no_dimension_that_it_equals() -> None:
    def f(x: T) -> T:
        return (x[:, :5] ** 2).sum() + 5 * x.sum()

    d = dc.derive(f, x=normal(3, 33))
    for shape in ((3, 33), (4, 3)):
        same_as_autograd(d, f, x=normal(*shape))


@pytest.mark.parametrize(
    ("f", "conditions"),
    [
        (lambda x: x.sum() * (x.shape[1] - 5) ** -0.5, ("M >= 5",)),
        (lambda x: x.sum() * ((x.shape[1] - 5) / x.shape[0]) ** 0.25, ("M >= 5",)),
        (lambda x: x.sum() / (x.shape[1] ** 0.5) ** 0.5, ()),
    ],
)
def test_a_power_that_would_be_complex_elsewhere_is_excluded(f: Any, conditions: tuple[str, ...]) -> None:
    d = dc.derive(f, x=torch.rand(4, 9, dtype=torch.float64))
    assert tuple(c.partition(" at ")[0] for c in d.conditions) == conditions
    gradient = d.compile()
    if conditions:
        with pytest.raises(ValueError, match="M >= 5"):
            gradient(x=torch.rand(4, 3, dtype=torch.float64))


@pytest.mark.parametrize("example", [(3, 33), (20, 4), (9, 7), (2, 2)])
def test_a_number_that_never_changed_is_still_made_of_its_size(example: tuple[int, int]) -> None:
    """Where the traces leave one row or none, the next power of two of their count is 1 in all of them."""

    def f(x: torch.Tensor) -> torch.Tensor:
        n, m = x.shape
        x = x[m // 2 : n // 2]
        return x.sum() * (1 << max(0, len(x) - 1).bit_length())

    gradient = dc.derive(f, x=torch.rand(*example, dtype=torch.float64)).compile()
    for size in ((300, 40), (5, 3), (64, 2), (9, 2)):
        x = torch.rand(*size, dtype=torch.float64)
        torch.testing.assert_close(gradient(x=x)[0], f(x))


def with_nothing(x: torch.Tensor) -> torch.Tensor:
    return x[x.shape[0] // 2 : 1].square().mean()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sum() / max(x.shape[0], 1),
        lambda x: x.sum() * math.sqrt(abs(x.numel() - x.shape[1]) + 1),
        lambda x: x.sum() * max(0, x.shape[0] - 1),
        lambda x: x[: min(x.shape[0], 1)].mean(),
        lambda x: torch.diagonal(x, 1).sum(),
        lambda x: x[-256 : len(range(0, 31, 512))].mean(),
        with_nothing,
    ],
)
@pytest.mark.parametrize("rows", [1, 4])
def test_what_is_shorter_at_sizes_from_one_on_keeps_its_length(f: Any, rows: int) -> None:
    """A size may be 0: the derivation says what holds there too, or its condition excludes it."""
    d = dc.derive(f, x=torch.rand(rows, 5, dtype=torch.float64))
    for n in (0, 1, 2, 3, 9):
        if d.program.admits({"N": n, "M": 5}):
            x = torch.rand(n, 5, dtype=torch.float64, requires_grad=True)
            value, grads = d.compile()(x=x.detach())
            torch.testing.assert_close(value, f(x).detach(), equal_nan=True)
            torch.testing.assert_close(grads["x"], torch.autograd.grad(f(x), x)[0], equal_nan=True)
    assert d.program.admits({"N": rows, "M": 5})


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: (x.sum() + w.sum()) / (len(x) // 4),
        lambda x, w: w.sum() / len(x) + x.sum(),
        lambda x, w: (x.sum() + w.sum()) / math.sqrt(len(x) // 4),
        lambda x, w: (x @ w).mean(),
        lambda x, w: x[: len(x) // 4].mean() + w.sum(),
        lambda x, w: (w * (1 / (1 + len(x)))).sum() / (len(x) // 2) + x.sum(),
    ],
)
@pytest.mark.parametrize("n", [0, 1, 3, 4, 9])
def test_a_divisor_that_vanishes_divides_as_torch_does(f: Any, n: int) -> None:
    """1 stands for a divisor of 0 where nothing is divided, and nowhere else."""
    draw = torch.Generator().manual_seed(n)
    x, w = (torch.rand(*s, dtype=torch.float64, generator=draw).requires_grad_() for s in ((n, 2), (2, 3)))
    d = dc.derive(f, x=torch.rand(9, 2, dtype=torch.float64), w=w.detach())
    value, grads = d.compile()(x=x.detach(), w=w.detach())
    torch.testing.assert_close(value, f(x, w).detach(), equal_nan=True)
    for name, wanted in zip("xw", torch.autograd.grad(f(x, w), (x, w))):
        torch.testing.assert_close(grads[name], wanted, equal_nan=True)


def test_a_root_of_a_quotient_of_sizes_is_a_number() -> None:
    d = dc.derive(lambda x: (x / math.sqrt(x.shape[1] // 4)).exp().sum(), x=torch.rand(3, 8, dtype=torch.float64))
    x = torch.rand(2, 12, dtype=torch.float64)
    torch.testing.assert_close(d.compile()(x=x)[0], (x / math.sqrt(3)).exp().sum())
    below = dc.derive(lambda x: (x / math.sqrt(x.shape[1] - 5)).sum(), x=torch.rand(3, 8, dtype=torch.float64))
    assert [c.partition(" at ")[0] for c in below.conditions] == ["M >= 5"]


def resized(**options: Any) -> Any:
    return lambda x: torch.nn.functional.interpolate(x[None, None], **options)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.fft.fftshift(x),
        lambda x: torch.fft.ifftshift(x, dim=1) * torch.fft.fftshift(x, dim=(0,)),
        lambda x: torch.linalg.vander(x),
        lambda x: torch.linalg.vander(x, N=3),
        resized(scale_factor=0.5, mode="area"),
        resized(scale_factor=(1.5, 2.0), mode="nearest", recompute_scale_factor=True),
        resized(scale_factor=1.5, mode="bilinear", antialias=True),
        resized(scale_factor=0.5, mode="bicubic", antialias=True),
        lambda x: x * torch.sym_int(x.shape[0] * 0.5) - torch.sym_float(x.shape[1]),
        lambda x: x * torch.sym_max(x.shape[0], 7),
        lambda x: torch.linalg.tensorsolve(x @ x.mT + 9 * torch.eye(len(x)), x[:, 0]),
    ],
)
def test_numbers_that_torch_computes_within_are_functions_of_the_sizes(f: Any) -> None:
    d = dc.derive(f, x=torch.rand(6, 8, dtype=torch.float64))
    for n, m in ((6, 8), (4, 5), (7, 4), (9, 9)):  # to a width of one torch resizes wrongly: docs/conventions.md
        x = torch.rand(n, m, dtype=torch.float64, requires_grad=True)
        out = f(x)
        value, grads = d.compile()(x=x.detach(), grad_output=torch.ones_like(out))
        torch.testing.assert_close(value, out.detach())
        torch.testing.assert_close(grads["x"], torch.autograd.grad(out.sum(), x)[0])


def test_a_roll_of_nothing_is_nothing() -> None:
    d = dc.derive(lambda x: x.roll(1, 0).sum(), x=torch.rand(0, 4, dtype=torch.float64))
    assert d.compile()(x=torch.rand(0, 4, dtype=torch.float64))[0] == 0


@pytest.mark.parametrize("f", [lambda x: torch.frexp(x)[0], lambda x: torch.nextafter(x, x + 1)])
def test_an_operator_that_is_decomposed_into_itself_is_refused(f: Any) -> None:
    with pytest.raises(dc.UnsupportedOperation, match="it has no row and no decomposition"):
        dc.derive(f, x=torch.rand(3))


def test_pieces_of_a_flattened_matrix_are_not_made_by_the_million() -> None:
    def first_pieces(x: T) -> T:
        return (x.flatten().reshape(-1, 1).split(2, 0)[0] ** 2).sum()

    d = dc.derive(first_pieces, x=normal(6, 5))
    same_as_autograd(d, first_pieces, x=normal(6, 5))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.select(min(x.shape[0], 2) - 1, 0).exp().sum(),
        lambda x: x.sum(x.shape[0] - x.shape[0] // 2 * 2).exp().sum(),
        lambda x: x.softmax(x.shape[0] - 4).select(x.shape[1] - 4, 0).sum(),
        lambda x: x.transpose(x.shape[1] - 4, 1).exp()[0].sum(),
    ],
)
def test_a_dimension_that_a_size_chooses_is_refused_or_fixed(f: Any) -> None:
    x = normal(5, 4)
    try:
        d = dc.derive(f, x=x)
    except dc.UnsupportedOperation:
        return
    same_as_autograd(d, f, x=x)
