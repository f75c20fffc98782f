"""Baselines of other make than ours: how people write models, in small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress
from bench.targets import Targets

ITEMS, WORDS, LENGTH, CLASSES = 32, 12, 10, 3


class OddSettings(Settings):
    """Settings of all of them."""

    epochs: int = Field(3, ge=1)
    batch_size: int = Field(8, ge=1)


class Odd:
    """What they have in common: a batch is a dict of more than tensors."""

    unit = "sentences"
    target = Target("accuracy", bounds=(0, 1))
    settings = OddSettings

    def net(self) -> nn.Module:
        """Return the model."""
        raise NotImplementedError

    def data(self) -> dict[str, Tensor]:
        """Return what is trained on, items along dim 0; the class is ``y``."""
        ids = torch.randint(0, WORDS, (ITEMS, LENGTH), generator=torch.Generator().manual_seed(0))
        return {"ids": ids, "y": ids.float().mean(1).mul(CLASSES / WORDS).long()}

    def inputs(self, batch: Any) -> dict[str, Any]:
        """Return what the model is called with, by keyword."""
        return {"ids": batch["inputs"]["ids"]}

    def scores(self, output: Any) -> Tensor:
        """Return the scores in what the model answers."""
        found: Tensor = output
        return found

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch."""
        return F.cross_entropy(self.scores(model(**self.inputs(batch))), batch["inputs"]["y"])

    def batch(self, whole: dict[str, Tensor], rows: Tensor) -> Any:
        """Return a nested batch with text and None inside."""
        inputs = {name: value[rows] for name, value in whole.items()}
        return {"text": [f"item {row}" for row in rows.tolist()], "inputs": inputs, "mask": None}

    def job(self, settings: OddSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh job."""
        model, whole = self.net().to(device), self.data()
        shuffle, everything = torch.Generator().manual_seed(seed), torch.arange(ITEMS)

        def batches(progress: Progress) -> Iterator[Any]:
            for rows in torch.split(torch.randperm(ITEMS, generator=shuffle), settings.batch_size):
                yield self.batch(whole, rows)

        @torch.no_grad()
        def evaluate(model: nn.Module) -> dict[str, float]:
            found = model.eval()(**self.inputs(self.batch(whole, everything)))
            return {"accuracy": (self.scores(found).argmax(1) == whole["y"]).float().mean().item()}

        return Job(
            device=device, model=model, epochs=settings.epochs, batches=batches, loss=self.loss,
            evaluate=evaluate, targets=Targets(classes=CLASSES),
            data=DataCard.of(type(self).__name__, whole.values(), ITEMS, ITEMS),
            make_optimizer=lambda m: torch.optim.AdamW(
                [p for p in m.parameters() if p.requires_grad], lr=1e-2
            ),
            sample=lambda n: tuple(self.inputs(self.batch(whole, everything[:n])).values()),
        )  # fmt: skip


@dataclass
class Answer:
    """What a transformers model returns."""

    logits: Tensor
    hidden: tuple[Tensor, ...] = ()
    loss: Tensor | None = None

    def __iter__(self) -> Iterator[Any]:
        """Refuse to be unpacked, as a mapping of names would give names."""
        return iter(("logits", "hidden", "loss"))


class Attention(nn.Module):
    """Attention written out, called with a mask that may be None."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.norm, self.up, self.down = (
            nn.LayerNorm(width),
            nn.Linear(width, 32),
            nn.Linear(32, width),
        )

    def forward(
        self, hidden: Tensor, mask: Tensor | None = None, **named: Any
    ) -> tuple[Tensor, ...]:
        """Return the hidden states, and the attention that was paid."""
        scores = self.q(hidden) @ self.k(hidden).transpose(-2, -1) / hidden.shape[-1] ** 0.5
        if mask is not None:
            scores = scores + mask
        paid = scores.softmax(-1)
        hidden = self.norm(hidden + paid @ self.v(hidden))
        return hidden + self.down(torch.relu(self.up(hidden))), paid


class Transformer(nn.Module):
    """An encoder with tied weights that answers as transformers' models do."""

    def __init__(self, how: str = "dataclass") -> None:
        super().__init__()
        self.how = how
        self.words = nn.Embedding(WORDS, 16)
        self.blocks = nn.ModuleList(Attention(16) for _ in range(2))
        self.head = nn.Linear(16, CLASSES)
        self.guess = nn.Linear(16, WORDS, bias=False)
        self.guess.weight = self.words.weight

    def forward(
        self, ids: Tensor | None = None, embedded: Tensor | None = None, **named: Any
    ) -> Any:
        """Return scores and what lies before them."""
        if (ids is None) == (embedded is None):
            raise ValueError("give ids or embedded")
        hidden = self.words(ids) if embedded is None else embedded
        states = [hidden]
        for block in self.blocks:
            hidden = block(hidden, mask=None, **named)[0]
            states.append(hidden)
        scores = self.head(hidden.mean(1))
        guesses = self.guess(hidden)
        if self.how == "dataclass":
            return Answer(scores, tuple(states), guesses.logsumexp(-1).mean())
        if self.how == "dict":
            return {"loss": guesses.logsumexp(-1).mean(), "logits": scores, "hidden": states}
        return scores, tuple(states)


class DataclassNet(Odd):
    """A transformer with a dataclass for an answer."""

    name = "dataclass-net"

    def net(self) -> nn.Module:
        """Return the model."""
        return Transformer("dataclass")

    def scores(self, output: Any) -> Tensor:
        """Return the scores in what the model answers."""
        found: Tensor = output.logits
        return found


class DictNet(DataclassNet):
    """A transformer with a dict for an answer."""

    name = "dict-net"

    def net(self) -> nn.Module:
        """Return the model."""
        return Transformer("dict")

    def scores(self, output: Any) -> Tensor:
        """Return the scores in what the model answers."""
        found: Tensor = output["logits"]
        return found


class TupleNet(DataclassNet):
    """A transformer with a tuple for an answer."""

    name = "tuple-net"

    def net(self) -> nn.Module:
        """Return the model."""
        return Transformer("tuple")

    def scores(self, output: Any) -> Tensor:
        """Return the scores in what the model answers."""
        found: Tensor = output[0]
        return found


class FrozenNet(TupleNet):
    """A transformer of which little trains."""

    name = "frozen-net"

    def net(self) -> nn.Module:
        """Return the model."""
        model = Transformer("tuple")
        model.words.requires_grad_(False)
        model.blocks[0].requires_grad_(False)
        return model


class RecurrentNet(Odd):
    """A packed LSTM, whose batches are tuples with lengths."""

    name = "recurrent-net"

    class Net(nn.Module):
        """Embeds, reads, answers."""

        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(WORDS, 8)
            self.lstm = nn.LSTM(8, 12, batch_first=True, bidirectional=True)
            self.head = nn.Linear(24, CLASSES)

        def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
            """Return scores."""
            packed = nn.utils.rnn.pack_padded_sequence(
                self.words(ids), lengths, batch_first=True, enforce_sorted=False
            )
            _, (last, _) = self.lstm(packed)
            found: Tensor = self.head(torch.cat([last[0], last[1]], 1))
            return found

    def net(self) -> nn.Module:
        """Return the model."""
        return self.Net()

    def data(self) -> dict[str, Tensor]:
        """Return what is trained on."""
        return super().data() | {"lengths": torch.arange(ITEMS) % (LENGTH - 1) + 1}

    def inputs(self, batch: Any) -> dict[str, Any]:
        """Return what the model is called with."""
        return {"ids": batch["inputs"]["ids"], "lengths": batch["inputs"]["lengths"]}


class LazyNet(Odd):
    """A model whose layers find their widths."""

    name = "lazy-net"

    def net(self) -> nn.Module:
        """Return the model."""
        return nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(CLASSES))

    def data(self) -> dict[str, Tensor]:
        """Return what is trained on."""
        whole = super().data()
        return {"input": whole["ids"].float(), "y": whole["y"]}

    def inputs(self, batch: Any) -> dict[str, Any]:
        """Return what the model is called with."""
        return {"input": batch["inputs"]["input"]}


class MethodNet(LazyNet):
    """A model whose loss is a method of its own."""

    name = "method-net"

    class Net(nn.Module):
        """A LightningModule in small."""

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(LENGTH, 16), nn.ReLU(), nn.Linear(16, CLASSES))

        def forward(self, input: Tensor) -> Tensor:
            """Return scores."""
            found: Tensor = self.net(input)
            return found

        def training_step(self, batch: Any) -> Tensor:
            """Return the loss of a batch."""
            return F.cross_entropy(self(batch["input"]), batch["y"])

    def net(self) -> nn.Module:
        """Return the model."""
        return self.Net()

    def loss(self, model: Any, batch: Any) -> Tensor:
        """Return the loss of a batch."""
        found: Tensor = model.training_step(batch["inputs"])
        return found


class MasksNet(Odd):
    """Segmentation: a mask for each image, in dicts."""

    name = "masks-net"

    def net(self) -> nn.Module:
        """Return the model."""
        return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))

    def data(self) -> dict[str, Tensor]:
        """Return what is trained on."""
        x = torch.randn(ITEMS, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        return {"input": x, "y": (x[:, 0].mean((1, 2)) > 0).long(), "mask": (x > 0).float()}

    def inputs(self, batch: Any) -> dict[str, Any]:
        """Return what the model is called with."""
        return {"input": batch["inputs"]["input"]}

    def scores(self, output: Any) -> Tensor:
        """Return the scores in what the model answers."""
        found: Tensor = output.flatten(1)[:, :CLASSES]
        return found

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch."""
        return F.binary_cross_entropy_with_logits(
            model(**self.inputs(batch)), batch["inputs"]["mask"]
        )


class BatchNet(Odd):
    """A model that is given a dict, and images that can be shifted."""

    name = "batch-net"

    class Net(nn.Module):
        """Takes what it needs of a batch."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 16, 3, padding=1), nn.Linear(16, CLASSES)

        def forward(self, batch: Any) -> Tensor:
            """Return scores."""
            found: Tensor = self.head(torch.relu(self.conv(batch["image"])).mean((2, 3)))
            return found

    def net(self) -> nn.Module:
        """Return the model."""
        return self.Net()

    def data(self) -> dict[str, Tensor]:
        """Return what is trained on."""
        x = torch.randn(ITEMS, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        return {"image": x, "y": (x[:, 0].mean((1, 2)) > 0).long()}

    def inputs(self, batch: Any) -> dict[str, Any]:
        """Return what the model is called with."""
        return {"batch": batch["inputs"]}


class NamedNet(LazyNet):
    """A model that takes its input by name alone, which no sample can give it."""

    name = "named-net"

    class Net(nn.Module):
        """Refuses inputs by position."""

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(LENGTH, 16), nn.ReLU(), nn.Linear(16, CLASSES))

        def forward(self, *, input: Tensor) -> Tensor:
            """Return scores."""
            found: Tensor = self.net(input)
            return found

    def net(self) -> nn.Module:
        """Return the model."""
        return self.Net()


ODD = (
    DataclassNet, DictNet, TupleNet, FrozenNet, RecurrentNet, LazyNet, MethodNet, MasksNet,
    BatchNet, NamedNet,
)  # fmt: skip
