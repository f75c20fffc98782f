"""An encoder as in transformers: batches of named parts, answers of named parts, a warm-up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress

Batch = dict[str, Any]


@dataclass
class Output:
    loss: Tensor | None
    logits: Tensor
    hidden_states: tuple[Tensor, ...] | None = None


class Classifier(nn.Module):
    def __init__(self, vocabulary: int = 100, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        self.embeddings, self.position = nn.Embedding(vocabulary, width), nn.Embedding(32, width)
        layer = nn.TransformerEncoderLayer(width, 2, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, 2)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None, labels: Tensor | None = None,
    ) -> Output:  # fmt: skip
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.embeddings(input_ids) + self.position(places)
        padding = None if attention_mask is None else attention_mask == 0
        hidden = self.encoder(x, src_key_padding_mask=padding)
        logits = self.classifier(hidden[:, 0])
        return Output(None if labels is None else F.cross_entropy(logits, labels), logits)


def sentences(count: int, seed: int) -> list[tuple[Tensor, int]]:
    random = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        length = int(torch.randint(4, 16, (1,), generator=random))
        ids = torch.randint(1, 100, (length,), generator=random)
        rows.append((ids, int(ids[0] > 50)))
    return rows


def collate(rows: list[tuple[Tensor, int]]) -> Batch:
    ids = nn.utils.rnn.pad_sequence([row[0] for row in rows], batch_first=True)
    labels = torch.tensor([row[1] for row in rows])
    return {
        "input_ids": ids, "attention_mask": (ids > 0).long(), "token_type_ids": None,
        "labels": labels, "text": [" ".join(map(str, row[0].tolist())) for row in rows],
    }  # fmt: skip


def named(batch: Batch) -> Batch:
    return {key: part for key, part in batch.items() if key != "text"}


class EncoderSettings(Settings):
    epochs: int = 2
    batch_size: int = 16
    lr: float = 2e-3
    warmup_steps: int = 4


class Encoder:
    name, unit, settings = "encoder", "sentences", EncoderSettings
    target = Target("accuracy", bounds=(0, 1))

    def job(self, s: EncoderSettings, device: torch.device, seed: int) -> Job:
        train, test = sentences(160, 0), sentences(64, 1)
        draw, model = torch.Generator().manual_seed(seed), Classifier().to(device)
        held = collate(test)

        def batches(progress: Progress) -> Iterator[Batch]:
            for rows in torch.split(torch.randperm(len(train), generator=draw), s.batch_size):
                yield collate([train[row] for row in rows.tolist()])

        def make_optimizer(m: nn.Module) -> torch.optim.Optimizer:
            decay = [p for n, p in m.named_parameters() if p.dim() > 1]
            others = [p for n, p in m.named_parameters() if p.dim() <= 1]
            groups: list[Any] = [{"params": decay}, {"params": others, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr=s.lr, weight_decay=0.01)

        def make_scheduler(optimizer: torch.optim.Optimizer, progress: Progress) -> LambdaLR:
            total, warm = progress.total_steps, s.warmup_steps
            return LambdaLR(
                optimizer, lambda n: n / warm if n < warm else (total - n) / (total - warm)
            )

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            found = m.eval()(**named(held)).logits.argmax(-1) == held["labels"]
            return {"accuracy": found.float().mean().item()}

        def sample(n: int) -> Batch:
            return {key: held[key][:n] for key in ("input_ids", "attention_mask")}

        return Job(
            device=device, model=model, epochs=s.epochs, batches=batches, evaluate=evaluate,
            data=DataCard.of("sentences", [row[0] for row in train + test], 160, 64),
            make_optimizer=make_optimizer, make_scheduler=make_scheduler, clip=1.0,
            epoch_steps=-(-160 // s.batch_size), loss=lambda m, b: m(**named(b)).loss,
            sample=sample,
        )  # fmt: skip
