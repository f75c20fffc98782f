"""A backbone's published weights, by the names that torchvision and timm have for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn

from baselines.murmur.backbones import Inverted
from bench.model.pretrained import Table, fill, read, renamed

CLASSIFIERS = ("classifier.", "fc.")
STEMS = ("conv1.weight", "stem.conv.weight")


def load(network: nn.Sequential, path: Path) -> str:
    """Fill a backbone from a file; return what it is: its name and the start of its SHA-256.

    A stem of three channels is summed into one: a grey picture has the same thing in all three.
    Raises `BenchError` for a file that doesn't fit, or that isn't of tensors alone.
    """
    known = tables(network)
    found = renamed(read(path), known, without=CLASSIFIERS) if known else _plain(read(path))
    wanted = network.state_dict()
    for name in STEMS:
        if name in found and name in wanted and wanted[name].shape[1] == 1:
            found[name] = found[name].sum(1, keepdim=True)
    return fill(network, found, path)


def _plain(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a ResNet's tensors: torchvision, timm and we have the same names for them."""
    return {name: value for name, value in found.items() if not name.startswith(CLASSIFIERS)}


def tables(network: nn.Sequential) -> tuple[Table, ...]:
    """Return our modules' names by torchvision's, and by timm's; none where they are the same."""
    blocks = [(n, m) for n, m in network.named_children() if isinstance(m, Inverted)]
    return (dict(_of_torchvision(blocks)), dict(_of_timm(blocks))) if blocks else ()


def _of_torchvision(blocks: list[tuple[str, Inverted]]) -> Iterator[tuple[str, str]]:
    yield from _pair("stem", "features.0.0", "features.0.1")
    yield from _pair("last", "features.8.0", "features.8.1")
    for (name, block), (stage, index) in zip(blocks, _places(blocks), strict=True):
        inside = f"features.{stage + 1}.{index}.block"
        parts = ["expand"] * expands(block) + ["depthwise", "squeeze", "project"]
        for number, part in enumerate(parts):
            if part == "squeeze":
                yield f"{inside}.{number}.fc1", f"{name}.squeeze.reduce"
                yield f"{inside}.{number}.fc2", f"{name}.squeeze.expand"
            else:
                own = f"{inside}.{number}"
                yield from _pair(f"{name}.{part}", f"{own}.0", f"{own}.1")


def _of_timm(blocks: list[tuple[str, Inverted]]) -> Iterator[tuple[str, str]]:
    yield from _pair("stem", "conv_stem", "bn1")
    yield from _pair("last", "conv_head", "bn2")
    for (name, block), (stage, index) in zip(blocks, _places(blocks), strict=True):
        inside = f"blocks.{stage}.{index}"
        whole = expands(block)
        convs = ("conv_pw", "conv_dw", "conv_pwl") if whole else ("conv_dw", "conv_pw")
        parts = ("expand", "depthwise", "project") if whole else ("depthwise", "project")
        for number, (part, conv) in enumerate(zip(parts, convs, strict=True), 1):
            yield from _pair(f"{name}.{part}", f"{inside}.{conv}", f"{inside}.bn{number}")
        yield f"{inside}.se.conv_reduce", f"{name}.squeeze.reduce"
        yield f"{inside}.se.conv_expand", f"{name}.squeeze.expand"


def _places(blocks: list[tuple[str, Inverted]]) -> Iterator[tuple[int, int]]:
    """Yield stage and place in it of each block: a stage begins where no input can be added."""
    stage, index = -1, 0
    for _, block in blocks:
        stage, index = (stage, index + 1) if block.adds else (stage + 1, 0)
        yield stage, index


def expands(block: Inverted) -> bool:
    """Tell whether a block has a first 1x1 convolution."""
    return not isinstance(block.expand, nn.Identity)


def _pair(ours: str, conv: str, norm: str) -> Iterator[tuple[str, str]]:
    yield conv, f"{ours}.conv"
    yield norm, f"{ours}.norm"
