"""Use a model whose baseline doesn't say how: rows of the right shape in, its scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bench.deployment import Answer, Item, Picture, with_suffix
from bench.errors import BenchError
from bench.use.scores import Scores

if TYPE_CHECKING:
    from bench.deployment import Floats
    from bench.job import Job
    from bench.records.checkpoint import Inputs

CLASSES = "classes"
UNREADABLE = (OSError, ValueError, EOFError, OverflowError, MemoryError)
"""What is raised for a file that is no array, or says that it is larger than it is."""
EXACT = 2**24 - 1
"""Up to here values, which are read as float32, are the whole numbers that were written."""


def facts_of(job: Job) -> dict[str, int]:
    """Return what a checkpoint keeps of a job: how many scores its model gives, if it says so."""
    classes = job.targets.classes if job.targets else None
    return {} if classes is None else {CLASSES: classes}


class Plain:
    """What can be known of a model from its inputs alone."""

    suffixes: tuple[str, ...] = (".npy",)
    files = "a .npy file with one item"

    def __init__(
        self, job: Callable[[], Job], inputs: Inputs | None, facts: Mapping[str, object]
    ) -> None:
        classes = facts.get(CLASSES)
        self._classes = classes if isinstance(classes, int) else None
        self._job, self._shape = job, list(inputs.shape) if inputs else None
        self._dtype = getattr(torch, inputs.dtype) if inputs else None
        self.values = f"one item as the model takes it, of the shape {self._shape}"

    def network(self) -> nn.Module:
        """Return the model of the job, which is built anew."""
        job = self._job()
        return job.snapshot(job.model)

    def whole(self, network: nn.Module) -> nn.Module:
        """Return what answers with the network's scores."""
        return Scores(network, self._classes)

    def take(self, values: Floats) -> Item:
        """Return an item; raise `BenchError` where it has another shape."""
        if list(values.shape) != self._shape:
            raise BenchError(f"the values have the shape {list(values.shape)}, and the model takes"
                             f" {self._shape}")  # fmt: skip
        if np.isnan(values).any():
            raise BenchError("a value is missing, and the model takes none that is")
        if np.isinf(values).any():
            raise BenchError("a value is too large")
        self._check_whole(values)
        row = torch.from_numpy(values).to(self._dtype)[None]
        return Item("values", row, _picture(values))

    def _check_whole(self, values: Floats) -> None:
        """Raise `BenchError` where a model of whole numbers would be given others than these."""
        if self._dtype is None or self._dtype.is_floating_point or self._dtype.is_complex:
            return
        bounds = None if self._dtype is torch.bool else torch.iinfo(self._dtype)
        low, high = (bounds.min, bounds.max) if bounds else (0, 1)
        high = min(high, EXACT)
        if (values != np.rint(values)).any() or values.min() < low or values.max() > high:
            raise BenchError(f"the model takes whole numbers from {max(low, -EXACT)} to {high}")

    def read(self, files: Sequence[Path]) -> list[Item]:
        """Return the item of each file."""
        return [self.take(_array(path)) for path in with_suffix(files, self.suffixes, self.files)]

    def examples(self, count: int) -> list[Item]:
        """Return what the job samples of its data."""
        sampled = self._job().sample(count)
        return [self.take(row.float().numpy()) for row in sampled[0].cpu()]

    def answer(self, outputs: Tensor) -> Answer:
        """Return the model's outputs as they are, and which is the highest."""
        scores = outputs.float().mean(0).reshape(-1).tolist()
        named = {f"output {place}": score for place, score in enumerate(scores)}
        highest = max(named, key=lambda name: named[name])
        return Answer((highest,), named, "outputs")


def _picture(values: Floats) -> Picture:
    """Return what has three dimensions ``(C, H, W)`` as an image, all else as signals."""
    if values.ndim != 3:
        return Picture("signals", values.reshape(-1, values.shape[-1] if values.ndim else 1))
    shown = values.transpose(1, 2, 0) if len(values) == 3 else values.mean(0)
    low, high = float(shown.min()), float(shown.max())
    return Picture("image", (shown - low) / ((high - low) or 1.0))


def _array(path: Path) -> Floats:
    try:
        made = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:100]
        raise BenchError(f"{path} can't be read as an array of numbers ({reason})") from error
    if not isinstance(made, np.ndarray) or made.dtype.kind not in "buif":
        found = made.dtype if isinstance(made, np.ndarray) else "an archive"
        raise BenchError(f"{path} can't be read as an array of numbers (it holds {found})")
    with np.errstate(over="ignore"):  # what is too large is refused where it is taken
        return made.astype(np.float32)
