"""The backbones: their sizes, where they are cut and frozen, and published weights by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from baselines.xray import weights
from baselines.xray.backbones import BACKBONES, divisible, layers_of
from baselines.xray.network import Classifier, cut
from baselines.xray.settings import PRESETS
from bench.errors import BenchError


def network(
    architecture: str, width: float = 1.0, layers: int | None = None, hidden: int = 64,
    outputs: int = 1,
) -> Classifier:  # fmt: skip
    torch.manual_seed(0)
    units, features = BACKBONES[architecture](width)
    return Classifier(units, features, cut(units, layers), hidden, outputs)


def backbone(architecture: str, width: float = 1.0) -> nn.Sequential:
    return nn.Sequential(BACKBONES[architecture](width)[0])


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def statistics(model: nn.Module) -> int:
    return sum(b.numel() for name, b in model.named_buffers() if "running" in name)


@pytest.mark.parametrize(
    ("architecture", "width", "hidden", "outputs", "count"),
    [
        ("mobilenetv2", 0.75, 64, 1, 1_437_473),
        ("mobilenetv2", 0.75, 0, 1, 1_356_705),
        ("mobilenetv2", 1.0, 0, 1000, 3_504_872),
        ("densenet121", 1.0, 0, 1, 6_954_881),
        ("densenet121", 1.0, 0, 1000, 7_978_856),
    ],
)
def test_networks_have_as_many_parameters_as_the_published_ones(
    architecture: str, width: float, hidden: int, outputs: int, count: int
) -> None:
    assert parameters(network(architecture, width, hidden=hidden, outputs=outputs)) == count


def test_the_reports_count_holds_the_statistics_of_batch_norm() -> None:
    model = network("mobilenetv2", 0.75)
    assert parameters(model) + statistics(model) == 1_464_113


def test_densenet121_has_120_convolutions_and_121_norms() -> None:
    modules = list(network("densenet121").modules())
    assert sum(isinstance(m, nn.Conv2d) for m in modules) == 120
    assert sum(isinstance(m, nn.BatchNorm2d) for m in modules) == 121


@pytest.mark.parametrize("architecture", list(BACKBONES))
@pytest.mark.parametrize("size", [32, 75])
def test_images_of_any_size_give_logits(architecture: str, size: int) -> None:
    model = network(architecture, 0.25, outputs=4).eval()
    assert model(torch.randn(2, 3, size, size)).shape == (2, 4)


def test_channels_are_rounded_to_multiples_but_not_by_more_than_a_tenth() -> None:
    assert [divisible(x) for x in (12, 18, 24, 3, 44)] == [16, 24, 24, 8, 48]


def test_the_reports_30_layers_are_17_with_weights() -> None:
    """Keras counts seven a dense layer: two norms, two activations, two convolutions, a join."""
    units, _ = BACKBONES["densenet121"](1.0)
    where = cut(units, PRESETS["before"]["trainable_layers"])
    assert where.trained == ["block4_layer13", "block4_layer14", "block4_layer15",
                             "block4_layer16", "last"]  # fmt: skip
    assert where.layers == 17
    assert 4 * 7 + 2 == 30


@pytest.mark.parametrize(
    ("layers", "expected"), [(None, 14), (100, 14), (14, 14), (13, 12), (3, 2), (1, 0), (0, 0)]
)
def test_whole_units_train_that_have_no_more_layers_together(
    layers: int | None, expected: int
) -> None:
    model = network("small", 0.1, layers)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    convs = sum(".conv.weight" in name for name in trained)
    assert 2 * convs == expected == cut(BACKBONES["small"](0.1)[0], layers).layers
    assert any(name.startswith("head.classifier") for name in trained)


@pytest.mark.parametrize("architecture", list(BACKBONES))
def test_where_a_network_is_cut_changes_nothing_of_what_it_answers(architecture: str) -> None:
    images = torch.randn(2, 3, 64, 64)
    whole = network(architecture, 0.25).eval()
    for layers in (0, 9):
        part = network(architecture, 0.25, layers).eval()
        assert torch.equal(part(images), whole(images))


def test_frozen_layers_stay_in_evaluation_mode_and_keep_nothing_for_backward() -> None:
    model = network("mobilenetv2", 0.25, 9).train()
    assert not any(module.training for module in model.encoder.modules())
    assert model.head.training
    assert not model.encoder(torch.randn(2, 3, 32, 32, requires_grad=True)).requires_grad
    before = {name: b.clone() for name, b in model.encoder.named_buffers()}
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(b, before[name]) for name, b in model.encoder.named_buffers())
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for p in model.head.parameters())


def norm_of(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (channels,) for leaf in leaves} | {f"{name}.num_batches_tracked": ()}


def torchvision_densenet121(old: bool = False) -> dict[str, tuple[int, ...]]:
    """Return torchvision's (and timm's) names and shapes; `old`: as in its files of 2017."""
    dot = "." if old else ""
    found = {"features.conv0.weight": (64, 3, 7, 7), **norm_of("features.norm0", 64)}
    channels = 64
    for block, layers in enumerate((6, 12, 24, 16), 1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            found |= norm_of(f"{name}.norm{dot}1", channels)
            found[f"{name}.conv{dot}1.weight"] = (128, channels, 1, 1)
            found |= norm_of(f"{name}.norm{dot}2", 128)
            found[f"{name}.conv{dot}2.weight"] = (32, 128, 3, 3)
            channels += 32
        if block < 4:
            found |= norm_of(f"features.transition{block}.norm", channels)
            found[f"features.transition{block}.conv.weight"] = (channels // 2, channels, 1, 1)
            channels //= 2
    found |= norm_of("features.norm5", 1024)
    return found | {"classifier.weight": (1000, 1024), "classifier.bias": (1000,)}


MOBILENET = [(1, 16, 0, 32)] + [  # expansion, channels, place in its stage, channels before
    (6, channels, index, channels if index else before)
    for before, channels, blocks in
    ((16, 24, 2), (24, 32, 3), (32, 64, 4), (64, 96, 3), (96, 160, 3), (160, 320, 1))
    for index in range(blocks)
]  # fmt: skip


def torchvision_mobilenetv2() -> dict[str, tuple[int, ...]]:
    found = {"features.0.0.weight": (32, 3, 3, 3), **norm_of("features.0.1", 32)}
    for number, (expansion, channels, _, before) in enumerate(MOBILENET, 1):
        inner, name, place = before * expansion, f"features.{number}.conv", 0
        if expansion > 1:
            found[f"{name}.0.0.weight"] = (inner, before, 1, 1)
            found |= norm_of(f"{name}.0.1", inner)
            place = 1
        found[f"{name}.{place}.0.weight"] = (inner, 1, 3, 3)
        found |= norm_of(f"{name}.{place}.1", inner)
        found[f"{name}.{place + 1}.weight"] = (channels, inner, 1, 1)
        found |= norm_of(f"{name}.{place + 2}", channels)
    found |= {"features.18.0.weight": (1280, 320, 1, 1), **norm_of("features.18.1", 1280)}
    return found | {"classifier.1.weight": (1000, 1280), "classifier.1.bias": (1000,)}


def timm_mobilenetv2() -> dict[str, tuple[int, ...]]:
    found = {"conv_stem.weight": (32, 3, 3, 3), **norm_of("bn1", 32)}
    stage = -1
    for expansion, channels, index, before in MOBILENET:
        stage += index == 0
        inner, name = before * expansion, f"blocks.{stage}.{index}"
        if expansion == 1:
            found[f"{name}.conv_dw.weight"] = (inner, 1, 3, 3)
            found |= norm_of(f"{name}.bn1", inner)
            found[f"{name}.conv_pw.weight"] = (channels, inner, 1, 1)
            found |= norm_of(f"{name}.bn2", channels)
            continue
        found[f"{name}.conv_pw.weight"] = (inner, before, 1, 1)
        found |= norm_of(f"{name}.bn1", inner)
        found[f"{name}.conv_dw.weight"] = (inner, 1, 3, 3)
        found |= norm_of(f"{name}.bn2", inner)
        found[f"{name}.conv_pwl.weight"] = (channels, inner, 1, 1)
        found |= norm_of(f"{name}.bn3", channels)
    found |= {"conv_head.weight": (1280, 320, 1, 1), **norm_of("bn2", 1280)}
    return found | {"classifier.weight": (1000, 1280), "classifier.bias": (1000,)}


def tensors(names: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return a state in which every tensor has a value of its own, in the order of the names."""
    made = {}
    for number, (name, shape) in enumerate(names.items(), 1):
        whole = torch.int64 if name.endswith("tracked") else torch.float32
        made[name] = torch.full(shape, number, dtype=whole)
    return made


PUBLISHED: list[tuple[str, Callable[[], dict[str, tuple[int, ...]]], int]] = [
    ("densenet121", torchvision_densenet121, 727),
    ("densenet121", lambda: torchvision_densenet121(old=True), 727),
    ("mobilenetv2", torchvision_mobilenetv2, 314),
    ("mobilenetv2", timm_mobilenetv2, 314),
]
IDS = ["torchvision-densenet121", "of-2017", "torchvision-mobilenetv2", "timm-mobilenetv2"]


@pytest.mark.parametrize(("architecture", "names", "count"), PUBLISHED, ids=IDS)
def test_published_weights_are_loaded_by_name_each_to_its_place(
    tmp_path: Path, architecture: str, names: Callable[[], dict[str, tuple[int, ...]]], count: int
) -> None:
    """Both list tensors in the order of the forward pass: the n-th is the n-th of ours."""
    state = tensors(names())
    assert len(state) == count
    path = tmp_path / "published.safetensors"
    save_file(state, path)
    net = backbone(architecture)
    said = weights.load(net, architecture, path)
    assert said.startswith("published.safetensors (sha256 ")
    theirs = [value for name, value in state.items() if not name.startswith("classifier")]
    assert [float(v.flatten()[0]) for v in net.state_dict().values()] == [
        float(v.flatten()[0]) for v in theirs
    ]


def test_files_without_counters_of_batches_are_loaded(tmp_path: Path) -> None:
    names = torchvision_densenet121(old=True)
    state = {k: v for k, v in tensors(names).items() if not k.endswith("tracked")}
    path = tmp_path / "old.pt"
    torch.save(state, path)
    net = backbone("densenet121")
    weights.load(net, "densenet121", path)
    assert float(net.get_submodule("last.norm").bias[0]) > 0  # type: ignore[index]


def test_a_checkpoint_of_our_own_is_loaded_wherever_it_was_cut(tmp_path: Path) -> None:
    trained = network("mobilenetv2", 0.25, 9)
    path = tmp_path / "model.safetensors"
    save_file(trained.state_dict(), path)
    net = backbone("mobilenetv2", 0.25)
    weights.load(net, "mobilenetv2", path)
    ours = [*trained.encoder.state_dict().values(), *trained.head.state_dict().values()]
    for value, expected in zip(net.state_dict().values(), ours, strict=False):
        assert torch.equal(value, expected)


def lacking(state: dict[str, Tensor]) -> None:
    del state["features.18.1.bias"], state["features.0.0.weight"]


def extra(state: dict[str, Tensor]) -> None:
    state["features.19.0.weight"] = torch.zeros(1)


def misshapen(state: dict[str, Tensor]) -> None:
    state["features.18.0.weight"] = torch.zeros(1280, 240, 1, 1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lacking, "it lacks 2 tensors (stem.conv.weight, last.norm.bias)"),
        (extra, "it has 1 tensor (features.19.0.weight)"),
        (misshapen, "it has of other shapes 1 tensor (last.conv.weight 1280x240x1x1 for"
         " 1280x320x1x1)"),
    ],
)  # fmt: skip
def test_what_doesnt_fit_is_named(
    tmp_path: Path, spoil: Callable[[dict[str, Tensor]], None], said: str
) -> None:
    state = tensors(torchvision_mobilenetv2())
    spoil(state)
    path = tmp_path / "spoilt.safetensors"
    save_file(state, path)
    with pytest.raises(BenchError) as caught:
        weights.load(backbone("mobilenetv2"), "mobilenetv2", path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_architecture_or_width_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mobile.safetensors"
    save_file(tensors(torchvision_mobilenetv2()), path)
    for architecture, width in (("densenet121", 1.0), ("mobilenetv2", 0.75)):
        with pytest.raises(BenchError, match="doesn't fit the network"):
            weights.load(backbone(architecture, width), architecture, path)


def test_what_is_no_file_of_weights_is_one_line(tmp_path: Path) -> None:
    junk, evil = tmp_path / "junk.safetensors", tmp_path / "evil.pt"
    nested, gone = tmp_path / "nested.pt", tmp_path / "gone.safetensors"
    junk.write_bytes(b"no weights")
    torch.save({"features.0.0.weight": print}, evil)
    torch.save({"epoch": 3}, nested)
    found = {gone: "no weights"} | dict.fromkeys((junk, evil, nested), "is no file of weights")
    for path, said in found.items():
        with pytest.raises(BenchError, match=said) as caught:
            weights.load(backbone("small", 0.1), "small", path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_layers_are_convolutions_and_norms() -> None:
    counts = {name: sum(map(layers_of, BACKBONES[name](1.0)[0].values())) for name in BACKBONES}
    assert counts == {"densenet121": 241, "mobilenetv2": 104, "small": 14}
