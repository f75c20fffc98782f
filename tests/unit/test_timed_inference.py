"""Inference is timed where another model is deployed, and no longer than its interval needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.records.measurement import Inference, Measurement
from bench.run.inference import Pairs, times_inference
from bench.run.plan import Contrast, Planned, rounds
from tests.records import claim, header, paired, recipe

AUTO: dict[str, Any] = {"first": 4, "repeats": 30, "raced": {"test": 1}}
SLIM = Planned("slim", 9, 9, recipe("slim"), "full", deploys=("slim",))
QUICK = Planned("quick", 9, 9, recipe("quick"), "full")
BESIDE = Planned("baseline", 9, 9, recipe(), "full", deploys=("slim",))
ALONE = Planned("baseline", 9, 9, recipe(), "full")


def answered(ratios: Sequence[float], **facts: Any) -> list[Measurement]:
    """Return pairs of an arm that answers faster by these ratios; both trials have the facts."""
    made = []
    for pair, ratio in enumerate(ratios):
        before, after = (
            {"inference": (Inference(items=1, seconds=(seconds,)),), **facts}
            for seconds in (0.1, 0.1 / ratio)
        )
        made += paired("slim", [1.0], first=pair, baseline=before, effect="model", **after)
    return made


def timed(planned: Planned, trials: Sequence[Measurement] = (), **facts: Any) -> bool:
    return times_inference(planned, Pairs(trials), header(**{**AUTO, **facts}))


def test_an_arm_that_deploys_what_is_trained_is_not_timed() -> None:
    assert not timed(QUICK)
    assert timed(SLIM)


def test_the_baseline_is_timed_once_for_the_report_and_beside_those_that_deploy_another() -> None:
    assert timed(ALONE)
    assert not timed(ALONE, answered([1.5]))
    assert timed(BESIDE, answered([1.5]))


def test_what_is_shown_is_timed_no_more() -> None:
    assert timed(SLIM, answered([1.5, 1.51, 1.49]))
    assert not timed(SLIM, answered([1.5, 1.51, 1.49, 1.5]))
    assert not timed(BESIDE, answered([1.0, 1.001, 0.999, 1.0]))
    assert timed(SLIM, answered([1.5, 1.0, 0.7, 1.2]))


def test_what_is_claimed_is_timed_on_where_a_gain_is_shown_already() -> None:
    shown = answered([1.5, 1.51, 1.49, 1.5])
    claimed = claim(other_ratios={"inference time": (1.4, 1.5, 1.6)})
    assert timed(SLIM, shown, claim=claimed)
    assert timed(BESIDE, shown, claim=claimed)
    assert not timed(QUICK, shown, claim=claimed)
    assert not timed(SLIM, shown, claim=claim())


def test_a_gain_is_shown_among_as_many_objectives_as_the_verdict_counts() -> None:
    ratios = (1.134, 1.09, 1.134, 1.09)
    assert not timed(SLIM, answered(ratios))
    assert timed(SLIM, answered(ratios, energy_joules=5.0, items_seen=80))


def test_a_fixed_test_times_all_its_pairs() -> None:
    trials = answered([1.5, 1.51, 1.49, 1.5])
    assert timed(SLIM, trials, first=None, repeats=6)


def test_where_latency_does_not_count_one_pair_tells_it() -> None:
    assert timed(SLIM, objectives=("time",))
    assert not timed(SLIM, answered([1.5]), objectives=("time",))


def test_a_limit_on_latency_is_on_every_arm() -> None:
    assert timed(QUICK, answered([1.5]), limits={"inference time": 0.01})


def test_a_baseline_s_trial_knows_the_arms_of_its_block_that_deploy_another_model() -> None:
    contrasts = [
        Contrast("slim", recipe("slim"), recipe(), "full", deploys=True),
        Contrast("quick", recipe("quick"), recipe(), "full"),
    ]
    ((block,),) = rounds(contrasts, 1, seed=0)
    assert {planned.arm: planned.deploys for planned in block} == {
        "slim": ("slim",), "quick": (), "baseline": ("slim",),
    }  # fmt: skip
