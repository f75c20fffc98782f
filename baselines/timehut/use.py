"""Use a trained encoder and its SVM: series in, classes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from baselines.timehut import data, ts
from baselines.timehut.settings import TimeHUTSettings
from baselines.timehut.sources import resolve
from baselines.timehut.svm import Classified
from baselines.timehut.training import encoder_of
from bench.deployment import Answer, Deployment, Item, Picture, spread, with_suffix
from bench.errors import BenchError

Floats = data.Floats


class TimeHUTUse:
    """How a trained `timehut` is used."""

    suffixes: tuple[str, ...] = (".ts",)
    files = "a .ts file, or lines of one"

    def __init__(self, settings: TimeHUTSettings, deployment: Deployment) -> None:
        facts = deployment.facts
        self._settings, self._deployed = settings, deployment
        self._steps, self._channels = int(facts["steps"]), int(facts["channels"])
        self._scale = None
        if facts["mean"] is not None:
            self._scale = data.Scale(np.array(facts["mean"]), np.array(facts["deviation"]))
        self.values = (
            f"one series, a list for each of {self._channels} channels, {self._steps} steps in"
            " training; null is a missing value"
        )

    def network(self) -> nn.Module:
        """Return the encoder."""
        return encoder_of(self._settings, self._steps, self._channels)

    def whole(self, network: nn.Module) -> nn.Module:
        """Return the encoder with the SVM behind it."""
        return Classified(network, self._deployed.tensors)

    def take(self, values: Floats) -> Item:
        """Return a series ``(C, T)``, or ``(T,)`` of one channel."""
        return self._item("series", np.atleast_2d(values), None)

    def read(self, files: Sequence[Path]) -> list[Item]:
        """Return all series of .ts files."""
        made = []
        for path in with_suffix(files, self.suffixes, self.files):
            for number, (series, label) in enumerate(ts.series(path, self._channels), 1):
                truth = label if label in self._deployed.labels else None
                made.append(self._item(f"{path.stem} {number}", series, truth))
        return made

    def examples(self, count: int) -> list[Item]:
        """Return series of the test part."""
        source, _ = resolve(self._settings.dataset, self._settings.data_dir)
        items = self.read([source.file("TEST")])
        return [items[place] for place in spread(count, len(items))]

    def answer(self, outputs: Tensor) -> Answer:
        """Return the class that wins against most of the others, and all scores."""
        scores = outputs.float().mean(0)
        labels = self._deployed.labels
        votes = scores if len(labels) == 2 else scores.round()
        chosen = labels[int(votes.argmax())]
        named = dict(zip(labels, scores.tolist(), strict=True))
        return Answer((chosen,), named, "margins of the SVM")

    def _item(self, name: str, series: Floats, truth: str | None) -> Item:
        channels, steps = series.shape if series.ndim == 2 else (0, 0)
        if channels != self._channels or steps < 2:
            raise BenchError(f"{name} has {channels} channels of {steps} steps; the model takes"
                             f" {self._channels} of 2 or more")  # fmt: skip
        if np.isnan(series).all():
            raise BenchError(f"{name} holds no value")
        scaled = self._scale.of(series.T[None]) if self._scale else series.T[None]
        names = tuple(f"channel {number}" for number in range(1, channels + 1))
        picture = Picture("signals", series.astype(np.float32), names if channels > 1 else ())
        rows = torch.from_numpy(np.ascontiguousarray(scaled, np.float32))
        return Item(name, rows, picture, None if truth is None else (truth,))
