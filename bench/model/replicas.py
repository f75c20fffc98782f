"""Train equal copies of a model in several processes with DDP, whatever of it the loss calls."""

from __future__ import annotations

import gc
import warnings
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.batches import Batch
from bench.errors import NotApplicable, reason_of
from bench.group import Group
from bench.job import Loss
from bench.random_state import undisturbed


class LossOf(nn.Module):
    """A loss as a module: what of the model it calls, DDP need not know."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        return self.loss(self.model, batch)


@dataclass
class Replicated:
    """DDP around a loss, made in the first step: which weights the loss leaves out shows there.

    It is made anew where other weights train than then (layers thawed, parts replaced): DDP would
    leave their gradients as they are.
    """

    inner: LossOf
    group: Group
    device: torch.device
    whole: DistributedDataParallel | None = None
    trained: list[int] = field(default_factory=list)
    """Ids of the weights that trained when it was made."""

    not_remembered: ClassVar[frozenset[str]] = frozenset({"whole", "trained"})

    def loss(self, old: Loss) -> Loss:
        """Let gradients be averaged where the job's own model trains."""

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            if model is not self.inner.model or not torch.is_grad_enabled():
                return old(model, batch)
            trained = [id(p) for p in self.inner.parameters() if p.requires_grad]
            if self.whole is None or trained != self.trained:
                if self.whole is not None:
                    self.whole = None
                    gc.collect()  # its hooks go with it
                self.trained = trained
                self.whole = self._made(batch)
            found: Tensor = self.whole(batch)
            return found

        return loss

    def _made(self, batch: Batch) -> DistributedDataParallel:
        with undisturbed(self.device):
            reached = _reached(self.inner(batch))
        left_out = any(p.requires_grad and id(p) not in reached for p in self.inner.parameters())
        all_alike = self.group.same(left_out)
        try:
            with warnings.catch_warnings():  # torch 2.13 has another name for broadcast_buffers
                warnings.simplefilter("ignore", FutureWarning)
                return DistributedDataParallel(
                    self.inner, broadcast_buffers=False, gradient_as_bucket_view=True,
                    find_unused_parameters=left_out or not all_alike,
                )  # fmt: skip
        except (RuntimeError, TypeError, ValueError) as error:
            raise NotApplicable(f"DDP refuses the model: {reason_of(error)}") from error


def _reached(loss: Tensor) -> set[int]:
    """Return the ids of the weights that a loss depends on."""
    found, left, seen = set[int](), [loss.grad_fn], set[object]()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found.add(id(getattr(node, "variable", None)))
        left += [following for following, _ in node.next_functions]
    return found
