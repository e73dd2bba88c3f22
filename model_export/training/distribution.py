"""Several processes training one model, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Distribution:
    """Which of how many processes this is; the functions do nothing where there is one.

    Attributes:
        rank: 0 writes files, validates and decides.
        size: How many processes there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes, validates and decides."""
        return self.rank == 0

    def own_share(self, batches: int) -> list[int]:
        """Return which batches of an epoch this process takes, equally many in each; the last may be taken twice.

        >>> Distribution(rank=1, size=2).own_share(5)
        [1, 3, 0]
        """
        steps = -(-batches // self.size)
        return [(step * self.size + self.rank) % batches for step in range(steps)]

    def average_gradients(self, parameters: Iterable[Tensor], weight: float) -> None:
        """Replace each gradient by the mean over the processes, weighted (by their predictions)."""
        if self.size == 1:
            return
        total = torch.tensor(weight, dtype=torch.float64)
        distributed.all_reduce(total)
        trained = list(parameters)
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([parameter.grad.flatten() for parameter in trained if parameter.grad is not None])
        flat *= weight / float(total)
        distributed.all_reduce(flat)
        start = 0
        for parameter in trained:
            if parameter.grad is not None:
                size = parameter.grad.numel()
                parameter.grad.copy_(flat[start : start + size].view_as(parameter.grad))
                start += size

    def from_first(self, value: float) -> float:
        """Return what the first process passed."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        distributed.broadcast(shared, src=0)
        return float(shared)


def join_processes() -> Distribution:
    """Join the processes that ``torchrun`` started; a single process without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Distribution()
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return Distribution(rank=distributed.get_rank(), size=size)


def leave_processes() -> None:
    """Take leave of the other processes, if there are any."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
