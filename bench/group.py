"""The processes that train one model together: which one this is, and what they agree on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Group:
    """One of `size` processes that train together, counted from 0; alone where nothing is said.

    What is asked of the others is asked of all of them at the same place, or they wait for ever.
    Values are exchanged on the CPU.
    """

    rank: int = 0
    size: int = 1

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes of each number, the same in all of them."""
        if self.size == 1:
            return values
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total / self.size

    def agreed(self, answer: bool) -> bool:
        """Return what the first process answers."""
        if self.size == 1:
            return answer
        told = torch.tensor([answer], dtype=torch.uint8)
        torch.distributed.broadcast(told, src=0)
        return bool(told)

    def same(self, value: float) -> bool:
        """Tell whether all processes hold the same number."""
        if self.size == 1:
            return True
        ends = torch.tensor([value, -value], dtype=torch.float64).nan_to_num()
        torch.distributed.all_reduce(ends, op=torch.distributed.ReduceOp.MAX)
        return bool(ends[0] == -ends[1])


def of_process() -> Group:
    """Return the group that this process was started in."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return Group()
    return Group(torch.distributed.get_rank(), torch.distributed.get_world_size())
