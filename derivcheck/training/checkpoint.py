"""A run's state on disk: there whole or not at all, and taken up bit for bit."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from derivcheck.errors import InputError
from derivcheck.files import MARK, digest

_HEAD = re.compile(rb"Checkpoint 1, written by " + MARK.encode() + rb"([0-9a-f]{32})\n")


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is.

    Attributes:
        run: what the run is (data, module, optimizer, settings), in words; another run cannot go on from here.
        epoch: from 1, the one that is going on (after the last, one more); ``batch``: how many of its steps are done.
        total: the sum of this epoch's losses, each times its rows; ``losses``: of the epochs that are over.
        order: the state of the shuffling generator at the start of the epoch; ``random``: of torch's own.
        tensors: the module's parameters and buffers; ``kept``: those of the last finite loss at an epoch's first step.
        optimizer: its ``state_dict()``.
        seconds: of the epochs so far.
    """

    run: Mapping[str, str]
    epoch: int
    batch: int
    total: float
    losses: list[float]
    order: torch.Tensor
    random: torch.Tensor
    tensors: Mapping[str, torch.Tensor]
    kept: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def write(self, path: Path) -> None:
        """Put it on disk: under another name first, then renamed, both made sure of.

        Raises:
            InputError: the folder cannot be written; what was there is untouched.
        """
        payload = io.BytesIO()
        torch.save({f.name: getattr(self, f.name) for f in fields(self)}, payload)
        content = payload.getvalue()
        temporary = path.with_name(f".derivcheck-{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as f:
                f.write(f"Checkpoint 1, written by {MARK}{digest(content)}\n".encode() + content)
                f.flush()
                os.fsync(f.fileno())
            os.replace(temporary, path)
            _sync(path.parent)
        except OSError as e:
            raise InputError(f"{path} cannot be written ({e.strerror or e}); name another place for the checkpoint") from None
        finally:
            temporary.unlink(missing_ok=True)


def read(path: Path, run: Mapping[str, str]) -> Checkpoint:
    """The checkpoint of ``run`` at ``path``.

    Raises:
        InputError: there is none, it is no checkpoint, it is damaged, or it is of another run; the file is not changed.
    """
    try:
        content = path.read_bytes()
    except OSError as e:
        raise InputError(f"{path} cannot be read ({e.strerror or e}); start the run anew") from None
    head = _HEAD.match(content)
    if head is None:
        raise InputError(f"{path} is no checkpoint of this version of derivcheck; resume from another, or start the run anew")
    payload = content[head.end() :]
    if digest(payload) != head[1].decode():
        raise InputError(f"{path} is damaged (its content has another hash than it says); start the run anew")
    try:
        found = Checkpoint(**torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True))
    except Exception as e:  # whatever torch raises on bytes that are none of ours
        raise InputError(f"{path} holds no run ({type(e).__name__}); start the run anew") from None
    other = next((k for k in {**found.run, **run} if found.run.get(k) != run.get(k)), None)
    if other is not None:
        there, here = (r.get(other, "nothing") for r in (found.run, run))
        raise InputError(
            f"{path} is of another run: {other} is {there} there and {here} here; resume with the settings of then"
        )
    return found


def _sync(folder: Path) -> None:
    """Make sure of the new name in its folder, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder cannot be opened on Windows
        return
    try:
        os.fsync(handle)
    except OSError:  # nor synchronised on some file systems
        pass
    finally:
        os.close(handle)


def digest_of(*tensors: torch.Tensor) -> str:
    """A short hash of tensors: their types, shapes and bytes."""
    found = hashlib.blake2b(digest_size=8)
    for t in tensors:
        flat = t.detach().cpu().contiguous()
        found.update(f"{flat.dtype} {tuple(flat.shape)}".encode())
        found.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() and flat.ndim else repr(flat.tolist()).encode())
    return found.hexdigest()
