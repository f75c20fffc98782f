"""Pin batches as torch's DataLoaders do, but give those that can't be pinned as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data._utils import pin_memory as torchs

from bench.interception.patches import Patches
from bench.interception.reading import Parts
from bench.interception.script import REHEARSED_STEPS, Script


@dataclass
class Pinned:
    """Pins what a script's loaders give, as far as a rehearsal comes to them."""

    script: Script
    loaders: int = 0
    """That did not pin."""
    _pinnable: set[bool] = field(default_factory=set)
    """Whether batches could be pinned."""
    _looked_at: list[Parts] = field(default_factory=list)
    """What gives the batches of those that a rehearsal comes to."""

    def begin(self, by: str, needed: bool) -> None:
        """Pin from the script's start on, for the technique `by`; `needed`: it has to have one."""
        self.script.throughout(lambda: pinning(self._pinnable.add))
        self.script.each_loader(self._pin, by=by, needed=needed)

    @property
    def gives(self) -> bool:
        """Tell whether a loader pins that did not; of what gave no batch yet that is expected."""
        return bool(self.loaders) and self._pinnable != {False}

    def _pin(self, loader: DataLoader[Any]) -> None:
        """Let a loader give batches that lie in pinned memory, if they can.

        What a rehearsal does not come to is left as it is, unless it gives what an earlier one did.
        """
        parts, late = Parts.of(loader), self.script.steps >= REHEARSED_STEPS
        if late and not any(parts.are_alike(other) for other in self._looked_at):
            return
        if not late:
            self._looked_at.append(parts)
        self.loaders += not loader.pin_memory
        loader.pin_memory = True


def can_be_pinned(batch: Any) -> bool:
    """Tell whether all tensors of a batch are dense, and on the CPU: torch pins no others."""
    if isinstance(batch, Tensor):
        return batch.device.type == "cpu" and batch.layout is torch.strided
    if isinstance(batch, str | bytes) or hasattr(batch, "pin_memory"):
        return not getattr(batch, "is_cuda", False)  # torch lets it do that itself
    if isinstance(batch, Mapping):
        return all(map(can_be_pinned, batch.values()))
    return not isinstance(batch, Sequence) or all(map(can_be_pinned, batch))


@contextmanager
def pinning(note: Callable[[bool], None]) -> Iterator[None]:
    """Let loaders that pin give what can't be pinned as it is; `note` is told of each batch."""
    plain: Any = torchs.pin_memory

    def pin_memory(batch: Any, *args: Any, **kwargs: Any) -> Any:
        pinnable = can_be_pinned(batch)
        note(pinnable)
        return plain(batch, *args, **kwargs) if pinnable else batch

    with Patches() as patches:
        patches.replace(torchs, "pin_memory", pin_memory)
        yield
