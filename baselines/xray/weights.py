"""A backbone's weights from a file, by the names that torchvision, timm or this baseline use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from baselines.xray.backbones import DENSE_BLOCKS, INVERTED
from bench.model import pretrained

CLASSIFIER = ("classifier.",)


def load(backbone: nn.Sequential, architecture: str, path: Path) -> str:
    """Fill a backbone from a file; return what it is: its name and the start of its SHA-256.

    Raises `BenchError` for a file of anything but tensors, and for tensors that are missing, not
    of this backbone, or of another shape. A classifier in the file is left out: the head is ours.
    """
    return pretrained.fill(backbone, renamed(architecture, pretrained.read(path)), path)


def renamed(architecture: str, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors under our names; those of unknown names keep them."""
    if any(name.startswith("encoder.") for name in found):  # our own, as `bench train` writes it
        plain = {re.sub(r"^(encoder|head)\.", "", name): value for name, value in found.items()}
        return pretrained.renamed(plain, ({},), CLASSIFIER)
    plain = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", n): v  # torchvision's of 2017
             for n, v in found.items()}  # fmt: skip
    return pretrained.renamed(plain, TABLES.get(architecture, ({},)), CLASSIFIER)


def _densenet() -> dict[str, str]:
    """Return our names of DenseNet121's modules by those that torchvision and timm share."""
    table = {
        "features.conv0": "stem.conv", "features.norm0": "stem.norm", "features.norm5": "last.norm",
    }  # fmt: skip
    for block, layers in enumerate(DENSE_BLOCKS, 1):
        for layer in range(1, layers + 1):
            theirs = f"features.denseblock{block}.denselayer{layer}"
            for part in ("norm1", "conv1", "norm2", "conv2"):
                table[f"{theirs}.{part}"] = f"block{block}_layer{layer}.{part}"
        for part in ("norm", "conv"):
            table[f"features.transition{block}.{part}"] = f"transition{block}.{part}"
    return table


def _mobilenet_of_torchvision() -> dict[str, str]:
    table = _pair("stem", "features.0.0", "features.0.1")
    table |= _pair("last", "features.18.0", "features.18.1")
    for number, (_, _, expands) in enumerate(_blocks(), 1):
        inside = f"features.{number}.conv"
        parts = (["expand"] if expands else []) + ["depthwise"]
        for index, part in enumerate(parts):
            table |= _pair(f"block{number}.{part}", f"{inside}.{index}.0", f"{inside}.{index}.1")
        end = len(parts)
        table |= _pair(f"block{number}.project", f"{inside}.{end}", f"{inside}.{end + 1}")
    return table


def _mobilenet_of_timm() -> dict[str, str]:
    table = _pair("stem", "conv_stem", "bn1") | _pair("last", "conv_head", "bn2")
    for number, (stage, index, expands) in enumerate(_blocks(), 1):
        inside = f"blocks.{stage}.{index}"
        convs = ("conv_pw", "conv_dw", "conv_pwl") if expands else ("conv_dw", "conv_pw")
        parts = ("expand", "depthwise", "project") if expands else ("depthwise", "project")
        for place, (part, conv) in enumerate(zip(parts, convs, strict=True), 1):
            table |= _pair(f"block{number}.{part}", f"{inside}.{conv}", f"{inside}.bn{place}")
    return table


def _blocks() -> list[tuple[int, int, bool]]:
    """Return stage, place in it, and whether it expands, of each of MobileNetV2's blocks."""
    return [
        (stage, index, expansion > 1)
        for stage, (expansion, _, blocks, _) in enumerate(INVERTED)
        for index in range(blocks)
    ]


def _pair(ours: str, conv: str, norm: str) -> dict[str, str]:
    return {conv: f"{ours}.conv", norm: f"{ours}.norm"}


TABLES: dict[str, tuple[dict[str, str], ...]] = {
    "densenet121": (_densenet(),),
    "mobilenetv2": (_mobilenet_of_torchvision(), _mobilenet_of_timm()),
}
"""Our module names by the published ones, for each way of naming them."""
