"""The parameters that an optimizer steps: the module's own, or the shards of them that each rank has (FSDP2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from derivcheck.checking.subject.forms import called
from derivcheck.errors import InputError

HOOKS = "_hooks"
STATE = ("__composable_api_state_key", "_is_fsdp", "_fsdp")  # what fully_shard keeps on a module


class Weights:
    """The module's own parameters.

    Attributes:
        module: what is derived, checked and called.
        whole: every rank has every parameter.
    """

    whole = True

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @staticmethod
    def of(module: nn.Module) -> Weights:
        """Those of a module, sharded or not.

        Raises:
            InputError: shards that do not lie over all ranks of the default process group, one after the other.
        """
        if not isinstance(module, nn.Module) or not any(_is_shard(p) for p in module.parameters()):
            return Weights(module)
        return _Shards(module)

    def stepped(self, trained: Mapping[str, nn.Parameter]) -> list[nn.Parameter]:
        """What the optimizer gets, of the module's parameters by name."""
        return list(trained.values())

    def take(self, grads: Mapping[str, torch.Tensor], trained: Mapping[str, nn.Parameter]) -> None:
        """Put a step's gradients where the optimizer looks for them."""
        for n, p in trained.items():
            p.grad = grads[n]

    def gather(self) -> None:
        """The optimizer has stepped."""

    def put_back(self) -> None:
        """The module's parameters were set."""


class _Shards(Weights):
    """DTensor shards of ``fully_shard``: a plain module of the whole parameters stands for the sharded one.

    The optimizer and its state stay sharded; the whole parameters are gathered for each step.
    """

    whole = False

    def __init__(self, module: nn.Module) -> None:
        """Make the plain module; raises where the shards lie otherwise."""
        self.shards: dict[str, Any] = {called(n): p for n, p in module.named_parameters()}
        for n, p in self.shards.items():
            if not _is_shard(p) or p.device_mesh.ndim != 1 or p.device_mesh.size() != dist.get_world_size():
                where = f"a mesh of {tuple(p.device_mesh.shape)}" if _is_shard(p) else "no mesh"
                raise InputError(
                    f"parameter {n} lies on {where}; expected shards over all {dist.get_world_size()} ranks, as "
                    "fully_shard makes them of the whole module"
                )
        super().__init__(_plain(module, {}))
        self.parameters = {called(n): p for n, p in self.module.named_parameters()}

    def stepped(self, trained: Mapping[str, nn.Parameter]) -> list[nn.Parameter]:
        return [self.shards[n] for n in trained]

    def take(self, grads: Mapping[str, torch.Tensor], trained: Mapping[str, nn.Parameter]) -> None:
        for n in trained:
            self.shards[n].grad = _like(self.shards[n], grads[n])

    def gather(self) -> None:
        with torch.no_grad():
            for n, p in self.parameters.items():
                p.copy_(self.shards[n].full_tensor())

    def put_back(self) -> None:
        with torch.no_grad():
            for n, p in self.shards.items():
                p.copy_(_like(p, self.parameters[n].detach()))
                p.grad = None


def _is_shard(p: Any) -> bool:
    return dist.is_available() and hasattr(p, "device_mesh") and hasattr(p, "full_tensor")


def _like(shard: Any, whole: torch.Tensor) -> Any:
    """This rank's part of a tensor that every rank has: nothing goes over the wire."""
    from torch.distributed.tensor import distribute_tensor  # where there are shards

    return distribute_tensor(whole, shard.device_mesh, shard.placements, src_data_rank=None)


def _plain(module: nn.Module, made: dict[int, nn.Parameter]) -> nn.Module:
    """A module of the class that the user wrote, with whole parameters and without torch's hooks that gather them."""
    from torch.distributed.fsdp import FSDPModule  # where there are shards

    own = next(c for c in type(module).__mro__ if not issubclass(c, FSDPModule))
    twin: Any = own.__new__(own)
    twin.__dict__.update({n: v for n, v in module.__dict__.items() if not n.startswith(STATE)})
    for name, value in module.__dict__.items():
        if name.endswith(HOOKS) and isinstance(value, dict):
            twin.__dict__[name] = type(value)((k, h) for k, h in value.items() if not _of_torch(h))
    twin._parameters = {n: None if p is None else _whole(p, made) for n, p in module._parameters.items()}
    twin._modules = {n: None if m is None else _plain(m, made) for n, m in module._modules.items()}
    found: nn.Module = twin
    return found


def _whole(p: Any, made: dict[int, nn.Parameter]) -> nn.Parameter:
    if id(p) not in made:
        made[id(p)] = nn.Parameter(p.full_tensor().detach().clone(), p.requires_grad)
    return made[id(p)]


def _of_torch(hook: Any) -> bool:
    inner: Iterable[Any] = (hook, getattr(hook, "hook", None))
    return any(str(getattr(h, "__module__", "")).startswith("torch.distributed.fsdp") for h in inner)
