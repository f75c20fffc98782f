"""Use a trained classifier: an ECG of 10 s in, the probability of each superclass out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.s4_ecg import data, ptbxl
from baselines.s4_ecg.data import CLASSES
from baselines.s4_ecg.settings import S4ECGSettings
from baselines.s4_ecg.training import classifier_of
from bench.deployment import Answer, Deployment, Item, Picture, likely, spread, with_suffix
from bench.errors import BenchError

Floats = NDArray[np.float32]


class S4ECGUse:
    """How a trained `s4-ecg` is used."""

    files = "the two files of a record, X.hea and X.dat"
    suffixes: tuple[str, ...] = (".hea", ".dat")

    def __init__(self, settings: S4ECGSettings, deployment: Deployment) -> None:
        facts = deployment.facts
        self._settings, self._leads = settings, tuple(settings.leads.split(","))
        self._mean, self._deviation = float(facts["mean"]), float(facts["deviation"])
        self._length = int(facts["length"])
        self.values = (
            f"one record in mV, {self._length} samples at {ptbxl.RATE_HZ} Hz, a list for each lead"
            f" in the order {', '.join(self._leads)}"
        )

    def network(self) -> nn.Module:
        """Return the classifier."""
        return classifier_of(self._settings, len(self._leads), self._length)

    def whole(self, network: nn.Module) -> nn.Module:
        """Return the classifier as it is."""
        return network

    def take(self, values: Floats) -> Item:
        """Return a record ``(leads, length)`` in mV."""
        return self._item("record", values, None)

    def read(self, files: Sequence[Path]) -> list[Item]:
        """Return the record of each header; its samples lie beside it."""
        there = with_suffix(files, self.suffixes, self.files)
        headers = [path for path in there if path.suffix.lower() == ".hea"]
        if not headers:
            raise BenchError(f"{there[0].name} comes without its header: give {self.files}")
        made = []
        for path in headers:
            ptbxl.check_own(path)
            signal = ptbxl.record(path.with_suffix(""), self._leads)
            made.append(self._item(path.stem, signal, None))
        return made

    def examples(self, count: int) -> list[Item]:
        """Return records of the test part."""
        test = data.load(self._settings).test
        made = []
        for place in spread(count, len(test)):
            holds = test.labels[place].bool().tolist()
            truth = tuple(name for name, is_so in zip(CLASSES, holds, strict=True) if is_so)
            signal = test.signals[place].numpy() * self._deviation + self._mean
            made.append(self._item(f"test record {place + 1}", signal.astype(np.float32), truth))
        return made

    def answer(self, outputs: Tensor) -> Answer:
        """Return the classes whose probability is a half or more, the highest first."""
        return likely(CLASSES, outputs)

    def _item(self, name: str, signal: Floats, truth: tuple[str, ...] | None) -> Item:
        wanted = (len(self._leads), self._length)
        if signal.shape != wanted:
            raise BenchError(f"{name} has the shape {list(signal.shape)}; the model takes"
                             f" {wanted[0]} leads of {wanted[1]} samples")  # fmt: skip
        if not np.isfinite(signal).all():
            raise BenchError(f"{name} holds a sample without a value")
        scaled = (signal - np.float32(self._mean)) / np.float32(self._deviation)
        picture = Picture("signals", signal, self._leads, ptbxl.RATE_HZ, "mV")
        return Item(name, torch.from_numpy(scaled[None].astype(np.float32)), picture, truth)
