"""What only one of two compared runs has: lost trainings, another metric, data, kind, or a zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import gate
from bench.analysis.gate import Finding
from bench.analysis.lost_trainings import Lost, more_lost
from bench.analysis.pairs import ONE_SEED
from bench.errors import BenchError
from bench.records.measurement import Measurement, Status
from reports.formats.gate import render
from tests.golden import made_up
from tests.records import BASE_BYTES, DATA, LOSSES, failed, measurement, paired, planned
from tests.unit.test_gate import STEADY, rows, run
from tests.unit.test_revisions import compared as revised
from tests.unit.test_revisions import pairs

PAIRS = paired("fast", STEADY)
RELATIVE: dict[str, Any] = {"metric": "r2", "margin": 0.01, "margin_is_relative": True}


def compared(
    tmp_path: Path, before: Sequence[Measurement], after: Sequence[Measurement],
    *rules: str, new: dict[str, Any] | None = None, **both: Any,
) -> Finding:  # fmt: skip
    old = run(tmp_path, "old", before, **both)
    return gate.check(
        old, run(tmp_path, "new", after, **{**both, **(new or {})}),
        gate.parse_rules(rules or gate.DEFAULT),
    )  # fmt: skip


def with_lost(arm: str, status: Status, *pairs: int) -> list[Measurement]:
    """Return six pairs, of which some trainings of an arm gave nothing."""
    return [
        t.model_copy(update={"status": status}) if t.arm == arm and t.pair in pairs else t
        for t in PAIRS
    ]


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.TIMED_OUT])
@pytest.mark.parametrize("arm", ["baseline", "fast"])
def test_trainings_that_are_lost_in_the_new_run_alone_fail_it(
    tmp_path: Path, arm: str, status: Status
) -> None:
    found = compared(tmp_path, PAIRS, with_lost(arm, status, 0, 2, 4))
    assert rows(found, arm)[-1] == (
        f"FAIL  {arm}: 3 of 6 trainings failed or ran out of time, none before"
    )


def test_one_training_that_is_lost_can_not_be_told_from_chance(tmp_path: Path) -> None:
    found = compared(tmp_path, PAIRS, with_lost("fast", Status.DIVERGED, 1))
    assert (found.failed, found.unknown) == (False, True)


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        (Lost(0, 6), Lost(0, 6), False), (Lost(0, 6), Lost(1, 6), None),
        (Lost(0, 6), Lost(2, 6), True), (Lost(1, 6), Lost(3, 6), None),
        (Lost(1, 30), Lost(15, 30), True), (Lost(2, 6), Lost(2, 6), False),
        (Lost(1, 30), Lost(1, 6), False), (Lost(3, 6), Lost(0, 6), False),
    ],
)  # fmt: skip
def test_of_runs_that_both_lose_some_only_what_is_beyond_chance_is_more(
    before: Lost, after: Lost, more: bool | None
) -> None:
    assert more_lost(before, after) is more


@pytest.mark.parametrize(
    ("before", "after", "direction", "fails", "said"),
    [
        (0.9, 0.45, "higher", True, "-50.0000 %"), (0.9, 0.0, "higher", True, "-100.0000 %"),
        (0.1, -0.1, "higher", True, "-200.0000 %"), (-0.1, 0.1, "higher", False, "+200.0000 %"),
        (0.5, 0.0, "lower", False, "-100.0000 %"), (0.5, 0.6, "lower", True, "+20.0000 %"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 50])
def test_a_share_of_a_metric_near_or_below_zero_has_its_sign_and_size(
    tmp_path: Path, before: float, after: float, direction: str, fails: bool, said: str, seed: int
) -> None:
    data = replace(DATA, test_items=7)  # of which no metric here is a share
    old = [measurement(pair=n, metric=before, data=data) for n in range(4)]
    new = [measurement(pair=n, metric=after, data=data, seed=n + seed) for n in range(4)]
    found = compared(tmp_path, old, new, "accuracy", **RELATIVE, metric_direction=direction)
    assert found.failed is fails
    assert f"r2 {said} (between {said} and {said};" in found.text


def test_no_share_of_a_metric_of_zero_is_told(tmp_path: Path) -> None:
    old, new = ([measurement(pair=n, metric=m) for n in range(4)] for m in (0.0, 0.5))
    found = compared(tmp_path, old, new, "accuracy", **RELATIVE)
    assert found.text == "?  baseline: r2 can't be told: it was 0, and limits are shares of it"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "auroc"}, "their metric"),
        ({"metric_direction": "lower"}, "their direction of accuracy"),
    ],
)
def test_runs_of_another_metric_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BenchError, match=f"old and new differ in {said}: nothing to compare"):
        compared(tmp_path, PAIRS, PAIRS, new=changes)


def test_runs_on_data_of_other_content_are_refused(tmp_path: Path) -> None:
    other = [t.model_copy(update={"data": replace(DATA, sha256="e" * 64)}) for t in PAIRS]
    with pytest.raises(BenchError, match="differ in the content of their data"):
        compared(tmp_path, PAIRS, other)


def test_whole_trainings_are_not_held_against_a_few_steps(tmp_path: Path) -> None:
    steps = [
        t.model_copy(update={"kind": "step", "pair": 6 + t.pair, "peak_rss_bytes": 3 * BASE_BYTES})
        for t in PAIRS
    ]
    found = compared(tmp_path, PAIRS, [*PAIRS, *steps], "memory=10%")
    assert not found.failed
    assert rows(found)[0].startswith("ok  fast: memory +0.0%")
    alone = compared(tmp_path / "alone", PAIRS, steps, "memory=10%")
    assert rows(alone) == ["?  fast: memory can't be told: it was trained whole in one run and by "
                           "a few steps in the other"]  # fmt: skip


def test_arms_of_one_name_and_other_settings_are_not_compared(tmp_path: Path) -> None:
    stronger = [
        t.model_copy(update={"recipe": {**t.recipe, "techniques": [
            {**use, "settings": {"strength": 2, "new": 0}} for use in t.recipe["techniques"]
        ]}}) for t in PAIRS
    ]  # fmt: skip
    found = compared(tmp_path, PAIRS, stronger, "memory=10%")
    assert rows(found) == ["?  fast: is not compared: its settings differ (fast strength 1 and 2)"]


def test_a_case_of_junit_is_named_by_what_it_is_about(tmp_path: Path) -> None:
    found = compared(tmp_path, PAIRS, with_lost("fast", Status.DIVERGED, 0, 2), "time=5%")
    assert [row.what for row in found.rows] == ["time", "time", "trainings"]
    assert 'classname="fast" name="trainings"' in render("junit", found)


def test_comparisons_of_two_revisions_are_not_compared_with_each_other(tmp_path: Path) -> None:
    runs = [made_up.write(tmp_path / name, revised(), pairs(1.0)) for name in ("old", "new")]
    with pytest.raises(BenchError, match="compared two revisions, so its baseline is another one"):
        gate.check(runs[0], runs[1], gate.parse_rules(gate.DEFAULT))


def test_one_seed_again_and_again_is_one_and_a_small_metric_has_its_digits(tmp_path: Path) -> None:
    same = [measurement(pair=n, seed=7) for n in range(4)]
    found = compared(tmp_path, PAIRS, same, "accuracy")
    assert "accuracy can't be told from 6 and 1 seeds; two on each side" in found.text
    old, new = ([measurement(pair=n, metric=m) for n in range(4)] for m in (3e-5, 4e-5))
    small: dict[str, Any] = {"metric": "mse", "metric_direction": "lower", "margin": 1e-6}
    mse = compared(tmp_path / "mse", old, new, "accuracy", **small)
    assert mse.text == "FAIL  baseline: mse +1e-05 (between +1e-05 and +1e-05; limit +1e-06)"


def test_one_training_again_and_again_passes_and_fails_no_metric(tmp_path: Path) -> None:
    same = [measurement(pair=n, metric=0.3, losses=LOSSES) for n in range(6)]
    found = compared(tmp_path, PAIRS, same, "accuracy")
    assert (found.failed, found.unknown) == (False, True)
    assert f"?  baseline: accuracy can't be told: {ONE_SEED}" in found.text


def test_what_a_profile_left_out_is_not_told_and_what_is_measured_anew_is_named(
    tmp_path: Path,
) -> None:
    own = [trial for trial in PAIRS if trial.arm == "baseline"]
    refused = failed("fast", -1, Status.BOUNDED, "at most 1.02x")
    for name in ("lost", "found"):
        (tmp_path / name).mkdir()
    lost = compared(tmp_path / "lost", PAIRS, [*own, refused], "memory=10%")
    assert (lost.failed, lost.unknown) == (False, True)
    assert "?  fast: no longer measured: bounded: at most 1.02x" in lost.text
    found = compared(tmp_path / "found", [*own, refused], PAIRS, "memory=10%")
    assert (found.failed, found.unknown) == (False, False)
    assert "-  fast: not measured before: bounded: at most 1.02x" in found.text


def test_a_confirmed_arm_is_compared_by_its_fresh_pairs_in_the_metric_too(tmp_path: Path) -> None:
    lucky = paired("fast", STEADY, losses_of_metric=[-0.1] * len(STEADY))
    fresh = paired("fast", STEADY, first=20, stage="confirm", baseline={"stage": "confirm"})
    found = compared(tmp_path, [*lucky, *fresh], paired("fast", STEADY, first=40), "accuracy")
    assert "fast: accuracy +0.0000 (between" in found.text


def test_an_arm_whose_work_is_less_now_is_compared_by_whole_trainings(tmp_path: Path) -> None:
    same = paired("fast", STEADY, work="same work")
    less = [
        t.model_copy(update={"work": "less work", "train_seconds": 2 * (t.train_seconds or 0.0)})
        if t.arm == "fast" else t
        for t in same
    ]  # fmt: skip
    found = compared(tmp_path, same, less, "time=5%")
    assert "FAIL  fast: time +100.0%" in found.text


def test_a_share_of_test_items_is_one_whatever_other_arms_give(tmp_path: Path) -> None:
    own = [*paired("fast", STEADY), *paired("odd", STEADY, first=20, metric=0.8123)]
    found = compared(tmp_path, own, own, "accuracy", arms=planned(own))
    told = next(row for row in found.rows if row.arm == "fast" and row.what == "accuracy")
    assert "between +0.0000 and +0.0000" not in told.said
