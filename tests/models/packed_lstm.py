"""Texts of several lengths: a Dataset, a collate_fn, DataLoader workers, a packed LSTM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress

Row = tuple[Tensor, int]


class Texts(Dataset[Row]):
    def __init__(self, count: int, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        lengths = torch.randint(3, 12, (count,), generator=random).tolist()
        ids = [torch.randint(1, 50, (length,), generator=random) for length in lengths]
        self.rows = [(one, int((one < 25).float().mean() > 0.5)) for one in ids]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> Row:
        return self.rows[at]


def collate(rows: list[Row]) -> tuple[Tensor, Tensor, Tensor]:
    ids = [row[0] for row in rows]
    lengths = torch.tensor([len(one) for one in ids])
    return pad_sequence(ids, batch_first=True), lengths, torch.tensor([row[1] for row in rows])


class Classifier(nn.Module):
    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16, padding_idx=0)
        self.lstm = nn.LSTM(16, hidden, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, 2)

    def forward(self, text: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(
            self.embedding(text), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (h, _) = self.lstm(packed)
        return self.fc(torch.cat([h[-2], h[-1]], 1))  # type: ignore[no-any-return]


class TextSettings(Settings):
    epochs: int = 2
    batch_size: int = 16
    lr: float = 5e-3
    workers: int = 0


class Sentiment:
    name, unit, settings = "lstm", "texts", TextSettings
    target = Target("accuracy", bounds=(0, 1))

    def job(self, s: TextSettings, device: torch.device, seed: int) -> Job:
        train, test = Texts(128, 0), Texts(64, 1)
        model = Classifier().to(device)
        loader: Any = DataLoader(
            train, s.batch_size, shuffle=True, collate_fn=collate, num_workers=s.workers,
            persistent_workers=s.workers > 0, generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        text, lengths, labels = collate(test.rows)

        def batches(progress: Progress) -> Iterator[Any]:
            return ([part.to(device) for part in batch] for batch in loader)

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            return {"accuracy": (m.eval()(text, lengths).argmax(1) == labels).float().mean().item()}

        return Job(
            device=device, model=model, epochs=s.epochs, batches=batches, evaluate=evaluate,
            data=DataCard.of("texts", [row[0] for row in train.rows + test.rows], 128, 64),
            make_optimizer=lambda m: torch.optim.Adam(m.parameters(), s.lr),
            loss=lambda m, b: F.cross_entropy(m(b[0], b[1]), b[2]),
            sample=lambda n: (text[:n], lengths[:n]),
        )  # fmt: skip
