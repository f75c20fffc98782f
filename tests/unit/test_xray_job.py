"""The xray job as the training loop sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model
from torch import Tensor

from baselines.xray import Xray, XraySettings
from baselines.xray.augmentation import MEAN, augmented, maps, rescaled
from baselines.xray.evaluation import task_metrics
from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress
from bench.trial.cross_check import cross_check
from bench.trial.flops import count_flops
from bench.trial.training import train
from optimizers.freeze_encoder import FreezeEncoder
from tests.contract.cases import SMALL, Case
from tests.unit.test_xray_data import make_task

CPU = torch.device("cpu")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of two tasks: lungs of two classes, bones of three."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_task(tmp_path / "data" / "lungs", ("a", "b"))
    make_task(tmp_path / "data" / "bones", ("x", "y", "z"))
    return tmp_path / "data"


def job(seed: int = 0, **changes: object) -> Job:
    settings = XraySettings.model_validate({**SMALL["xray"], **changes})
    return Xray().job(settings, CPU, seed)


def changed_by_training(made: Job) -> set[str]:
    before = {name: p.clone() for name, p in made.model.named_parameters()}
    train(made)
    return {n for n, p in made.model.named_parameters() if not torch.equal(p, before[n])}


def test_full_training_changes_every_weight() -> None:
    made = job()
    assert changed_by_training(made) == {name for name, _ in made.model.named_parameters()}


@pytest.mark.parametrize(("layers", "start"), [(0, ("head.classifier.",)), (3, ("head.",))])
def test_frozen_layers_keep_their_weights(layers: int, start: tuple[str, ...]) -> None:
    changed = changed_by_training(job(trainable_layers=layers))
    assert changed
    assert all(name.startswith(start) for name in changed)
    assert ("head.block4.conv.weight" in changed) == (layers == 3)


def test_a_small_network_learns_the_synthetic_classes() -> None:
    found = train(job(epochs=8, synthetic_images=200, width=0.2)).evaluations[-1].values
    assert found["auroc"] > 0.9
    assert {"accuracy", "accuracy.class0", "accuracy.class1"} < found.keys()


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("augmentation", ["heavy", "minimal"])
def test_batches_are_normalised_images_with_their_targets(classes: int, augmentation: str) -> None:
    made = job(synthetic_classes=classes, augmentation=augmentation)
    images, targets = next(iter(made.batches(Progress(3))))
    assert images.shape == (8, 3, 32, 32)
    assert targets.shape == ((8, 1) if classes == 2 else (8,))
    assert float(images.abs().max()) < 4
    assert (made.fixed is None) == (augmentation == "heavy")


def test_rescaling_gives_imagenets_mean_the_value_nought() -> None:
    grey = torch.full((1, 1, 4, 4), 124, dtype=torch.uint8)
    found = rescaled(grey)
    assert found.shape == (1, 3, 4, 4)
    assert float(found[0, 0, 0, 0]) == pytest.approx((124 / 255 - MEAN[0]) / 0.229, abs=1e-4)


def spot() -> Tensor:
    image = torch.zeros(1, 1, 33, 33, dtype=torch.uint8)
    image[..., 12:21, 20:25] = 255
    return image


def test_augmentation_moves_each_image_otherwise_and_follows_the_seed() -> None:
    images = spot().expand(6, -1, -1, -1)
    one, same, other = (augmented(images, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not any(torch.equal(one[0], one[k]) for k in range(1, 6))


def test_augmentation_keeps_the_size_of_things_within_its_zoom() -> None:
    images = spot().expand(64, -1, -1, -1)
    level = augmented(images, torch.Generator().manual_seed(0))[:, 0]
    area = (level > level.mean((1, 2), keepdim=True) + 1).sum((1, 2)) / 45
    assert 1 / 1.2**2 - 0.2 < float(area.min()) < 1 < float(area.max()) < 1 / 0.8**2 + 0.2


def test_half_of_the_images_are_mirrored_and_shifts_are_small() -> None:
    drawn = maps(1000, torch.Generator().manual_seed(0))
    mirrored = (torch.linalg.det(drawn[:, :, :2]) < 0).float().mean()
    assert 0.45 < float(mirrored) < 0.55
    assert float(drawn[:, :, 2].abs().max()) <= 0.2  # of a half side


def test_a_capped_epoch_is_told_as_the_images_that_it_sees() -> None:
    made = job(steps_per_epoch=2)
    assert len(list(made.batches(Progress(3)))) == 2
    note = "synthetic: 3 epochs of 2 steps of 8 see 48 images, 1.71 passes over the training part"
    assert note in made.data.notes


def test_every_epoch_draws_each_image_at_most_once() -> None:
    made = job()
    assert made.fixed is not None
    rows = torch.cat(list(made.fixed.rows(Progress(3))))
    assert len(rows) == len(set(rows.tolist())) == 24


def test_a_batch_larger_than_the_training_part_is_refused() -> None:
    with pytest.raises(BenchError, match="batch_size=64 is larger than the training part of synth"):
        job(batch_size=64)


def test_a_random_frozen_backbone_is_said_to_be_random() -> None:
    random = "random weights, its norms fitted to training images"
    assert f"the backbone is frozen with {random}" in job(trainable_layers=0).data.notes
    part = f"the backbone is trained in its last 2 layers from {random}"
    assert part in job(trainable_layers=3).data.notes
    assert "the backbone is trained from random weights" in job().data.notes


def test_norms_of_a_random_frozen_backbone_let_the_differences_of_images_through() -> None:
    made = job(architecture="mobilenetv2", trainable_layers=0)
    features = made.model.get_submodule("encoder")(*made.sample(6))
    assert float(features.std(0).mean()) > 0.05 * float(features.mean())
    norms = [m for m in made.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}
    state = {n: v for n, v in made.model.state_dict().items() if n.endswith("running_var")}
    assert state
    assert not any(torch.equal(v, torch.ones_like(v)) for v in state.values())


def test_a_checkpoint_is_where_the_backbone_starts(tmp_path: Path) -> None:
    trained, path = job(seed=3), tmp_path / "model.safetensors"
    save_model(trained.model, str(path))
    loaded = job(seed=4, weights=path, trainable_layers=0)
    ours, theirs = (made.model.get_submodule("encoder").state_dict() for made in (loaded, trained))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    said = "the backbone is frozen with model.safetensors (sha256 "
    assert any(note.startswith(said) for note in loaded.data.notes)


def test_the_backbone_is_pretrained_on_the_training_part_and_then_frozen() -> None:
    random, pretrained = job(trainable_layers=0), job(trainable_layers=0, pretrain_epochs=2)
    start, after = (
        list(j.model.get_submodule("encoder").parameters()) for j in (random, pretrained)
    )
    assert not any(torch.equal(a, b) for a, b in zip(start, after, strict=True))
    assert not any(p.requires_grad for p in after)
    assert any(
        "after 2 epochs of the whole on the training part" in n for n in pretrained.data.notes
    )
    again = job(trainable_layers=0, pretrain_epochs=2)
    assert train(again).losses == train(pretrained).losses


def test_pretraining_helps_a_frozen_backbone() -> None:
    changes = {"trainable_layers": 0, "synthetic_images": 200, "epochs": 2}
    plain, better = (train(job(pretrain_epochs=n, **changes)).losses[-1] for n in (0, 6))
    assert better < plain


def test_tasks_are_trained_one_after_the_other_each_for_all_its_epochs(places: Path) -> None:
    made = job(dataset="lungs,bones", data_dir=places, epochs=2)
    assert made.epochs == 4
    changed: list[set[str]] = []
    before = {name: p.clone() for name, p in made.model.named_parameters()}

    def look(progress: Progress) -> None:
        now = dict(made.model.named_parameters())
        moved = {name for name, p in now.items() if not torch.equal(p, before[name])}
        changed.append({".".join(name.split(".")[:2]) for name in moved})

    found = train(made, on_epoch=look).evaluations[-1].values
    assert changed == [{"tasks.0"}] * 2 + [{"tasks.0", "tasks.1"}] * 2
    assert made.model(*made.sample(2)).shape == (2, 4)
    areas = found["lungs.auroc"], found["bones.auroc"]
    assert found["auroc"] == pytest.approx(sum(areas) / 2)
    assert "bones.accuracy.z" in found


def test_a_task_of_several_learns_as_it_does_alone(places: Path) -> None:
    both = train(job(dataset="lungs,bones", data_dir=places, epochs=2))
    alone = train(job(dataset="lungs", data_dir=places, epochs=2))
    assert both.losses[: len(alone.losses)] == alone.losses
    assert both.evaluations[-1].values["lungs.auroc"] == alone.evaluations[-1].values["auroc"]


def test_of_several_tasks_no_single_encoder_can_be_frozen(places: Path) -> None:
    with pytest.raises(NotApplicable, match="names no part of its model as an encoder"):
        FreezeEncoder().apply(job(dataset="lungs,bones", data_dir=places))


def test_metrics_of_classes_are_what_they_say() -> None:
    logits = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    found = task_metrics(logits, torch.tensor([0, 1, 0, 1]), ("no", "yes"))
    assert found == {"auroc": 0.75, "accuracy": 0.5, "accuracy.no": 0.5, "accuracy.yes": 0.5}
    three = torch.eye(3)[[0, 1, 2, 2]]
    found = task_metrics(three, torch.tensor([0, 1, 2, 0]), ("a", "b", "c"))
    assert found["accuracy"] == 0.75
    assert [found[f"accuracy.{k}"] for k in "abc"] == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("architecture", ["small", "mobilenetv2", "densenet121"])
def test_floating_point_operations_are_counted_and_checked(architecture: str) -> None:
    made = job(architecture=architecture, width=0.125, trainable_layers=9, epochs=1)
    count = count_flops(made)
    assert count.coverage == 1.0
    assert count.forward_per_item
    assert cross_check(made.model, made.sample(1)).ours == count.forward_per_item


@pytest.mark.parametrize("layers", [0, 3])
def test_cached_features_of_a_frozen_part_give_the_same_training(layers: int) -> None:
    case = Case("xray", {**SMALL["xray"], "trainable_layers": layers})
    plain, cached = train(case.job()), train(case.job("cached-features"))
    assert cached.losses == pytest.approx(plain.losses, rel=1e-4)
    assert cached.evaluations[-1].values == plain.evaluations[-1].values


def test_reading_lazily_gives_the_same_losses(places: Path) -> None:
    settings = {**SMALL["xray"], "dataset": "lungs", "data_dir": places}
    case = Case("xray", settings)
    assert train(case.job("lazy-loading")).losses == train(case.job()).losses
