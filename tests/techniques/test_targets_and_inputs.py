"""label-smoothing, mixup, cutmix, progressive-resizing, sequence-reduction: what batches become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.targets import Targets
from bench.technique import Technique
from bench.trial.flops import count_flops
from bench.trial.rehearsal import rehearse
from optimizers.cutmix import Cutmix, drawn_box, share_of
from optimizers.gradient_accumulation import GradientAccumulation
from optimizers.label_smoothing import LabelSmoothing
from optimizers.mixup import Mixup
from optimizers.progressive_resizing import ProgressiveResizing
from optimizers.sequence_reduction import SequenceReduction
from tests.contract.cases import CPU, SMALL, Case
from tests.jobs import ConvNet, ConvSettings, Labelled, linear_job
from tests.pictures import CLASSES, Pictures, PictureSettings


def pictures(**settings: Any) -> Job:
    torch.manual_seed(0)
    return Pictures().job(PictureSettings(**settings), CPU, seed=0)


def series() -> Job:
    torch.manual_seed(0)
    return ConvNet().job(ConvSettings(), CPU, seed=0)


def epoch(job: Job, number: int = 0) -> list[Batch]:
    return list(job.batches(Progress(job.epochs, epoch=number)))


def test_smoothing_changes_targets_and_nothing_else() -> None:
    plain, smooth = epoch(pictures()), epoch(LabelSmoothing(share=0.3).apply(pictures()))
    for (x, y), (same, soft) in zip(plain, smooth, strict=True):
        assert torch.equal(x, same)
        assert torch.allclose(soft, F.one_hot(y, CLASSES) * 0.7 + 0.1)


def test_the_smoothed_loss_is_that_of_torch() -> None:
    job = LabelSmoothing(share=0.2).apply(pictures())
    x, y = epoch(pictures())[0]
    wanted = F.cross_entropy(job.model(x), y, label_smoothing=0.2)
    assert job.loss(job.model, epoch(job)[0]).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_kind_of_a_batch_is_kept() -> None:
    job = LabelSmoothing().apply(linear_job(targets=Targets(classes=2)))
    assert all(isinstance(batch, Labelled) for batch in epoch(job))


def test_mixup_s_loss_is_the_convex_combination_of_two_losses() -> None:
    plain, job = epoch(pictures()), Mixup(alpha=1.0).apply(pictures())
    draw = np.random.default_rng([torch.initial_seed(), *b"mixup"])
    for (x, y), (blend, soft) in zip(plain, epoch(job), strict=True):
        order, weight = torch.from_numpy(draw.permutation(len(x))), float(draw.beta(1.0, 1.0))
        assert torch.allclose(blend, weight * x + (1 - weight) * x[order], atol=1e-6)
        found = job.model(blend)
        wanted = weight * F.cross_entropy(found, y) + (1 - weight) * F.cross_entropy(
            found, y[order]
        )
        assert job.loss(job.model, (blend, soft)).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_another_seed_mixes_otherwise() -> None:
    def first(seed: int) -> Tensor:
        job = pictures()
        torch.manual_seed(seed)
        mixed: Tensor = epoch(Mixup().apply(job))[0][0]
        return mixed

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_tokens_are_not_mixed() -> None:
    job = linear_job(targets=Targets(classes=2), sample=lambda n: (torch.zeros(n, 1).long(),))
    job = replace(job, model=nn.Sequential(nn.Embedding(9, 2), nn.Flatten()))
    with pytest.raises(NotApplicable, match=r"the inputs are torch\.int64"):
        Mixup().apply(job)


def test_cutmix_pastes_a_box_and_weighs_targets_by_what_is_left() -> None:
    plain, mixed = epoch(pictures()), epoch(Cutmix().apply(pictures()))
    cut = 0
    for (x, y), (pasted, soft) in zip(plain, mixed, strict=True):
        changed = (pasted != x).any(dim=0)[0]
        rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        area = len(rows) * len(columns)
        assert int(changed.sum()) == area, "not a box"
        own = soft[torch.arange(len(y)), y]
        assert bool((own >= 1 - area / 64 - 1e-6).all())
        assert float(own.min()) == pytest.approx(1 - area / 64, abs=1e-6)
        assert torch.allclose(soft.sum(1), torch.ones(len(y)))
        cut += area
    assert cut > 0


@pytest.mark.parametrize("shape", [(40,), (40, 30), (8, 16, 20)])
def test_boxes_leave_on_average_what_is_asked_for(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    for left in (0.0, 0.5, 1.0):
        shares = [share_of(drawn_box(shape, left, draw), shape) for _ in range(200)]
        assert max(shares) <= (1 - left) * 1.1 + 0.02
        assert (max(shares) > 0) == (left < 1)


def test_vectors_have_nothing_to_cut() -> None:
    with pytest.raises(NotApplicable, match=r"the inputs have the shape \(6,\)"):
        Cutmix().apply(linear_job(targets=Targets(classes=2)))


@pytest.mark.parametrize("technique", [LabelSmoothing(), Mixup(), Cutmix()])
def test_without_targets_nothing_is_mixed_or_smoothed(technique: Technique) -> None:
    with pytest.raises(NotApplicable, match="its job has no targets"):
        technique.apply(Case("timehut", SMALL["timehut"]).job())


def sides(job: Job) -> list[int]:
    return [epoch(job, number)[0][0].shape[-1] for number in range(job.epochs)]


def test_images_grow_with_the_epochs_and_are_whole_at_the_end() -> None:
    grown = ProgressiveResizing(start=0.25, until=0.75, multiple=2).apply(pictures(epochs=8))
    assert sides(grown) == [2, 4, 4, 4, 6, 8, 8, 8]
    (x, _), *_ = epoch(pictures(epochs=8), 7)
    assert epoch(grown, 7)[0][0].shape == x.shape


def test_a_smaller_image_is_the_mean_of_its_pixels() -> None:
    x, _ = epoch(pictures())[0]
    small, _ = epoch(ProgressiveResizing(start=0.5).apply(pictures()))[0]
    assert torch.allclose(small, F.avg_pool2d(x, 2))


def test_flops_are_those_of_all_epochs_not_of_the_first() -> None:
    job = ProgressiveResizing(start=0.5, until=0.01).apply(pictures(epochs=4))
    assert sides(job) == [4, 8, 8, 8]
    share = count_flops(job).per_step / count_flops(pictures()).per_step
    assert 0.78 < share < 0.83  # three whole epochs, and one of about a quarter of the work


def test_a_model_of_one_size_takes_no_smaller_images() -> None:
    images = torch.randn(8, 1, 8, 8)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    job = replace(linear_job(sample=lambda n: (images[:n],)), model=flat)
    with pytest.raises(NotApplicable, match="the model takes no images of 4x4: "):
        ProgressiveResizing().apply(job)
    assert flat.training


def test_images_that_would_stay_as_they_are_and_vectors_do_not_apply() -> None:
    with pytest.raises(NotApplicable, match="images of 8x8 would not become smaller"):
        ProgressiveResizing(multiple=32).apply(pictures())
    with pytest.raises(NotApplicable, match="these are no images"):
        ProgressiveResizing().apply(linear_job())


def test_images_of_whole_numbers_are_not_resized() -> None:
    images = torch.zeros(8, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(NotApplicable, match=r"the images are torch\.uint8, of which no means"):
        ProgressiveResizing().apply(linear_job(sample=lambda n: (images[:n],)))


def test_batches_of_whole_numbers_are_not_mixed_where_the_sample_is_of_others() -> None:
    plain = pictures()

    def batches(progress: Progress) -> Any:
        return (((255 * x).byte(), y) for x, y in plain.batches(progress))

    job = Mixup().apply(replace(plain, batches=batches))
    with pytest.raises(NotApplicable, match=r"the first tensor of a batch is .* of torch\.uint8"):
        epoch(job)


def lengths(job: Job) -> list[int]:
    return [epoch(job, number)[0][0].shape[2] for number in range(job.epochs)]


def test_series_are_short_until_their_time_and_then_whole() -> None:
    assert lengths(SequenceReduction(share=0.4, until=0.6).apply(series())) == [8, 8, 8, 20, 20]


def starts(crop: Tensor, whole: Tensor) -> list[int]:
    """Return where the windows of ten steps begin in the series that they are of."""
    return [
        next(at for at in range(11) if torch.equal(one, series[:, at : at + 10]))
        for one, series in zip(crop, whole, strict=True)
    ]


def test_every_crop_is_a_window_of_its_own_and_a_stride_every_other_step() -> None:
    (x, _), *_ = epoch(series())
    (crop, _), *_ = epoch(SequenceReduction().apply(series()))
    assert len(set(starts(crop, x))) > 1
    (steps, _), *_ = epoch(SequenceReduction(how="stride").apply(series()))
    assert torch.equal(steps, x[:, :, ::2])


def test_crops_differ_from_batch_to_batch() -> None:
    job = SequenceReduction().apply(series())
    pairs = zip(epoch(job), epoch(series()), strict=True)
    assert len({tuple(starts(crop, x)) for (crop, _), (x, _) in pairs}) > 1


def test_the_longer_dim_is_time_unless_it_is_said() -> None:
    job = Case("timehut", SMALL["timehut"]).job()
    steps = job.sample(1)[0].shape[1]
    assert epoch(SequenceReduction().apply(job))[0].shape[1] == round(steps / 2)
    with pytest.raises(NotApplicable, match="series of 1 steps would not become shorter"):
        SequenceReduction(dim=2).apply(job)


def test_what_is_no_series_or_could_be_either_way_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="these are no series"):
        SequenceReduction().apply(linear_job())
    square = linear_job(sample=lambda n: (torch.zeros(n, 5, 5),))
    with pytest.raises(NotApplicable, match="say which is time, dim=1 or 2"):
        SequenceReduction().apply(square)


@pytest.mark.parametrize("named", [True, False])
def test_series_are_not_shortened_where_a_batch_tells_their_lengths(named: bool) -> None:
    plain = series()

    def batches(progress: Progress) -> Any:
        for x, y in plain.batches(progress):
            told = torch.full((len(x),), x.shape[2])
            yield {"x": x, "lengths": told, "y": y} if named else (x, y, told)

    job = SequenceReduction().apply(replace(plain, batches=batches))
    with pytest.raises(NotApplicable, match="which says more of their places"):
        epoch(job)


def test_a_class_is_not_taken_for_a_length() -> None:
    plain = series()

    def batches(progress: Progress) -> Any:
        for x, _ in plain.batches(progress):
            yield x, torch.full((len(x),), x.shape[2])

    assert epoch(SequenceReduction().apply(replace(plain, batches=batches)))


def test_a_model_of_one_length_takes_no_shorter_series() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(40, 2))
    job = replace(linear_job(sample=lambda n: (torch.zeros(n, 2, 20),)), model=flat)
    with pytest.raises(NotApplicable, match="takes no series of 10 steps, trained on 20: "):
        SequenceReduction().apply(job)


def test_an_item_of_no_class_has_no_probabilities() -> None:
    unlabelled = torch.tensor([1, -100, 0])
    with pytest.raises(NotApplicable, match="targets are from -100 to 1, and the classes from 0"):
        Targets(classes=2).smoothed(unlabelled, 0.1)


@pytest.mark.parametrize("technique", [Mixup(), Cutmix()])
def test_batches_of_one_item_are_not_mixed_with_themselves(technique: Mixup | Cutmix) -> None:
    with pytest.raises(NotApplicable, match="a batch holds one item, and there is none to mix"):
        epoch(technique.apply(pictures(batch_size=1)))


def test_a_batch_that_stays_whole_is_no_accumulation() -> None:
    job = GradientAccumulation().apply(linear_job(items=lambda batch: 1, split=lambda b, n: [b]))
    with pytest.raises(NotApplicable, match="a batch of one item can't be split"):
        rehearse(job)
