"""The processes that train together: one, or several that torchrun started (DistributedDataParallel)."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

#: The others wait so long while the first one validates.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class World:
    """``rank`` of ``size``; ``local``: the number among the processes on this computer, for its graphics cards."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @classmethod
    def from_environment(cls) -> Self:
        """What torchrun says; a single process where it says nothing."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        return cls(*(int(os.environ[name]) for name in names)) if all(name in os.environ for name in names) else cls()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, validates and talks."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Meet the others."""
        if self.size > 1:
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)

    def leave(self) -> None:
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def wrap(self, network: nn.Module) -> nn.Module:
        """*network*, whose gradients become the mean over all processes."""
        if self.size == 1:
            return network
        # The statistics of batch norm stay those of the first process, which is the one that saves.
        return DistributedDataParallel(network, broadcast_buffers=False)

    def unsynchronised(self, network: nn.Module) -> AbstractContextManager[None]:
        """Within, gradients are gathered here only; the next pass outside sends them on."""
        return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            distributed.barrier()


def plain(network: nn.Module) -> nn.Module:
    """The network itself, without what :meth:`World.wrap` put around it."""
    return cast(nn.Module, network.module) if isinstance(network, DistributedDataParallel) else network
