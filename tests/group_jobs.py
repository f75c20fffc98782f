"""A small training for groups of processes: odd last batches, and faults of one process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.baseline import Settings, Target
from bench.group import of_process
from bench.job import DataCard, Job, Progress

ITEMS = 21


class Options(Settings):
    epochs: int = 3
    batch_size: int = 5
    """The fifth batch of an epoch has one item: none is left for a second process."""
    dropout: float = 0.0
    norm: bool = False
    pairs: bool = False
    thaw: bool = False
    """Whether the first layer trains only from the second epoch on."""
    fault: str = ""
    """What the second process does in its sixth step: killed, raises, hangs."""


class Small:
    name, unit, settings = "small", "items", Options
    target = Target("accuracy", bounds=(0.0, 1.0))

    def job(self, settings: Options, device: torch.device, seed: int) -> Job:
        draw = torch.Generator().manual_seed(seed)
        inputs = torch.randn(ITEMS, 6, generator=draw)
        answers = (inputs.sum(1) > 0).long()
        order = torch.Generator().manual_seed(seed + 1)
        steps = [0]

        def batches(progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
            for rows in torch.split(torch.randperm(ITEMS, generator=order), settings.batch_size):
                yield inputs[rows], answers[rows]

        def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            steps[0] += torch.is_grad_enabled()
            if of_process().rank == 1 and steps[0] == 6:
                fault(settings.fault)
            found = functional.cross_entropy(model(batch[0]), batch[1])
            return found * len(batch[0]) if settings.pairs else found

        def evaluate(model: nn.Module) -> dict[str, float]:
            with torch.no_grad():
                return {"accuracy": float((model(inputs).argmax(1) == answers).float().mean())}

        extra = [nn.BatchNorm1d(8)] if settings.norm else []
        model = nn.Sequential(
            nn.Linear(6, 8), *extra, nn.Tanh(), nn.Dropout(settings.dropout), nn.Linear(8, 2)
        )

        def schedule(optimizer: torch.optim.Optimizer, progress: Progress) -> None:
            if settings.thaw:
                model[0].requires_grad_(progress.epoch > 0)

        return Job(
            device=device, model=model, schedule=schedule, epochs=settings.epochs,
            data=DataCard(name="made up", train_items=ITEMS, test_items=ITEMS, sha256="0" * 64),
            batches=batches, loss=loss, evaluate=evaluate,
            make_optimizer=lambda model: torch.optim.AdamW(model.parameters(), lr=0.05),
            sample=lambda items: (inputs[:items],), epoch_steps=5,
        )  # fmt: skip


def fault(what: str) -> None:
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raises":
        raise ValueError("this process alone is wrong")
    if what == "hangs":
        time.sleep(600)
