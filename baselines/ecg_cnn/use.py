"""Use a trained network: a 12-lead record in, the probability of each diagnosis out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.ecg_cnn import data
from baselines.ecg_cnn.challenge import CONTENT, HEADER, RATE_HZ, record
from baselines.ecg_cnn.pack import LEADS
from baselines.ecg_cnn.settings import ECGCNNSettings
from baselines.ecg_cnn.training import network_of
from bench.deployment import Answer, Deployment, Item, Picture, likely, spread, with_suffix
from bench.errors import BenchError

Floats = NDArray[np.float32]


class ECGCNNUse:
    """How a trained `ecg-cnn` is used."""

    values = f"one record in mV at {RATE_HZ} Hz, a list for each lead: {', '.join(LEADS)}"
    files = "the two files of a record, X.hea and X.mat or X.dat"
    suffixes: tuple[str, ...] = (HEADER, *CONTENT)

    def __init__(self, settings: ECGCNNSettings, deployment: Deployment) -> None:
        self._settings, self._labels = settings, deployment.labels

    def network(self) -> nn.Module:
        """Return the network."""
        return network_of(self._settings, len(self._labels))

    def whole(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network

    def take(self, values: Floats) -> Item:
        """Return a record ``(12, n)`` in mV."""
        return self._item("record", values, None)

    def read(self, files: Sequence[Path]) -> list[Item]:
        """Return the record of each header; its samples lie beside it."""
        there = with_suffix(files, self.suffixes, self.files)
        headers = [path for path in there if path.suffix.lower() == HEADER]
        if not headers:
            raise BenchError(f"{there[0].name} comes without its header: give {self.files}")
        made = []
        for header in headers:
            raw = record(header)
            signal = (raw.samples - raw.zeros[:, None].astype(np.float32)) * raw.scales[:, None]
            truth = tuple(label for label in raw.labels if label in self._labels)
            made.append(self._item(raw.name, signal.astype(np.float32), truth))
        return made

    def examples(self, count: int) -> list[Item]:
        """Return records of the test part."""
        test = data.load(self._settings).test
        made = []
        for place in spread(count, len(test)):
            holds = test.labels[place].bool().tolist()
            truth = tuple(name for name, is_so in zip(self._labels, holds, strict=True) if is_so)
            signal = test.read(torch.tensor([place]))[0].numpy()
            made.append(self._item(f"test record {place + 1}", signal, truth))
        return made

    def answer(self, outputs: Tensor) -> Answer:
        """Return the labels whose probability is a half or more, the highest first."""
        return likely(self._labels, outputs)

    def _item(self, name: str, signal: Floats, truth: tuple[str, ...] | None) -> Item:
        if signal.ndim != 2 or signal.shape[0] != len(LEADS) or signal.shape[1] < 1:
            raise BenchError(f"{name} has the shape {list(signal.shape)}; a record is {len(LEADS)}"
                             " leads of equally many samples")  # fmt: skip
        if not np.isfinite(signal).all():
            raise BenchError(f"{name} holds a sample without a value")
        length = self._settings.length
        row = np.zeros((1, len(LEADS), length), np.float32)
        inside = signal[:, :length]
        row[0, :, : inside.shape[1]] = inside
        return Item(
            name, torch.from_numpy(row), Picture("signals", signal, LEADS, RATE_HZ, "mV"), truth
        )
