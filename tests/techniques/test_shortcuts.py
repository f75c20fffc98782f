"""limit-steps, smaller-input, lighter-architecture, minimal-augmentation: what each alone does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from pydantic import Field

from bench.baseline import Settings, marked
from bench.errors import NotApplicable
from bench.job import Progress
from bench.testing import PROMISES, Promise, pair_works
from bench.trial.training import train
from optimizers.lighter_architecture import LighterArchitecture
from optimizers.limit_steps import LimitSteps
from optimizers.minimal_augmentation import MinimalAugmentation
from optimizers.smaller_input import SmallerInput
from tests.contract.cases import PICTURES, SMALL, Case
from tests.jobs import linear_job

XRAY = Case("xray", SMALL["xray"])
HEAVY = Case("xray", {**SMALL["xray"], "augmentation": "heavy"})
LARGE = Case("xray", {**SMALL["xray"], "architecture": "densenet121", "epochs": 1})
BEFORE = Case("xray", {"dataset": "synthetic", "preset": "before"})


def settings_of(case: Case, *techniques: str) -> dict[str, Any]:
    return case.recipe(*techniques)[0].settings


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_minimal_augmentation_keeps_its_promises_where_there_is_one(promise: Promise) -> None:
    promise(HEAVY, "minimal-augmentation")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_lighter_architecture_keeps_its_promises_where_there_is_one(promise: Promise) -> None:
    promise(LARGE, "lighter-architecture")


@pytest.mark.parametrize(
    ("asked", "expected"), [("limit-steps:steps=2", 2), ("limit-steps:share=0.4", 1)]
)
@pytest.mark.parametrize("case", [XRAY, HEAVY, PICTURES], ids=["fixed", "augmented", "pictures"])
def test_epochs_end_after_their_steps(case: Case, asked: str, expected: int) -> None:
    job = case.job(asked)
    losses = train(job).losses
    assert len(losses) == job.epochs * expected
    assert len(train(case.job()).losses) == job.epochs * (4 if case is PICTURES else 3)


def test_an_epoch_that_ends_early_is_followed_by_another_draw() -> None:
    job = XRAY.job("limit-steps:steps=1")
    first, second = (next(iter(job.batches(Progress(3, epoch)))) for epoch in (0, 1))
    assert not torch.equal(first[0], second[0])


def test_cached_features_can_be_drawn_in_short_epochs() -> None:
    case = Case("xray", {**SMALL["xray"], "trainable_layers": 0})
    plain = train(case.job("limit-steps:steps=2")).losses
    cached = train(case.job("limit-steps:steps=2", "cached-features")).losses
    assert cached == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("steps", [4, 50])
def test_an_epoch_with_no_more_steps_is_not_cut(steps: int) -> None:
    with pytest.raises(
        NotApplicable, match=f"the steps of an epoch are 4, no more than the {steps}"
    ):
        LimitSteps(steps=steps).apply(linear_job())


def test_a_share_is_of_the_steps_that_an_epoch_has_where_it_ends_early() -> None:
    case = Case("xray", {**HEAVY.settings, "batch_size": 4, "steps_per_epoch": 4})
    assert len(train(case.job()).losses) == 4 * case.settings["epochs"]
    assert len(train(case.job("limit-steps:share=0.5")).losses) == 2 * case.settings["epochs"]


def test_an_epoch_that_is_over_before_its_end_is_not_passed_over() -> None:
    whole = linear_job()
    short = linear_job(batches=lambda progress: itertools.islice(whole.batches(progress), 2))
    with pytest.raises(NotApplicable, match="an epoch was over after 2 steps, before 3"):
        train(LimitSteps(steps=3).apply(short))


def test_input_is_scaled_as_the_reports_was() -> None:
    assert settings_of(BEFORE)["image_size"] == 224
    assert settings_of(BEFORE, "smaller-input")["image_size"] == 128
    assert settings_of(BEFORE, "smaller-input:factor=0.5,multiple=1")["image_size"] == 112


def test_what_is_deployed_takes_the_small_input() -> None:
    assert XRAY.job("smaller-input").sample(2)[0].shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case("xray", {**SMALL["xray"], "image_size": 16}), "size=16 would not become smaller"),
        (LARGE, "image_size=32 can't be scaled by 0.571: .*densenet121"),
    ],
)  # fmt: skip
def test_input_that_can_not_become_smaller_does_not_apply(case: Case, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        case.recipe("smaller-input")


def test_an_architecture_becomes_the_reports_lighter_one() -> None:
    found = settings_of(BEFORE, "lighter-architecture")
    assert (found["architecture"], found["width"], found["image_size"]) == (
        "mobilenetv2",
        0.75,
        224,
    )
    count = sum(p.numel() for p in LARGE.job("lighter-architecture").model.parameters())
    assert count == 1_355_424 + 1_280 * 8 + 8 + 8 + 1  # the backbone, and a head of 8 units


def test_an_architecture_further_on_can_be_asked_for_with_settings_of_its_own() -> None:
    found = settings_of(BEFORE, 'lighter-architecture:to=small,also={"width":0.25}')
    assert (found["architecture"], found["width"], found["weights"]) == ("small", 0.25, None)


@pytest.mark.parametrize(
    ("case", "asked", "reason"),
    [
        (XRAY, "lighter-architecture", "architecture=small: nothing is lighter"),
        (LARGE, "lighter-architecture:to=resnet", "ones are mobilenetv2, small, not resnet"),
    ],
)  # fmt: skip
def test_where_nothing_is_lighter_it_does_not_apply(case: Case, asked: str, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        case.recipe(asked)


def test_without_augmentation_items_are_fixed() -> None:
    assert HEAVY.job().fixed is None
    assert HEAVY.job("minimal-augmentation").fixed is not None
    with pytest.raises(NotApplicable, match="augmentation=minimal is the least already"):
        XRAY.recipe("minimal-augmentation")


@pytest.mark.parametrize(
    ("technique", "reason"),
    [
        (SmallerInput(), "marks none of its settings as a side of its inputs"),
        (LighterArchitecture(), "marks no lighter alternative"),
        (MinimalAugmentation(), "marks none of its settings as an augmentation"),
    ],
)
def test_settings_without_marks_do_not_apply(technique: Any, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        technique.configure(Settings(), None)


class Marked(Settings):
    """Settings of somebody else's baseline."""

    pixels: int = Field(64, json_schema_extra={"scales": "input"})
    noise: float = Field(0.3, json_schema_extra={"minimal": 0.0})
    net: str = Field("big", json_schema_extra={"lighter": {"big": {"net": "little", "pixels": 32}}})


def test_any_baseline_can_mark_its_settings() -> None:
    never: Any = None
    plain = Marked()
    assert marked(plain, "scales") == {"pixels": "input"}
    assert SmallerInput(factor=0.5).configure(plain, never).pixels == 32
    assert MinimalAugmentation().configure(plain, never).noise == 0.0
    made = LighterArchitecture().configure(plain, never)
    assert (made.net, made.pixels) == ("little", 32)


def test_the_four_together_are_the_reports_shortcuts() -> None:
    names = ("smaller-input", "lighter-architecture", "minimal-augmentation")
    found = settings_of(BEFORE, *names)
    after = settings_of(Case("xray", {"dataset": "synthetic", "preset": "after"}))
    same = ("architecture", "width", "image_size", "augmentation")
    assert {name: found[name] for name in same} == {name: after[name] for name in same}


def test_all_that_the_report_did_and_what_it_missed_train_together() -> None:
    case = Case("xray", {**HEAVY.settings, "architecture": "mobilenetv2", "image_size": 64})
    names = ("smaller-input", "lighter-architecture", "minimal-augmentation", "limit-steps",
             "freeze-encoder", "cached-features:at_once=5", "channels-last")  # fmt: skip
    job = case.job(*names)
    result = train(job)
    assert len(result.losses) == job.epochs
    assert job.sample(1)[0].shape[2] == 32
    assert not any(p.requires_grad for p in job.model.get_submodule("encoder").parameters())
    assert 0 <= result.evaluations[-1].values["auroc"] <= 1


@pytest.mark.parametrize("one", ["smaller-input", "minimal-augmentation"])
@pytest.mark.parametrize(
    "other", ["mixed-precision", "mixup", "progressive-resizing", "knowledge-distillation", "ema"]
)
def test_shortcuts_of_settings_work_with_what_changes_the_training(one: str, other: str) -> None:
    pair_works(Case("xray", {**HEAVY.settings, "image_size": 64}), one, other)


@pytest.mark.parametrize(
    ("steps_per_epoch", "techniques"),
    [(4, ("dynamic-lr:warmup=0",)), (8, ("dynamic-lr:warmup=0", "limit-steps:steps=4"))],
    ids=["by the baseline", "by limit-steps"],
)
def test_a_schedule_comes_to_its_end_where_epochs_end_early(
    steps_per_epoch: int, techniques: tuple[str, ...]
) -> None:
    short = {"batch_size": 4, "steps_per_epoch": steps_per_epoch, "epochs": 1}
    case = Case("xray", {**HEAVY.settings, **short})
    rates: list[float] = []

    def noted(update: Any) -> Any:
        def note(optimizer: Any) -> None:
            rates.append(optimizer.param_groups[0]["lr"])
            update(optimizer)

        return note

    train(case.job(*techniques).wrap("update", noted, by="test"))
    assert len(rates) == 4
    assert rates[-1] < 0.3 * rates[0]


@pytest.mark.parametrize("case", [XRAY, HEAVY], ids=["fixed", "augmented"])
def test_a_limited_epoch_says_how_many_items_it_trains_on(case: Case) -> None:
    assert case.job("limit-steps:steps=2").epoch_items == 2 * case.settings["batch_size"]
