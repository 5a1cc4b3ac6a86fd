"""A run that is stopped and goes on is, to the last bit, the run that was never stopped; a bad checkpoint loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import derivcheck as dc


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(23, 3, generator=generator, dtype=torch.float64)
    return x, x @ torch.randn(3, 2, generator=generator, dtype=torch.float64)


def run(**more: Any) -> tuple[nn.Module, dc.History]:
    torch.manual_seed(1)
    module = nn.Linear(3, 2, dtype=torch.float64)
    options = {"epochs": 6, "batch_size": 5, "optimizer": "adam", "device": "cpu", **more}
    return module, dc.train(module, nn.MSELoss(), *data(), **options)


class Stop(Exception):
    """Raised in the middle, as a machine that goes down."""


def stopping(after: int) -> Any:
    """A gradient that is right, and raises at its call of that number."""
    calls = 0

    def gradient(
        grad_output: torch.Tensor, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, target: torch.Tensor
    ):
        nonlocal calls
        calls += 1
        if calls > after:
            raise Stop
        g = grad_output * 2 * (input @ weight.T + bias - target) / target.numel()
        return {"weight": g.T @ input, "bias": g.sum(0)}

    return gradient


def same(a: tuple[nn.Module, dc.History], b: tuple[nn.Module, dc.History]) -> None:
    assert a[1].losses == b[1].losses and a[1].final_loss == b[1].final_loss
    assert all(torch.equal(p, q) for p, q in zip(a[0].state_dict().values(), b[0].state_dict().values()))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", torch.optim.RMSprop])
@pytest.mark.parametrize("batch_size", [5, None])
def test_more_epochs_from_where_it_ended(optimizer: Any, batch_size: int | None, tmp_path: Path) -> None:
    options = {"optimizer": optimizer, "batch_size": batch_size}
    run(**options, epochs=4, checkpoint=tmp_path / "run.pt")
    same(run(**options, checkpoint=tmp_path / "run.pt", resume=True), run(**options))


@pytest.mark.parametrize("stop", [7, 12, 21, 30])
@pytest.mark.parametrize("every", [1, 4])
def test_stopped_in_the_middle_of_an_epoch(stop: int, every: int, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    seen = _checked_with(stopping(10**9))
    with pytest.raises(Stop):
        run(gradient=stopping(seen + stop), checkpoint=path, checkpoint_every=every)
    same(run(gradient=stopping(10**9), checkpoint=path, resume=True), run(gradient=stopping(10**9)))


def _checked_with(gradient: Any) -> int:
    """How often the gate calls a gradient before the first step."""
    torch.manual_seed(1)
    calls = []

    def counted(**tensors: torch.Tensor) -> Any:
        calls.append(0)
        return gradient(**tensors)

    dc.train(
        nn.Linear(3, 2, dtype=torch.float64), nn.MSELoss(), *data(), epochs=1, batch_size=23, device="cpu", gradient=counted
    )
    return len(calls) - 2  # one step, and the last look


@pytest.fixture
def heard() -> Iterator[None]:
    """SIGINT as a terminal's program has it, whatever started the tests (in the background it is ignored)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_the_run(number: signal.Signals, tmp_path: Path) -> None:
    path, before = tmp_path / "run.pt", signal.getsignal(number)
    with pytest.raises(
        dc.RunInterrupted, match=rf"stopped by {number.name} after step \d+; .*run.pt goes on from there"
    ) as caught:
        run(checkpoint=path, on_epoch=lambda epoch, loss: os.kill(os.getpid(), number) if epoch == 2 else None)
    assert caught.value.signal == number and caught.value.step == 11, "the step that was going on is over"
    assert signal.getsignal(number) is before
    same(run(checkpoint=path, resume=True), run())


@pytest.mark.usefixtures("heard")
def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    same(run(checkpoint=tmp_path / "run.pt", on_epoch=lambda epoch, loss: os.kill(os.getpid(), signal.SIGINT)), run())


@pytest.mark.usefixtures("heard")
def test_without_a_checkpoint_a_signal_is_not_held() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(on_epoch=lambda epoch, loss: os.kill(os.getpid(), signal.SIGINT))


def spoilt(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-100])
    elif how == "changed":
        path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
    elif how == "foreign":
        torch.save({"weight": torch.ones(2)}, path)
    elif how == "empty":
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("cut", r"run.pt is damaged \(its content has another hash than it says\); start the run anew"),
        ("changed", "run.pt is damaged"),
        ("foreign", "run.pt is no checkpoint of this version of derivcheck"),
        ("empty", "run.pt is no checkpoint of this version of derivcheck"),
    ],
)
def test_a_bad_checkpoint_is_one_sentence_and_stays(how: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    run(epochs=2, checkpoint=path)
    spoilt(path, how)
    before = path.read_bytes()
    with pytest.raises(dc.InputError, match=says):
        run(checkpoint=path, resume=True)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"lr": 0.2}, "run.pt is of another run: lr is 0.1 there and 0.2 here; resume with the settings of then"),
        ({"optimizer": "sgd"}, "the optimizer is adam there and sgd here"),
        ({"batch_size": 6}, "the batch size is 5 there and 6 here"),
        ({"seed": 3}, "the seed is 0 there and 3 here"),
        ({"gradient": "autograd"}, "the gradient is derived there and autograd here"),
    ],
)
def test_a_checkpoint_of_another_run(other: dict[str, Any], says: str, tmp_path: Path) -> None:
    run(epochs=2, checkpoint=tmp_path / "run.pt")
    with pytest.raises(dc.InputError, match=says):
        run(checkpoint=tmp_path / "run.pt", resume=True, **other)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"resume": True}, "need checkpoint="),
        ({"checkpoint_every": 3}, "need checkpoint="),
        ({"checkpoint": "run.pt", "checkpoint_every": 0}, "checkpoint_every is 0; expected a whole number of steps"),
        ({"checkpoint": "none/run.pt", "resume": True}, r"run.pt cannot be read \(No such file or directory\)"),
    ],
)
def test_bad_input(more: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dc.InputError, match=says):
        run(**more)
    assert not list(tmp_path.iterdir())
