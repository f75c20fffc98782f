"""Profile a training of the baseline: its phases, and what its memory holds, by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.interception.calls import Call
from bench.interception.scaling import gradients_of
from bench.interception.script import Script
from bench.job import Job, never_stop, plain_step
from bench.machine.memory import resident
from bench.machine.peaks import product_rate
from bench.model.nested import tensors_in
from bench.records.profile import Profile
from bench.trial.timing import Timeline


@dataclass
class Seen:
    """Looks at memory when a training begins and at its first update: a step of warm-up."""

    device: torch.device
    base_bytes: int | None
    """Resident when the process began."""
    built: tuple[int | None, int | None] | None = None
    backward_peak: int | None = None
    optimizers: dict[int, Optimizer] = field(default_factory=dict)
    gradient_bytes: int = 0

    def begin(self) -> None:
        """Note what is held before the first step, once."""
        self.built = self.built or self._held()

    def before_update(self, optimizer: Optimizer) -> None:
        """Look at gradients, and at the memory, before an optimizer's first update."""
        if not self.optimizers:
            self.backward_peak = self._held()[1]
        if id(optimizer) not in self.optimizers:
            self.optimizers[id(optimizer)] = optimizer
            self.gradient_bytes += _bytes(gradients_of(optimizer))

    def read(
        self, models: Sequence[nn.Module], line: Timeline, own_step: bool, stops: bool
    ) -> Profile:
        """Return what was seen; the optimizers have made their states meanwhile."""
        seen, built = bool(self.optimizers), self.built or (None, None)
        states = [tensors_in(list(made.state.values())) for made in self.optimizers.values()]
        held = [t for model in models for t in (*model.parameters(), *model.buffers())]
        return Profile(
            phase_seconds=line.phase_seconds(0),
            own_step=own_step,
            stops=stops,
            built_bytes=built[0],
            built_peak_bytes=built[1],
            backward_peak_bytes=self.backward_peak,
            parameter_bytes=_bytes(held),
            gradient_bytes=self.gradient_bytes if seen else None,
            optimizer_state_bytes=_bytes(t for state in states for t in state) if seen else None,
            product_flops_per_second=product_rate(self.device.type, torch.float32),
        )

    def _held(self) -> tuple[int | None, int | None]:
        """Return the bytes held now, and at most so far: of the device, or above the start."""
        if self.device.type == "cuda":
            return (
                torch.cuda.memory_allocated(self.device),
                torch.cuda.max_memory_allocated(self.device),
            )
        found, base = resident(), self.base_bytes
        if base is None or found.now is None or found.peak is None:
            return None, None
        return found.now - base, found.peak - base


class Profiler:
    """Looks at a job, when it is built and at its first update."""

    def __init__(self, job: Job, base_bytes: int | None) -> None:
        self._job, self._seen = job, Seen(job.device, base_bytes)
        self._seen.begin()

    def watched(self) -> Job:
        """Return the job, whose first update is looked at."""

        def update(optimizer: Optimizer) -> None:
            self._seen.before_update(optimizer)
            self._job.update(optimizer)

        return replace(self._job, update=update)

    def read(self, line: Timeline) -> Profile:
        """Return what was seen."""
        own, stops = self._job.step is not plain_step, self._job.stop is not never_stop
        return self._seen.read([self._job.model], line, own, stops)


class ScriptProfiler:
    """Looks at a script, when a model is first called for a gradient and at its first update."""

    def __init__(self, script: Script, base_bytes: int | None) -> None:
        self._script, self._seen = script, Seen(script.device, base_bytes)
        script.look_at_calls(self._begin)
        script.look_at_optimizers(self._seen.before_update)

    def _begin(self, model: nn.Module, call: Call) -> Call:
        self._seen.begin()
        return call

    def read(self, line: Timeline, own_step: bool) -> Profile:
        """Return what was seen; `own_step`: a step's phases lie within one another."""
        return self._seen.read(self._script.models, line, own_step, stops=False)


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Return what tensors hold; what several of them share counts once."""
    storages = (part.untyped_storage() for tensor in tensors for part in _parts(tensor))
    held = {storage._cdata: storage for storage in storages}
    return sum(storage.nbytes() for storage in held.values())


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors in which a sparse one keeps its values and their places."""
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return (tensor,)
