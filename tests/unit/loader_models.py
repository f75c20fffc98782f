"""Baselines whose items come from DataLoaders with workers, with classes of this file."""

from __future__ import annotations

import multiprocessing
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.baseline import Settings, Target
from bench.job import DataCard, FixedItems, Job

X = torch.randn(128, 6, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


class Rows(Dataset[Any]):
    def __len__(self) -> int:
        return 96

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return X[row], Y[row]


class Batch(NamedTuple):
    x: Tensor
    y: Tensor


def collate(rows: list[tuple[Tensor, Tensor]]) -> Batch:
    return Batch(torch.stack([x for x, _ in rows]), torch.stack([y for _, y in rows]))


class Once(Settings):
    epochs: int = 1
    batch_size: int = 16


class Workers:
    name, unit, target, settings = "workers", "points", Target("accuracy", bounds=(0, 1)), Once
    collate: Any = None

    def job(self, settings: Once, device: torch.device, seed: int) -> Job:
        loader = DataLoader(
            Rows(), settings.batch_size, shuffle=True, num_workers=2, collate_fn=self.collate,
            generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        return self.made(settings, device, batches=lambda progress: loader)

    def made(self, settings: Once, device: torch.device, **parts: Any) -> Job:
        def accuracy(model: nn.Module) -> dict[str, float]:
            with torch.no_grad():
                return {"accuracy": (model(X[96:]).argmax(1) == Y[96:]).float().mean().item()}

        return Job(
            device=device, model=nn.Linear(6, 2), epochs=settings.epochs, evaluate=accuracy,
            data=DataCard.of("points", (X, Y), 96, 32), sample=lambda n: (X[:n],),
            make_optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
            loss=lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]), **parts,
        )  # fmt: skip


class Collated(Workers):
    """Its batches are of a class of this file, which a worker sends back by its name."""

    collate = staticmethod(collate)


class Fixed(Workers):
    def job(self, settings: Once, device: torch.device, seed: int) -> Job:
        shuffle = torch.Generator().manual_seed(seed)
        fixed = FixedItems(
            96,
            lambda progress: torch.split(
                torch.randperm(96, generator=shuffle), settings.batch_size
            ),
            lambda rows: (X[rows], Y[rows]),
        )
        return self.made(settings, device, batches=fixed.batches, fixed=fixed)


class Method(Workers):
    """Can only be built where processes start as this platform starts them."""

    def job(self, settings: Once, device: torch.device, seed: int) -> Job:
        assert multiprocessing.get_start_method() == multiprocessing.get_all_start_methods()[0]
        return super().job(settings, device, seed)
