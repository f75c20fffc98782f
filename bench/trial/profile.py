"""Profile a training of the baseline: its phases, and what its memory holds, by kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from bench.job import Job, never_stop, plain_step
from bench.machine.memory import resident
from bench.machine.peaks import product_rate
from bench.model.nested import tensors_in
from bench.records.profile import Profile
from bench.trial.timing import Timeline


@dataclass
class Profiler:
    """Looks at memory when a job is built and at its first update: a step of warm-up."""

    job: Job
    base_bytes: int | None
    """Resident when the process began."""
    built: tuple[int | None, int | None] = (None, None)
    backward_peak: int | None = None
    optimizers: dict[int, Optimizer] = field(default_factory=dict)
    gradient_bytes: int = 0

    def __post_init__(self) -> None:
        self.built = self._held()

    def watched(self) -> Job:
        """Return the job, whose first update is looked at."""

        def update(optimizer: Optimizer) -> None:
            if not self.optimizers:
                self.backward_peak = self._held()[1]
            if id(optimizer) not in self.optimizers:
                self.optimizers[id(optimizer)] = optimizer
                self.gradient_bytes += _bytes(_gradients(optimizer))
            self.job.update(optimizer)

        return replace(self.job, update=update)

    def read(self, line: Timeline) -> Profile:
        """Return what was seen; the optimizers have made their states meanwhile."""
        model, seen = self.job.model, bool(self.optimizers)
        states = [tensors_in(list(made.state.values())) for made in self.optimizers.values()]
        return Profile(
            phase_seconds=line.phase_seconds(0),
            own_step=self.job.step is not plain_step,
            stops=self.job.stop is not never_stop,
            built_bytes=self.built[0],
            built_peak_bytes=self.built[1],
            backward_peak_bytes=self.backward_peak,
            parameter_bytes=_bytes([*model.parameters(), *model.buffers()]),
            gradient_bytes=self.gradient_bytes if seen else None,
            optimizer_state_bytes=_bytes(t for state in states for t in state) if seen else None,
            product_flops_per_second=product_rate(self.job.device.type, torch.float32),
        )

    def _held(self) -> tuple[int | None, int | None]:
        """Return the bytes held now, and at most so far: of the device, or above the start."""
        device = self.job.device
        if device.type == "cuda":
            return torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
        found, base = resident(), self.base_bytes
        if base is None or found.now is None or found.peak is None:
            return None, None
        return found.now - base, found.peak - base


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    return [weight.grad for weight in weights if weight.grad is not None]


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Return what tensors hold; one that is there twice counts once."""
    return sum(t.numel() * t.element_size() for t in {id(t): t for t in tensors}.values())
