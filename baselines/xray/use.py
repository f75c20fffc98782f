"""Use trained classifiers: an image in, the probability of each class out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from baselines.xray import data, sources
from baselines.xray.augmentation import rescaled
from baselines.xray.backbones import BACKBONES
from baselines.xray.network import Classifier, Several, cut
from baselines.xray.pixels import SMALLEST, Bytes, picture
from baselines.xray.settings import XraySettings
from bench.deployment import Answer, Deployment, Item, Picture, spread, with_suffix
from bench.errors import BenchError

Floats = NDArray[np.float32]


class XrayUse:
    """How a trained `xray` is used."""

    values = "one grey image, a list for each row of pixels from 0 (black) to 255 (white)"
    files = f"an image ({', '.join(sorted(sources.IMAGES))})"
    suffixes: tuple[str, ...] = tuple(sorted(sources.IMAGES))

    def __init__(self, settings: XraySettings, deployment: Deployment) -> None:
        self._settings, self._labels = settings, deployment.labels
        self._classes = [int(count) for count in deployment.facts["classes"]]
        self._bits = max(int(bits) for bits in deployment.facts["bits"])

    def network(self) -> nn.Module:
        """Return the classifier, or one for each task."""
        made = [self._classifier(1 if count == 2 else count) for count in self._classes]
        return made[0] if len(made) == 1 else Several(made)

    def whole(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network

    def take(self, values: Floats) -> Item:
        """Return an image ``(H, W)``."""
        if values.ndim != 2 or min(values.shape) < SMALLEST:
            raise BenchError(f"the values have the shape {list(values.shape)}; an image is rows of"
                             f" pixels, {SMALLEST} of each at least")  # fmt: skip
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 255):
            raise BenchError("a pixel is a number from 0 to 255")
        size, colour = self._settings.image_size, self._settings.colour
        plain = Image.fromarray(values.round().astype(np.uint8)).convert("RGB" if colour else "L")
        pixels = np.asarray(plain.resize((size, size), Image.Resampling.BILINEAR))
        return self._item("image", pixels.transpose(2, 0, 1) if colour else pixels[None], None)

    def read(self, files: Sequence[Path]) -> list[Item]:
        """Return each image; its class is its folder's name, where that is one."""
        size, colour = self._settings.image_size, self._settings.colour
        made = []
        for path in with_suffix(files, self.suffixes, self.files):
            truth = (path.parent.name,) if path.parent.name in self._labels else None
            pixels = picture(path, size, colour, self._bits).pixels
            made.append(self._item(path.name, pixels, truth))
        return made

    def examples(self, count: int) -> list[Item]:
        """Return images of the test part."""
        made, task = [], data.load(self._settings, torch.device("cpu"))[0][0]
        prefix = f"{task.name} " if len(self._classes) > 1 else ""
        for place in spread(count, len(task.test)):
            truth = prefix + task.classes[int(task.test.classes[place])]
            pixels = task.test.images[place].numpy()
            made.append(self._item(f"test image {place + 1}", pixels, (truth,)))
        return made

    def answer(self, outputs: Tensor) -> Answer:
        """Return the likeliest class of each task, and the probabilities of all."""
        logits, found, chosen = outputs.float().mean(0), list[float](), list[str]()
        for count in self._classes:
            width = 1 if count == 2 else count
            own, logits = logits[:width], logits[width:]
            both = own if width > 1 else torch.cat([torch.zeros(1), own])
            shares = both.softmax(0)
            chosen.append(self._labels[len(found) + int(shares.argmax())])
            found += shares.tolist()
        return Answer(tuple(chosen), dict(zip(self._labels, found, strict=True)), "probabilities")

    def _classifier(self, outputs: int) -> Classifier:
        settings = self._settings
        units, features = BACKBONES[settings.architecture](settings.width)
        where = cut(units, settings.trainable_layers)
        return Classifier(units, features, where, settings.hidden, outputs)

    def _item(self, name: str, pixels: Bytes, truth: tuple[str, ...] | None) -> Item:
        row = rescaled(torch.from_numpy(np.array(pixels))[None])
        shown: Floats = pixels.astype(np.float32) / np.float32(255)
        seen = Picture("image", shown.transpose(1, 2, 0) if len(shown) == 3 else shown[0])
        return Item(name, row, seen, truth)
