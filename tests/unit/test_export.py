"""What is exported of a run, and which claims a new run breaks."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.aims import best
from bench.analysis.claims import Judged, judged
from bench.analysis.comparison import compare, compare_run
from bench.analysis.levels import Rule
from bench.analysis.proof import Proof
from bench.baseline import Target
from bench.records.claim import Claim
from bench.records.measurement import CONTROL, Measurement, Status
from bench.run.export import exported_of
from tests.records import DATA, LOSSES, claim, failed, header, measurement, paired, recipe

FASTER = (1.48, 1.5, 1.52, 1.49, 1.51, 1.5)
SMALLER = (1.2, 1.201, 1.199, 1.2, 1.202, 1.198)
EQUAL = (0.995, 1.005, 1.0, 1.002, 0.998, 1.0)
AUTO = Rule()
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0)
NO_ROOM = (Status.OUT_OF_MEMORY, "no room")


def measured_again(**changes: Any) -> list[Measurement]:
    return paired("fast", FASTER, savings=SMALLER, losses_of_metric=KEPT, **changes)


def told(claimed: Claim, trials: list[Measurement] | None = None, rule: Rule = AUTO) -> Judged:
    records = measured_again() if trials is None else trials
    comparison = compare(records, 0.01, Target("accuracy"), rules={"test": rule})
    return judged(claimed, comparison, records)


def problems(claimed: Claim, trials: list[Measurement] | None = None) -> list[str]:
    return told(claimed, trials).problems


def test_the_same_claim_holds() -> None:
    assert told(claim()) == Judged(Proof.HOLDS, [], [])


def test_a_smaller_claim_holds() -> None:
    smaller = claim(time_ratio=(1.1, 1.2, 1.3), metric=(0.7, 0.75, 0.8))
    assert told(smaller).answer is Proof.HOLDS


def test_a_middle_that_few_pairs_had_by_luck_is_no_claim() -> None:
    """What is claimed is the low bound: of few pairs the middle may lie far from the truth."""
    lucky = claim(time_ratio=(1.4, 1.75, 2.2), memory_ratio=(1.05, 1.4, 1.8))
    assert told(lucky).answer is Proof.HOLDS


def test_twice_the_speed_is_broken() -> None:
    found = told(claim(time_ratio=(2.8, 3.0, 3.2)))
    assert found.answer is Proof.BROKEN
    assert found.problems == ["claimed a time ratio of at least 2.800, measured 1.500"]


def test_half_the_memory_is_broken() -> None:
    (problem,) = problems(claim(memory_ratio=(2.38, 2.4, 2.42)))
    assert problem == "claimed a memory ratio of at least 2.380, measured 1.200"


def test_twice_the_accuracy_is_broken() -> None:
    (problem,) = problems(claim(metric=(1.78, 1.8, 1.82)))
    assert problem.startswith("claimed accuracy of at least 1.7800, measured 0.9000 (at most 0.9")


def test_a_better_lower_bound_alone_is_broken() -> None:
    (problem,) = problems(claim(time_ratio=(2.8, 1.5, 1.6)))
    assert problem == "claimed a time ratio of at least 2.800, measured 1.500"


def test_everything_twice_as_good_is_broken_in_every_way() -> None:
    twice = claim(time_ratio=(2.8, 3, 3.2), memory_ratio=(2.4, 2.4, 2.4), metric=(1.8, 1.8, 1.8))
    assert len(problems(twice)) == 3


def test_a_claim_within_another_days_noise_holds() -> None:
    assert told(claim(time_ratio=(1.5, 1.55, 1.6))).answer is Proof.HOLDS


NOISY = (2.9, 0.8, 1.9, 1.1, 2.5, 1.2)


def test_a_claim_that_noise_hides_is_not_decided() -> None:
    found = told(claim(), paired("fast", NOISY, savings=SMALLER, losses_of_metric=KEPT))
    assert (found.answer, found.problems) == (Proof.OPEN, [])
    assert found.undecided == ["time ratio of at least 1.400 claimed, 1.562 measured so far"]


def test_one_pair_decides_no_claim() -> None:
    found = told(claim(), measured_again()[:2], Rule(1, 1))
    assert (found.answer, found.problems, len(found.undecided)) == (Proof.OPEN, [], 4)


@pytest.mark.parametrize(
    ("failures", "answer"), [((), Proof.HOLDS), ((2,), Proof.OPEN), ((1, 4), Proof.BROKEN)]
)
def test_a_recipe_of_which_trainings_fail_does_not_hold(
    failures: tuple[int, ...], answer: Proof
) -> None:
    trials = measured_again()
    for pair in failures:
        trials[2 * pair + 1] = failed("fast", pair, Status.DIVERGED, "loss is nan")
    found = told(claim(), trials)
    assert found.answer is answer
    said = f"{len(failures)} of 6 trainings failed where the baseline's did not"
    assert (found.problems + found.undecided) == ([said] if failures else [])
    assert not found.goes_on


@pytest.mark.parametrize("rule", [AUTO, Rule(6, 6)])
def test_a_claim_is_told_though_the_baseline_failed_in_one_pair(rule: Rule) -> None:
    better = [-0.05 + lost for lost in KEPT]
    trials = paired("fast", FASTER, savings=SMALLER, losses_of_metric=better)
    trials[4] = failed("baseline", 2)
    gain: dict[str, Any] = {"metric": (0.93, 0.95, 0.97), "quality_gain": (0.04, 0.05, 0.06)}
    assert told(claim(**gain), trials, rule) == Judged(Proof.HOLDS, [], [])


def test_a_fixed_number_of_pairs_of_which_one_tells_leaves_a_claim_of_no_gain_open() -> None:
    trials = measured_again()
    trials[:10:2] = [failed("baseline", pair) for pair in range(5)]
    equal = claim(time_ratio=(0.99, 1.0, 1.01), memory_ratio=None, verdict="baseline", metric=None)
    found = told(equal, trials, Rule(6, 6))
    assert (found.answer, found.undecided) == (Proof.OPEN, ["1 of 6 pairs measured"])


@pytest.mark.parametrize("pairs", [1, 2, 3])
def test_few_unlucky_seeds_break_no_claim_of_a_metric(pairs: int) -> None:
    unlucky = paired(CONTROL, EQUAL[:pairs], baseline={"metric": 0.7}, metric=0.7)
    found = told(
        claim(verdict="baseline", time_ratio=(1, 1, 1), time_basis="step", memory_ratio=None),
        unlucky,
    )
    assert (found.answer, found.problems) == (Proof.OPEN, [])
    assert found.undecided[-1].startswith(f"accuracy is not bounded by {pairs} seed")


def test_a_gain_that_is_not_there_is_broken_and_not_held_up_by_noise() -> None:
    trials = paired("fast", EQUAL, savings=SMALLER, losses_of_metric=KEPT)
    (problem,) = problems(claim(time_ratio=(1.15, 1.2, 1.25)), trials)
    assert problem == "claimed a time ratio of at least 1.150, measured 1.000"


def test_a_metric_below_its_baseline_is_broken_whatever_was_claimed_of_it() -> None:
    lost = paired("fast", FASTER, savings=SMALLER, losses_of_metric=[0.05 + k for k in KEPT])
    (problem,) = problems(claim(metric=(0.5, 0.5, 0.5)), lost)
    assert problem == "accuracy fell by more than the margin of 0.01 beside the baseline's"


def test_a_metric_that_noise_hides_leaves_a_claim_open() -> None:
    wide = [0.03, -0.03, 0.02, -0.02, 0.03, -0.03]
    found = told(claim(), paired("fast", FASTER, savings=SMALLER, losses_of_metric=wide))
    assert found.undecided == [
        "accuracy is not shown to be within the margin of 0.01 beside the baseline's"
    ]


def test_ties_of_a_metric_with_bounds_on_few_items_hold_no_claim() -> None:
    same: dict[str, Any] = {"metric": 0.8512}
    trials = paired("fast", FASTER, savings=SMALLER, baseline=same, **same)
    claimed = claim(metric=(0.84, 0.8512, 0.86))
    comparison = compare(trials, 0.01, Target("accuracy"), rules={"test": AUTO})
    assert judged(claimed, comparison, trials).answer is Proof.HOLDS
    assert judged(claimed, comparison, trials, (0.0, 1.0)).answer is Proof.OPEN


@pytest.mark.parametrize(("lost", "said"), [(0.03, 2), (0.005, 1)])
def test_a_claim_is_neither_held_nor_broken_by_the_metric_of_one_seed(
    lost: float, said: int
) -> None:
    own: dict[str, Any] = {"losses_of_metric": [lost] * 6, "baseline": {"losses": LOSSES}}
    found = told(claim(), paired("fast", FASTER, savings=SMALLER, **own))
    assert (found.answer, found.problems, found.goes_on) == (Proof.OPEN, [], False)
    assert len(found.undecided) == said
    assert all("every seed gives the same training" in text for text in found.undecided)


def test_a_winner_by_memory_need_not_prove_a_gain_in_time() -> None:
    trials = paired("fast", EQUAL, savings=SMALLER, losses_of_metric=KEPT)
    assert told(claim(time_ratio=(0.99, 1.0, 1.01)), trials).answer is Proof.HOLDS


def test_other_data_is_broken() -> None:
    (problem,) = problems(claim(data_sha256="e" * 64))
    assert problem == "the data differs from what was measured; give the same with --data-dir"


def test_data_of_no_known_content_is_not_compared() -> None:
    assert problems(claim(data_sha256=None)) == []


def test_nothing_measured_is_broken_with_the_reason() -> None:
    trials = [t for n in (0, 1) for t in (measurement(pair=n), failed("fast", n, *NO_ROOM))]
    said = ["the recipe could not be measured: out of memory: no room"]
    assert problems(claim(), trials) == said
    once = told(claim(), trials[:2])
    assert (once.answer, once.undecided, once.goes_on) == (Proof.OPEN, said, True)


def test_a_recipe_is_not_blamed_for_what_its_baseline_does_too() -> None:
    trials = [failed(name, 0, reason="no disk") for name in ("baseline", "fast")]
    found = told(claim(), trials)
    assert (found.answer, found.problems) == (Proof.OPEN, [])
    assert found.undecided == ["the baseline itself gives nothing here: no disk"]


def test_a_recipe_that_failed_once_alone_and_once_with_its_baseline_breaks_no_claim() -> None:
    trials = [failed("baseline", 0), failed("fast", 0), measurement(pair=1), failed("fast", 1)]
    found = told(claim(), trials)
    assert (found.answer, found.goes_on) == (Proof.OPEN, True)
    assert found.undecided == ["the recipe could not be measured: failed: it broke"]


def test_a_recipe_that_does_not_apply_here_breaks_no_claim() -> None:
    found = told(claim(), [failed("fast", -1, Status.NOT_APPLICABLE, "no CUDA")])
    assert (found.answer, found.goes_on) == (Proof.OPEN, False)
    assert found.undecided == ["the recipe could not be measured: no CUDA"]


@pytest.mark.parametrize("trials", [[], [measurement("fast")], [measurement()]])
def test_a_claim_is_open_as_long_as_no_pair_is_whole(trials: list[Measurement]) -> None:
    found = told(claim(), trials)
    assert (found.answer, found.problems, found.goes_on) == (Proof.OPEN, [], True)
    assert found.undecided == ["no whole pair was measured"]


def test_a_metric_that_was_not_measured_is_broken() -> None:
    trials = measured_again(metric=None, baseline={"metric": None})
    assert "claimed accuracy of at least 0.8900, but none was measured" in problems(claim(), trials)


def test_what_was_not_claimed_is_not_checked() -> None:
    trials = measured_again(metric=None, peak_rss_bytes=None)
    assert problems(claim(metric=None, memory_ratio=None), trials) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"effect": "exact"}, None),
        ({"effect": "rounding", "losses": tuple(loss * 1.00001 for loss in LOSSES)}, None),
        ({"effect": "exact", "losses": (*LOSSES[:-1], 0.5)},
         "claimed the baseline's training, but losses are not the baseline's, bit for bit, in 6 of "
         "6 pairs"),
        ({"effect": "rounding", "losses": tuple(loss * 1.1 for loss in LOSSES)},
         "claimed the baseline's training, but losses are too far from it, in 6 of 6 pairs"),
        ({"effect": "rounding", "losses": LOSSES[:9]},
         "losses can be compared over 9 steps alone; 15 are asked for"),
    ],
)  # fmt: skip
def test_a_claim_without_a_metric_is_held_to_its_losses(
    changes: dict[str, Any], problem: str | None
) -> None:
    own: dict[str, Any] = {"metric": None, "peak_rss_bytes": None, "work": "same work"}
    trials = measured_again(baseline={"metric": None}, **own, **changes)
    stepped = claim(metric=None, memory_ratio=None, time_basis="step")
    found = told(stepped, trials)
    assert found.problems + found.undecided == ([problem] if problem else [])


STEPPED: dict[str, Any] = {"kind": "step", "metric": None}


def stepped(effect: str, again: float, apart: float, pairs: int) -> Judged:
    """Judge a claim of steps by pairs whose losses are so far apart, and so those of equal ones."""
    own: dict[str, Any] = {
        "effect": effect,
        "work": "same work",
        "losses": shaken(apart),
        **STEPPED,
    }
    trials = [
        *paired("fast", FASTER[:pairs], baseline=STEPPED, **own),
        *paired(CONTROL, EQUAL[:pairs], first=9, baseline=STEPPED, losses=shaken(again), **STEPPED),
    ]
    return told(claim(metric=None, memory_ratio=None, time_basis="step"), trials)


def shaken(by: float) -> tuple[float, ...]:
    return tuple(loss * (1 - by) for loss in LOSSES[:15])


@pytest.mark.parametrize(
    ("effect", "again", "apart", "first", "later"),
    [
        ("exact", 0.0, 0.1, Proof.BROKEN, Proof.BROKEN),
        ("exact", 1e-3, 5e-3, Proof.OPEN, Proof.BROKEN),
        ("exact", 1e-3, 3e-3, Proof.OPEN, Proof.HOLDS),
        ("exact", 1e-3, 0.1, Proof.OPEN, Proof.BROKEN),
        ("exact", 9e-3, 0.02, Proof.OPEN, Proof.OPEN),  # equal ones may be so far apart
        ("rounding", 0.0, 0.1, Proof.OPEN, Proof.BROKEN),
        ("rounding", 0.35, 0.1, Proof.OPEN, Proof.OPEN),
        ("exact", 0.35, 0.1, Proof.OPEN, Proof.OPEN),
    ],
)
def test_losses_of_one_pair_break_only_an_exact_claim_beside_a_baseline_that_repeats(
    effect: str, again: float, apart: float, first: Proof, later: Proof
) -> None:
    assert stepped(effect, again, apart, 1).answer is first
    assert stepped(effect, again, apart, 4).answer is later


def test_a_claim_that_losses_can_not_tell_of_is_left_open_at_once() -> None:
    found = stepped("exact", 0.35, 0.1, 4)
    assert (found.answer, found.goes_on) == (Proof.OPEN, False)
    assert found.undecided == [
        "accuracy is not shown to be within the margin of 0.01 beside the baseline's: losses of "
        "equal trainings differ by 35 %, so they tell nothing, and the metric was not measured: "
        "make the training repeat, by seeding every generator that it draws from"
    ]


def test_the_claim_of_a_run_holds_for_the_run_itself() -> None:
    trials = measured_again()
    comparison = compare_run(header(), trials, [])
    made = exported_of(header(), trials, comparison, best(comparison), recipe())
    assert made is not None
    assert judged(made.claim, comparison, trials) == Judged(Proof.HOLDS, [], [])


def test_a_winner_is_exported_with_what_was_measured() -> None:
    trials = measured_again()
    comparison = compare_run(header(), trials, [])
    made = exported_of(header(), trials, comparison, best(comparison), recipe())
    assert made is not None
    assert made.recipe == recipe("fast")
    assert made.recipe_id == recipe("fast").id
    assert made.baseline == recipe()
    assert made.claim.verdict == "win"
    assert made.claim.time_ratio == comparison.arms[0].time_ratio
    assert made.claim.data_sha256 == DATA.sha256
    assert made.claim.environment == {"python": "3.11", "device": "cpu", "threads": 2}


def test_where_nothing_won_the_baseline_is_exported() -> None:
    trials = [*paired(CONTROL, EQUAL), *paired("none", EQUAL, first=6)]
    comparison = compare_run(header(), trials, [])
    assert best(comparison) is None
    made = exported_of(header(), trials, comparison, None, recipe())
    assert made is not None
    assert (made.recipe, made.claim.verdict) == (recipe(), "baseline")
    assert problems(made.claim, paired(CONTROL, EQUAL)) == []


def test_a_baseline_claims_no_ratio_whatever_its_control_gave() -> None:
    trials = [*paired(CONTROL, FASTER), *paired("none", EQUAL, first=6)]
    made = exported_of(header(), trials, compare_run(header(), trials, []), None, recipe())
    assert made is not None
    assert made.claim.time_ratio == made.claim.memory_ratio == (1.0, 1.0, 1.0)
    assert problems(made.claim, paired(CONTROL, EQUAL)) == []


def test_where_no_pair_was_measured_nothing_is_exported() -> None:
    trials = [measurement(), failed("fast")]
    comparison = compare_run(header(), trials, [])
    assert exported_of(header(), trials, comparison, None, recipe()) is None


def test_the_fastest_winner_is_the_best() -> None:
    twice = [2 * gain for gain in FASTER]
    trials = [
        *paired("fast", FASTER, losses_of_metric=KEPT),
        *paired("faster", twice, first=6, losses_of_metric=KEPT),
        *paired("small", EQUAL, savings=[9 * s for s in SMALLER], first=12, losses_of_metric=KEPT),
    ]
    result = best(compare_run(header(), trials, []))
    assert result is not None
    assert result.arm == "faster"


def test_where_nothing_is_faster_the_smallest_is_the_best() -> None:
    trials = [
        *paired("small", EQUAL, savings=SMALLER, losses_of_metric=KEPT),
        *paired("smaller", EQUAL, savings=[2 * s for s in SMALLER], first=6, losses_of_metric=KEPT),
    ]
    result = best(compare_run(header(), trials, []))
    assert result is not None
    assert result.arm == "smaller"


@pytest.mark.parametrize("arm", ["fast", CONTROL])
def test_a_run_compares_as_its_header_asks(arm: str) -> None:
    trials = paired(arm, FASTER, losses_of_metric=[0.03 + k for k in KEPT])
    assert compare_run(header(margin=0.5), trials, []).margin == 0.5


def test_a_claim_of_steps_is_not_held_to_whole_trainings() -> None:
    (problem,) = problems(claim(time_basis="step"))
    assert problem == "claimed the time of a step, measured that of a training"


def test_a_time_that_was_not_measured_is_not_claimed() -> None:
    """It was claimed as 1 [1, 1] before, which no run that lacks it, too, can verify."""
    few: dict[str, Any] = {"items": 0}  # all steps were warm-up
    same: dict[str, Any] = {"effect": "exact", "work": "same work"}
    trials = paired("small", EQUAL, savings=(2.0,) * 6, baseline=few, **few, **same)
    comparison = compare_run(header(first=4, repeats=30), trials, ())
    made = exported_of(header(), trials, comparison, best(comparison), recipe())
    assert made is not None
    assert made.claim.time_ratio is None
    assert made.claim.memory_ratio is not None
    assert judged(made.claim, comparison, trials).answer is Proof.HOLDS


def test_a_ratio_without_bounds_is_not_claimed() -> None:
    trials = paired("small", EQUAL, savings=(2.0,) * 6)
    few = [t.model_copy(update={"train_seconds": None}) if t.pair > 1 else t for t in trials]
    comparison = compare_run(header(first=4, repeats=30), few, ())
    (result,) = comparison.arms
    assert result.time_ratio is not None
    made = exported_of(header(), few, comparison, result, recipe())
    assert made is not None
    assert made.claim.time_ratio is None


@pytest.mark.parametrize("name", ["energy", "inference time", "what a later version measures"])
def test_what_this_machine_does_not_measure_breaks_no_claim(name: str) -> None:
    found = told(claim(other_ratios={name: (1.2, 1.3, 1.4)}))
    article = "an" if name[0] in "ei" else "a"
    said = f"claimed {article} {name} ratio of at least 1.200, but none was measured"
    assert (found.answer, found.problems, found.undecided) == (Proof.OPEN, [], [said])
    assert not found.goes_on


@pytest.mark.parametrize(("pairs", "answer"), [(1, Proof.OPEN), (3, Proof.OPEN), (4, Proof.HOLDS)])
def test_a_claim_of_no_gain_holds_after_as_many_pairs_as_another(pairs: int, answer: Proof) -> None:
    unjudged = claim(
        verdict="baseline", time_ratio=(1, 1, 1), time_basis="step", memory_ratio=None, metric=None
    )
    trials = paired(CONTROL, EQUAL[:pairs], baseline={"metric": None}, metric=None)
    found = told(unjudged, trials)
    assert (found.answer, found.goes_on) == (answer, answer is Proof.OPEN)
