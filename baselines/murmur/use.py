"""Use a trained classifier: a recording in, the probabilities of murmur and outcome out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.murmur import sources
from baselines.murmur.circor import MURMUR, OUTCOME, RATE_HZ, SHORTEST_SECONDS, header, recording
from baselines.murmur.data import HEADS, frames_of, stretches_of
from baselines.murmur.folds import deal, parts
from baselines.murmur.scoring import MURMUR_WEIGHTS, OUTCOME_WEIGHTS, decide
from baselines.murmur.settings import MurmurSettings
from baselines.murmur.spectrogram import log_mels
from baselines.murmur.training import LABELS, classifier_of
from bench.deployment import Answer, Deployment, Item, Picture, spread, with_suffix
from bench.errors import BenchError

Floats = NDArray[np.float32]
LARGEST = 2**15 - 1


class MurmurUse:
    """How a trained `murmur` is used; several recordings of a patient are answered one by one."""

    values = f"one recording, its samples of 16 bits at {RATE_HZ} Hz"
    files = f"a wav file, mono of 16 bits at {RATE_HZ} Hz"
    suffixes: tuple[str, ...] = (".wav",)

    def __init__(self, settings: MurmurSettings, deployment: Deployment) -> None:
        self._settings, self._labels = settings, deployment.labels

    def network(self) -> nn.Module:
        """Return the classifier."""
        return classifier_of(self._settings)

    def whole(self, network: nn.Module) -> nn.Module:
        """Return the classifier as it is."""
        return network

    def take(self, values: Floats) -> Item:
        """Return a recording ``(n,)``."""
        fits = values.ndim == 1 and len(values) >= SHORTEST_SECONDS * RATE_HZ
        low, high = -LARGEST - 1, LARGEST
        if not (fits and np.isfinite(values).all() and low <= values.min() <= values.max() <= high):
            raise BenchError(f"a recording is a list of {int(SHORTEST_SECONDS * RATE_HZ)} samples"
                             f" or more, from {low} to {high}")  # fmt: skip
        if values.min() == values.max():
            raise BenchError("the recording is silent")
        return self._item("recording", values.round().astype(np.int16), None)

    def read(self, files: Sequence[Path]) -> list[Item]:
        """Return each recording, with the labels of the patient's text file, if it is there."""
        made = []
        for path in with_suffix(files, self.suffixes, self.files):
            text = path.with_name(f"{path.stem.partition('_')[0]}.txt")
            made.append(self._item(path.name, recording(text, path), _truth(text)))
        return made

    def examples(self, count: int) -> list[Item]:
        """Return recordings of patients of the test fold, one of each."""
        found, _ = sources.spectrograms(self._settings)
        labels = list(zip(found.murmur.tolist(), found.outcome.tolist(), strict=True))
        folds = deal(found.people, labels, self._settings.folds)
        rows = parts(folds, self._settings.folds, self._settings.fold)["test"].tolist()
        names = {found.names[rows[place]] for place in spread(count, len(rows))}
        made = []
        for patient in sources.patients(self._settings):
            if patient.name in names:
                truth = (f"murmur {MURMUR[patient.murmur]}", f"outcome {OUTCOME[patient.outcome]}")
                first = patient.recordings[0]
                made.append(self._item(f"{patient.name} {first.location}", first.samples, truth))
        return made

    def answer(self, outputs: Tensor) -> Answer:
        """Return the murmur and outcome of highest expected accuracy, and all probabilities."""
        heads = outputs[:, : HEADS[0]], outputs[:, HEADS[0] :]
        murmur, outcome = (head.float().softmax(1).mean(0, keepdim=True).numpy() for head in heads)
        chosen = (
            LABELS[int(decide(murmur, MURMUR_WEIGHTS)[0])],
            LABELS[HEADS[0] + int(decide(outcome, OUTCOME_WEIGHTS)[0])],
        )
        found = [*murmur[0].tolist(), *outcome[0].tolist()]
        said = "probabilities; decided as the challenge weighs them (5, 3, 1 and 5, 1)"
        return Answer(chosen, dict(zip(LABELS, found, strict=True)), said)

    def _item(self, name: str, samples: NDArray[np.int16], truth: tuple[str, ...] | None) -> Item:
        whole = log_mels(samples, self._settings.mels, self._settings.hop_ms).T
        images = [*stretches_of(whole, frames_of(self._settings), self._settings.stretches)]
        rows = torch.from_numpy(np.stack(images)[:, None]).float()
        shown: Floats = samples.astype(np.float32) / np.float32(LARGEST)
        return Item(name, rows, Picture("sound", shown, (), RATE_HZ), truth)


def _truth(text: Path) -> tuple[str, ...] | None:
    if not text.is_file():
        return None
    said = header(text)
    return f"murmur {MURMUR[said.murmur]}", f"outcome {OUTCOME[said.outcome]}"
