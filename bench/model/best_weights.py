"""Keep the weights that validate best, for baselines that deploy these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bench.job import Job, Progress


@dataclass
class BestWeights:
    """What trained, and the buffers, as they would be deployed at the lowest rank so far.

    That is of the job's snapshot, where a technique may have put averages in the weights' place.
    """

    patience: int = 0
    """Epochs without a lower one after which `look` says stop; 0: never."""
    rank: Callable[[nn.Module], tuple[float, ...]] | None = None
    """What is to be low, the first number before the second; None: the job's validation loss."""
    value: tuple[float, ...] = (float("inf"),)
    epoch: int = 0
    """When the lowest was found: after so many epochs."""
    state: dict[str, Tensor] = field(default_factory=dict)

    def look(self, job: Job, progress: Progress) -> bool:
        """Validate after an epoch; tell whether nothing better came for too long.

        A part for `Job.stop`; the job needs `validate`, or this a `rank`.
        """
        model = job.snapshot(job.model)
        value = self._ranked(job, model)
        now = {name: value.detach().clone() for name, value in _changing(model)}
        reshaped = _shapes(now) != _shapes(self.state)  # pruned since: older ones fit no more
        if value < self.value or reshaped:
            self.value, self.epoch, self.state = value, progress.epoch, now
        return 0 < self.patience <= progress.epoch - self.epoch

    def _ranked(self, job: Job, model: nn.Module) -> tuple[float, ...]:
        if self.rank is not None:
            return self.rank(model)
        assert job.validate is not None
        return (job.validate(model),)

    def restore(self, job: Job, model: nn.Module) -> nn.Module:
        """Return the model with the best weights, as it is where none were kept.

        A part for `Job.finish`.
        """
        with torch.no_grad():
            for name, value in _changing(model):
                if name in self.state:
                    value.copy_(self.state[name])
        return model


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _changing(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what training changes: weights with gradients, and buffers."""
    yield from ((name, p) for name, p in model.named_parameters() if p.requires_grad)
    yield from model.named_buffers()
