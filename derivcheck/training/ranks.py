"""A function in several processes of one machine, joined by torch.distributed (gloo): what a data-parallel run does, small."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from derivcheck.errors import DerivcheckError, InputError

SECONDS = 120.0  # in which the processes have to be done; importing torch is most of it


def in_ranks(function: Callable[..., Any], world: int, *arguments: Any, seconds: float = SECONDS) -> list[Any]:
    """``function(rank, *arguments)`` in ``world`` new processes under one process group; what each returns.

    Args:
        function, arguments: what can be pickled: a function at the top of a module, tensors on the CPU.

    Raises:
        InputError: something cannot be pickled; a process raised, died, or was not done in time.  The others are ended then.
    """
    try:
        work = pickle.dumps((function, arguments))
    except Exception as e:  # pickle raises what the value's own __reduce__ raises
        raise InputError(
            f"{e}; other processes get it by pickle: define functions and classes at the top of a module"
        ) from None
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="derivcheck-") as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(world)]
        file = Path(folder, "store").as_uri()
        processes = [context.Process(target=_rank, args=(k, world, file, work, pipes[k][1]), daemon=True) for k in range(world)]
        for p in processes:
            p.start()
        for _, end in pipes:
            end.close()  # so that a process that dies ends its pipe
        try:
            return _gathered([pipe for pipe, _ in pipes], time.monotonic() + seconds, seconds)
        finally:
            for p in processes:
                p.join(0.5 if p.is_alive() else None)
                if p.is_alive():
                    p.kill()
                    p.join()


def _gathered(pipes: list[Connection], until: float, seconds: float) -> list[Any]:
    """What each process sends, in their order; the first that sends an error or dies ends it."""
    found: dict[int, Any] = {}
    while len(found) < len(pipes):
        ready = wait([p for k, p in enumerate(pipes) if k not in found], max(0.0, until - time.monotonic()))
        if not ready:
            late = ", ".join(str(k) for k in range(len(pipes)) if k not in found)
            raise InputError(f"rank {late} had not ended after {seconds:.0f} s: does every rank meet the same reductions?")
        for pipe in ready:
            k = pipes.index(pipe)  # type: ignore[arg-type]
            try:
                fine, value = pickle.loads(pipes[k].recv_bytes())
            except (EOFError, OSError):
                raise InputError(f"rank {k} died; the other ranks were ended") from None
            if not fine:
                raise InputError(f"rank {k} raised {value}; the other ranks were ended")
            found[k] = value
    return [found[k] for k in range(len(pipes))]


def _rank(rank: int, world: int, store: str, work: bytes, pipe: Any) -> None:
    """One process: joins the group, calls the function, sends what it returns or raises."""
    try:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
        import torch.distributed as dist  # in the new process alone

        function, arguments = pickle.loads(work)
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world, timeout=timedelta(seconds=SECONDS))
        value = function(rank, *arguments)
        sent = pickle.dumps((True, value))
    except BaseException as e:  # told by the parent
        told = str(e) if isinstance(e, DerivcheckError) else f"{type(e).__name__}: {e}{_place(e)}"
        sent = pickle.dumps((False, told))
    pipe.send_bytes(sent)
    pipe.close()


def _place(e: BaseException) -> str:
    frames = traceback.extract_tb(e.__traceback__)
    return f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def _loopback() -> str:
    """The interface of this machine alone: a host's own name need not resolve."""
    names = [name for _, name in socket.if_nameindex()]
    return next((n for n in ("lo", "lo0") if n in names), names[0])
