"""Murmur's networks: the published ones by their counts, their weights and what they compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from baselines.murmur.backbones import BACKBONES, Inverted, backbone
from baselines.murmur.network import Classifier
from baselines.murmur.weights import load, tables
from bench.errors import BenchError

COUNTS = {
    "efficientnet-b0": 5_288_548, "efficientnet-b2": 9_109_994,
    "resnet18": 11_689_512, "resnet34": 21_797_672,
}  # fmt: skip
"""Of torchvision's and timm's models, with 1000 outputs."""


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def theirs(network: nn.Sequential, way: int) -> dict[str, Tensor]:
    """Return a network's tensors under published names, with a classifier behind them."""
    found = {n: v.clone() for n, v in network.state_dict().items()}
    if known := tables(network):
        names = {ours: published for published, ours in known[way].items()}
        found = {f"{names[n.rpartition('.')[0]]}.{n.rpartition('.')[2]}": v
                 for n, v in found.items()}  # fmt: skip
    found["classifier.weight" if known else "fc.weight"] = torch.zeros(1000, 8)
    return found


@pytest.mark.parametrize("name", COUNTS)
def test_a_backbone_with_1000_outputs_has_the_published_number_of_parameters(name: str) -> None:
    network, features = backbone(name)
    assert parameters(network) + parameters(nn.Linear(features, 1000)) == COUNTS[name]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_halves_pictures_five_times_and_gives_features(name: str) -> None:
    network, features = backbone(name, 0.25, 1)
    network.eval()
    assert network(torch.zeros(2, 1, 64, 96)).shape == (2, features)
    before_pooling = nn.Sequential(*list(network)[:-2])
    assert before_pooling(torch.zeros(2, 1, 64, 96)).shape == (2, features, 2, 3)


def test_published_names_are_those_of_torchvision_and_timm() -> None:
    network = backbone("efficientnet-b0").network
    torchvision, timm = theirs(network, 0), theirs(network, 1)
    shapes = {n: tuple(v.shape) for n, v in {**torchvision, **timm}.items()}
    for name, shape in {
        "features.0.0.weight": (32, 3, 3, 3), "features.1.0.block.0.0.weight": (32, 1, 3, 3),
        "features.1.0.block.1.fc1.weight": (8, 32, 1, 1),
        "features.1.0.block.2.1.bias": (16,), "features.2.1.block.0.0.weight": (144, 24, 1, 1),
        "features.3.0.block.1.0.weight": (144, 1, 5, 5),
        "features.7.0.block.3.0.weight": (320, 1152, 1, 1),
        "features.8.0.weight": (1280, 320, 1, 1),
        "conv_stem.weight": (32, 3, 3, 3), "blocks.0.0.conv_pw.weight": (16, 32, 1, 1),
        "blocks.0.0.bn2.weight": (16,), "blocks.1.0.conv_pw.weight": (96, 16, 1, 1),
        "blocks.1.0.se.conv_reduce.bias": (4,), "blocks.6.0.conv_pwl.weight": (320, 1152, 1, 1),
        "blocks.6.0.bn3.running_mean": (320,), "conv_head.weight": (1280, 320, 1, 1),
        "bn2.weight": (1280,),
    }.items():  # fmt: skip
        assert shapes[name] == shape, name
    assert {"layer2.0.downsample.1.weight", "layer4.1.bn2.bias", "conv1.weight"} <= set(
        theirs(backbone("resnet18").network, 0)
    )


@pytest.mark.parametrize(
    ("name", "way"), [("resnet18", 0), ("efficientnet-b0", 0), ("efficientnet-b0", 1)]
)
def test_published_weights_see_one_channel_as_three_equal_ones(
    tmp_path: Path, name: str, way: int
) -> None:
    torch.manual_seed(0)
    published, ours = backbone(name, 0.25, 3).network, backbone(name, 0.25, 1).network
    path = tmp_path / "weights.safetensors"
    save_file(theirs(published, way), path)
    assert load(ours, path).startswith("weights.safetensors (sha256 ")
    x = torch.randn(2, 1, 64, 64)
    expected = published.eval()(x.expand(-1, 3, -1, -1))
    assert torch.allclose(ours.eval()(x), expected, rtol=1e-3, atol=1e-4)


def test_weights_of_another_network_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(theirs(backbone("resnet34", 0.1).network, 0), path)
    with pytest.raises(BenchError, match=r"doesn't fit the network: it has \d+ tensors") as caught:
        load(backbone("resnet18", 0.1, 1).network, path)
    assert "\n" not in str(caught.value)


def test_a_file_of_more_than_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"model": nn.Linear(1, 1)}, path)
    with pytest.raises(BenchError, match="no file of weights alone"):
        load(backbone("resnet18", 0.1, 1).network, path)
    with pytest.raises(BenchError, match="no weights"):
        load(backbone("resnet18", 0.1, 1).network, tmp_path / "none.safetensors")


def test_stochastic_depth_passes_by_whole_items_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block = Inverted(8, 8, 2, 1, 3, drop=0.5)
    x = torch.randn(4000, 8, 1, 1)
    block.eval()
    added = block(x) - x
    block.train()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.eval()
    passed = block(x) - x
    by = (passed == 0).all(1).flatten()
    assert by.float().mean() == pytest.approx(0.5, abs=0.03)
    assert torch.allclose(passed[~by], 2 * added[~by], atol=1e-5)


def test_the_heads_share_one_layer_and_stand_side_by_side() -> None:
    model = Classifier(backbone("resnet18", 0.1, 1), 16, 0.3, (3, 2)).eval()
    x = torch.randn(2, 1, 32, 32)
    before = model(x)
    assert before.shape == (2, 5)
    for weight in model.heads[1].parameters():
        nn.init.zeros_(weight)
    after = model(x)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])
