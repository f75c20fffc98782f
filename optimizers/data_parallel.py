"""Data parallel: train in several processes, each on its share of every batch.

What:    a trial becomes a group of processes on this machine, started as torchrun starts them. Each
         draws the same batches and keeps its share of the items, so that the batch of a step stays
         what it is; gradients are averaged by items with DDP. With `shard`, FSDP2 (fully_shard)
         also shares out weights, gradients and the optimizer's state, and gathers each block's
         weights when they are needed. Whole models are evaluated and saved, under the same names.
Helps:   several GPUs; CPUs where one process doesn't keep all cores busy. `shard`: models whose
         weights and optimizer state fill a device.
Hurts:   small models, where exchanging gradients takes longer than computing them. Every process
         draws whole batches, so reading data is not shared out, and each evaluates by itself.
         Losses over pairs of items, and batch norm, see a share instead of the batch: refused.
Effect:  rounding. Where a model draws random numbers (dropout) it is refused; with `own_draws` each
         process draws its own, and it is judged as learning.
Source:  Li et al., PyTorch Distributed, VLDB 2020; PyTorch documentation, DistributedDataParallel
         and FSDP2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from pydantic import Field, ModelWrapValidatorHandler, model_validator
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.batches import Batch, inputs_of
from bench.errors import BenchError, NotApplicable
from bench.group import Group, of_process
from bench.job import Batches, Job, Loss, Mark, Progress, Step, deploys_what_it_trains
from bench.model.replicas import LossOf, Replicated
from bench.model.sharding import shared_out
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class DataParallel(Technique):
    """Share out batches, and with `shard` the model too."""

    name: ClassVar[str] = "data-parallel"
    stage: ClassVar[Stage] = Stage.GROUP
    effect: ClassVar[Effect] = Effect.ROUNDING
    # of a last batch processes may make unlike numbers of microbatches, and wait for each other
    conflicts: ClassVar[frozenset[str]] = frozenset(
        {"gradient-accumulation", "selective-backprop", "pruning"}
    )

    processes: int = Field(1, ge=1, le=64, description="that train together; also --processes")
    shard: bool = Field(False, description="share out the model too (FSDP2); also --shard")
    own_draws: bool = Field(
        False, description="let each process draw its own random numbers in the model (dropout)"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _by_effect(cls, given: Any, made: ModelWrapValidatorHandler[DataParallel]) -> DataParallel:
        """Make one that is judged as learning, where processes draw their own numbers."""
        found = made(given)
        if found.own_draws and cls is DataParallel:
            return _OwnDraws.model_validate(found.model_dump())
        return found

    def group_size(self) -> int:
        """Return the processes asked for."""
        return self.processes

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Leave the settings as they are; refuse one process, and batches too small to share."""
        self._check_asked()
        size = getattr(settings, "batch_size", None)
        if size is not None and size < self.processes:
            raise NotApplicable(
                f"a batch of {size} can't be shared out among {self.processes} processes"
            )
        return settings

    def apply(self, job: Job) -> Job:
        """Wrap what draws batches, counts items, and makes losses and gradients."""
        self._check_asked()
        group = of_process()
        if group.size != self.processes:
            raise NotApplicable(
                f"it trains in {self.processes} processes, which a trial starts; here is "
                f"{group.size}"
            )
        if job.losses:
            raise NotApplicable(
                f"the optimizers of {', '.join(job.losses)} take turns, and gradients of one loss "
                "are averaged"
            )
        shares = _Shares(job, group, torch.initial_seed() if self.own_draws else None)
        job = job.wrap("batches", shares.batches, by=self.name)
        job = job.wrap("items", shares.items, by=self.name)
        job = job.wrap("backward", shares.backward, by=self.name)
        job = job.wrap("step", shares.step, by=self.name)
        job = job.wrap("loss", shares.loss, by=self.name)
        return replace(self._joined(job), group=group)

    def _check_asked(self) -> None:
        if self.processes == 1:
            raise NotApplicable(
                f"one process is asked for: give {self.name}:processes=2, or --processes 2"
            )

    def _joined(self, job: Job) -> Job:
        """Let the gradients that a loss leaves be those of all processes."""
        if self.shard:
            return _sharded(job, self.name)
        replicated = Replicated(LossOf(job.model, job.loss), of_process(), job.device)
        job = job.wrap("loss", replicated.loss, by=self.name)
        return job.relying([replicated.inner], by=self.name)


class _OwnDraws(DataParallel):
    """The same where processes draw their own numbers: another trajectory."""

    effect: ClassVar[Effect] = Effect.LEARNING


@dataclass
class _Shares:
    """One process's share of each batch, and what it weighs in the mean over all items.

    Gradients and losses are averaged over the processes. So a loss, which is a mean over the n
    items of a share of N, is multiplied by n * processes / N. A process for which there is no
    item takes one of another's, with the weight 0: all of them make every step.
    """

    job: Job
    group: Group
    own_seed: int | None
    current: Batch = None
    whole: int = 0
    weight: float = 1.0
    calls: int = 0
    """Of the loss, each of which draws other numbers."""
    checked: bool = False
    """Whether a loss was looked at."""

    not_remembered: ClassVar[frozenset[str]] = frozenset({"current", "whole", "weight", "checked"})

    def batches(self, old: Batches) -> Batches:
        """Keep a share of each batch that all processes draw."""

        def shared(progress: Progress) -> Iterator[Batch]:
            for number, batch in enumerate(old(progress)):
                if number == 0:
                    self._check_same(batch)
                yield self._own(batch)

        return shared

    def _own(self, batch: Batch) -> Batch:
        parts = [part for part in self.job.split(batch, self.group.size) if self.job.items(part)]
        mine = self.group.rank < len(parts)
        self.current = parts[self.group.rank if mine else 0]
        self.whole = sum(map(self.job.items, parts))
        share = self.job.items(self.current) / self.whole if mine else 0.0
        self.weight = share * self.group.size
        return self.current

    def _check_same(self, batch: Batch) -> None:
        """Raise `BenchError` where processes draw unlike batches: their shares would overlap."""
        inputs = inputs_of(batch).detach()
        parts = torch.view_as_real(inputs) if inputs.is_complex() else inputs
        if not self.group.same(float(parts.double().sum())):
            raise BenchError(
                "processes of one seed draw unlike batches: let every random choice of the data "
                "follow from the seed"
            )

    def items(self, old: Callable[[Batch], int]) -> Callable[[Batch], int]:
        """Count the items of all processes."""
        return lambda batch: self.whole if batch is self.current else old(batch)

    def backward(self, old: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
        """Weigh the gradient by the share's items."""
        return lambda loss: old(loss * self.weight)

    def step(self, old: Step) -> Step:
        """Weigh the loss that is told in the same way."""

        def step(job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
            return old(job, batch, optimizer, mark) * self.weight

        return step

    def loss(self, old: Loss) -> Loss:
        """Let each process draw its own numbers where it may; see that no statistics are kept."""

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            if not torch.is_grad_enabled():
                return old(model, batch)
            self.calls += 1
            if self.checked:
                return self._drawn(old, model, batch)
            self.checked = True
            return self._seen(old, model, batch)

        return loss

    def _seen(self, loss: Loss, model: nn.Module, batch: Batch) -> Tensor:
        """Return a loss that draws no random numbers, unless it may, and keeps no statistics."""
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        random = _random_states(self.job.device)
        found = self._drawn(loss, model, batch)
        if not all(map(torch.equal, random, _random_states(self.job.device))):
            raise NotApplicable(
                "the model draws random numbers as it trains (dropout), and those of "
                f"{self.group.size} processes are others than those of one; with own_draws=true "
                "each draws its own, and whole trainings judge it"
            )
        _check_buffers(buffers, model, self.group)
        return found

    def _drawn(self, loss: Loss, model: nn.Module, batch: Batch) -> Tensor:
        if self.own_seed is None:
            return loss(model, batch)
        device = self.job.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.own_seed + self.calls * self.group.size + self.group.rank)
            return loss(model, batch)


def _random_states(device: torch.device) -> list[Tensor]:
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *cuda]


def _check_buffers(before: dict[str, Tensor], model: nn.Module, group: Group) -> None:
    """Raise `NotApplicable` where a step keeps statistics of the batch that it sees."""
    changed = [n for n, b in model.named_buffers() if n in before and not _equal(b, before[n])]
    if changed:
        raise NotApplicable(
            f"the model keeps statistics of its batch ({changed[0]}, of {len(changed)} buffers), "
            f"as batch norm does, and each of {group.size} processes would see its share alone"
        )


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))


def _sharded(job: Job, by: str) -> Job:
    """Share out the model; deploy it whole."""
    for part in ("snapshot", "update"):
        if part in job.taken or not deploys_what_it_trains(job):
            owners = " and ".join(job.taken.get(part, ("the baseline",)))
            raise NotApplicable(f"{owners} changes the {part}, which would see a share of weights")
    whole = shared_out(job.model, of_process().size, job.device)
    job = job.wrap("snapshot", lambda old: whole, by=by)
    return job.relying([job.model], by=by)
