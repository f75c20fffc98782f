"""The sequential verdict on pairs that a test writes down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.analysis.estimate import bounds, estimate
from bench.analysis.levels import Rule, boundary, nominal
from bench.analysis.outlook import Outlook, outlook
from bench.analysis.sequential import Answer, Look, Objective, Quality, answers, last_look

WOBBLE = (0.01, -0.012, 0.004, -0.006, 0.011, -0.003, 0.002, -0.007, 0.006, -0.005, 0.009, -0.008)
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0, 0.001, -0.002, 0.0, 0.001, -0.001, 0.001)


def ratio(name: str, gain: float, wobble: Sequence[float] = WOBBLE, **facts: Any) -> Objective:
    return Objective(name, math.log(gain) + np.array(wobble), **facts)


def quality(loss: float = 0.0, wobble: Sequence[float] = KEPT, **facts: Any) -> Quality:
    return Quality(np.array(wobble) - loss, **{"margin": 0.01, **facts})


def judged(
    gain: float = 1.0, saving: float = 1.0, of: Quality | None = None, rule: Rule | None = None,
    failed: Sequence[int] = (), also: Sequence[Objective] = (),
) -> tuple[Answer, int]:  # fmt: skip
    """Return the answer on twelve pairs, and after how many it stood."""
    given, after = answers(
        [ratio("time", gain), ratio("memory", saving), *also], of or quality(), rule or Rule(),
        np.isin(np.arange(12), failed),
    )  # fmt: skip
    return Answer(int(given)), int(after)


def seen_of(objectives: Sequence[Objective], of: Quality, rule: Rule | None = None) -> Look:
    seen = last_look(objectives, of, rule or Rule())
    assert seen is not None
    return seen


def before_us(objectives: Sequence[Objective], of: Quality, rule: Rule | None = None) -> Outlook:
    return outlook(seen_of(objectives, of, rule), objectives, of, rule or Rule())


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [(4, 6.65), (5, 5.13), (6, 4.43), (8, 3.80), (10, 3.50), (13, 3.26), (16, 3.15), (30, 2.91)],
)
def test_a_bound_over_all_looks_is_as_many_errors_wide_as_was_simulated(
    pairs: int, expected: float
) -> None:
    assert boundary(pairs, 0.025, Rule()) == pytest.approx(expected, rel=0.01)


def test_levels_fall_faster_than_the_error_they_allow() -> None:
    totals = [0.05, 0.03, 0.01, 0.001, 0.0003, 0.00005]
    levels = [nominal(total, Rule()) for total in totals]
    slopes = [
        math.log(one / other) / math.log(a / b)
        for one, other, a, b in zip(levels, levels[1:], totals, totals[1:], strict=False)
    ]
    assert all(1 < slope < 1.3 for slope in slopes)


def test_fewer_than_four_pairs_decide_nothing_unless_just_so_many_were_asked_for() -> None:
    assert boundary(3, 0.05, Rule()) == math.inf
    assert boundary(2, 0.05, Rule(2, 2)) == math.inf
    assert boundary(3, 0.05, Rule(3, 3)) == pytest.approx(2.92, abs=0.001)


def test_a_fixed_number_of_pairs_is_looked_at_once() -> None:
    assert list(Rule(6, 6).looks(5)) == []
    assert list(Rule(6, 6).looks(9)) == [6]
    assert list(Rule().looks(6)) == [4, 5, 6]
    assert list(Rule().looks(40))[-1] == 30


def test_equal_ratios_keep_a_spread() -> None:
    found = estimate(np.zeros(4), floor=0.002)
    assert found.error == pytest.approx(0.001)


def test_an_outlier_among_ratios_is_clipped_and_counts_as_lost() -> None:
    plain = estimate(np.array([0.1, 0.11, 0.09, 0.1, 0.12, 0.08]))
    values = np.array([0.1, 0.11, 0.09, 0.1, 0.12, 0.08, 2.0])
    found = estimate(values, clip=True)
    assert found.clipped
    assert found.mean == pytest.approx((0.6 + 0.1 + 3.5 * 1.4826 * 0.01) / 7)
    inside = np.minimum(values, 0.1 + 3.5 * 1.4826 * 0.01)
    assert found.error == pytest.approx(inside.std(ddof=1) / math.sqrt(7) * 6 / 5)
    assert not plain.clipped


def test_what_is_unknown_of_a_pair_is_left_out() -> None:
    found = estimate(np.array([0.1, np.nan, 0.3]))
    assert float(found.mean) == pytest.approx(0.2)
    assert int(found.known) == 2


def test_a_faster_arm_of_kept_quality_wins() -> None:
    assert judged(1.3) == (Answer.WIN, 4)


def test_a_smaller_arm_of_kept_quality_wins() -> None:
    assert judged(saving=1.3) == (Answer.WIN, 4)


def test_no_gain_needs_every_objective_flat() -> None:
    assert judged() == (Answer.NO_GAIN, 4)
    noisy = [9 * w for w in WOBBLE]
    assert judged(also=[ratio("energy", 1.03, noisy)])[0] == Answer.OPEN


def test_a_lost_metric_is_a_loss_however_fast() -> None:
    assert judged(3.0, of=quality(0.05)) == (Answer.LOSS, 4)


def test_a_loss_within_the_margin_is_none() -> None:
    assert judged(1.3, of=quality(0.05, margin=0.06)) == (Answer.WIN, 4)


def test_an_arm_of_many_must_be_surer_than_one_alone() -> None:
    assert judged(1.06) == (Answer.WIN, 4)
    assert judged(1.06, rule=Rule(arms=30)) == (Answer.WIN, 6)


def test_an_objective_that_repeats_exactly_costs_no_error() -> None:
    size = ratio("file size", 1.3, (0.0,) * 12, deterministic=True)
    assert judged(1.06, also=[size]) == (Answer.WIN, 4)
    assert judged(also=[size]) == (Answer.WIN, 4)


def test_a_file_that_is_not_smaller_is_no_gain() -> None:
    size = ratio("file size", 0.9, (0.0,) * 12, deterministic=True)
    assert judged(also=[size]) == (Answer.NO_GAIN, 4)


def test_an_objective_that_nobody_knows_is_no_obstacle() -> None:
    energy = Objective("energy", np.full(12, np.nan))
    assert judged(also=[energy]) == (Answer.NO_GAIN, 4)
    assert judged(1.3, also=[energy]) == (Answer.WIN, 4)


def test_what_was_not_known_at_first_is_not_excluded_later() -> None:
    late = [np.nan] * 4 + [0.3, -0.3, 0.2, -0.25, 0.3, -0.2, 0.25, -0.3]
    given, _ = answers([Objective("time", np.array(late))], quality(), Rule())
    assert given == Answer.OPEN


def test_where_nothing_is_known_nothing_is_said() -> None:
    nothing = np.full(12, np.nan)
    given, _ = answers([Objective("time", nothing)], Quality(nothing, 0.01), Rule())
    assert given == Answer.OPEN


def test_a_metric_that_was_not_measured_is_never_kept() -> None:
    assert judged(1.3, of=Quality(np.full(12, np.nan), 0.01)) == (Answer.OPEN, 12)


@pytest.mark.parametrize(("items", "after"), [(345, 4), (128, 4), (64, 7), (40, 13)])
def test_equal_metrics_of_few_test_items_take_more_pairs_to_be_kept(items: int, after: int) -> None:
    equal = Quality(np.zeros(30), 0.01, 0.5 / items)
    given, when = answers([ratio("time", 1.3, WOBBLE * 3)], equal, Rule())
    assert (int(given), int(when)) == (Answer.WIN, after)


def test_a_margin_of_a_fifth_of_a_test_item_is_never_shown_to_be_kept() -> None:
    equal = Quality(np.zeros(30), 0.01, 0.5 / 20)
    assert answers([ratio("time", 1.3, WOBBLE * 3)], equal, Rule())[0] == Answer.OPEN


def test_losses_equal_in_every_pair_keep_an_exact_arm() -> None:
    unknown = np.full(12, np.nan)
    same = Quality(unknown, 0.01, agree=np.ones(12, bool), exact=True)
    assert judged(1.3, of=same) == (Answer.WIN, 4)
    once = Quality(unknown, 0.01, agree=np.arange(12) != 2, exact=True)
    assert judged(1.3, of=once) == (Answer.OPEN, 12)


def test_losses_that_agree_within_rounding_keep_an_arm_until_its_metric_is_lost() -> None:
    agree = np.ones(12, bool)
    wide = [0.05, -0.05, 0.04, -0.06] * 3
    assert judged(1.3, of=quality(wobble=wide)) == (Answer.OPEN, 12)
    assert judged(1.3, of=quality(wobble=wide, agree=agree)) == (Answer.WIN, 4)
    assert judged(1.3, of=quality(0.05, agree=agree)) == (Answer.LOSS, 4)


def test_half_of_the_pairs_agree_where_equal_trainings_differ_too() -> None:
    unknown, every = np.full(12, np.nan), np.arange(12)
    for some, answer in ((every % 2 == 0, Answer.WIN), (every % 4 == 0, Answer.OPEN)):
        assert judged(1.3, of=Quality(unknown, 0.01, agree=some, half=True))[0] == answer
        assert judged(1.3, of=Quality(unknown, 0.01, agree=some))[0] == Answer.OPEN


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ((0.0, 0.0, 0.0, 0.0), Answer.OPEN), ((1.0, 1.0, 0.0, 0.0), Answer.WIN),
        ((np.nan, np.nan, np.nan, np.nan), Answer.OPEN),
    ],
)  # fmt: skip
def test_pairs_that_tell_nothing_have_no_vote_on_losses(
    told: tuple[float, ...], answer: Answer
) -> None:
    agree = np.array([*[np.nan] * 8, *told])
    of = Quality(np.full(12, np.nan), 0.01, agree=agree, half=True)
    assert judged(1.3, of=of, rule=Rule(12, 12))[0] == answer


def test_one_failed_training_of_an_arm_leaves_a_win_unsaid() -> None:
    assert judged(1.3, failed=[2]) == (Answer.UNSAFE, 4)


def test_two_failed_trainings_of_five_are_a_loss() -> None:
    assert judged(1.3, of=quality(0.0, [9 * w for w in KEPT]), failed=[1, 4]) == (Answer.LOSS, 5)


def test_two_failed_trainings_of_twelve_are_no_loss_but_no_win_either() -> None:
    noisy = quality(wobble=[0.02, -0.02] * 6)
    assert judged(1.3, of=noisy, failed=[9, 11], rule=Rule(12, 12)) == (Answer.OPEN, 12)
    assert judged(1.3, failed=[9, 11], rule=Rule(12, 12)) == (Answer.UNSAFE, 12)


def test_the_share_of_failed_trainings_is_of_the_pairs_that_tell() -> None:
    noisy = quality(wobble=[0.02, -0.02] * 6)
    marks = np.array([1.0, 1.0, *[0.0] * 7, *[np.nan] * 3])
    given, _ = answers([ratio("time", 1.3)], noisy, Rule(12, 12), marks)
    assert given == Answer.LOSS


def test_what_a_look_has_shown_stays_shown() -> None:
    later = [*WOBBLE[:4], *(-0.01,) * 8]
    wide = quality(wobble=[0.02, -0.02, 0.02, -0.02] + [0.0] * 8)
    seen = seen_of([ratio("time", 1.2, later)], wide)
    assert seen.pairs == 12
    assert seen.answer == Answer.WIN


def test_an_open_arm_says_in_how_many_pairs_it_will_be_known() -> None:
    noisy = [15 * w for w in WOBBLE]
    found = before_us([ratio("time", 1.1, noisy)], quality())
    assert found == Outlook(("time",), 15, None, False)


def test_quality_that_few_items_can_not_show_is_hopeless_and_names_the_margin() -> None:
    flipping = [0.0, 1 / 18, -1 / 18, 0.0] * 3
    objectives = [ratio("time", 1.5)]
    found = before_us(objectives, quality(wobble=flipping, floor=0.5 / 18))
    assert found.open == ("quality",)
    assert found.hopeless
    assert found.margin is not None
    assert found.margin == pytest.approx(0.0191, abs=0.0001)
    assert found.pairs == 111
    enough = quality(wobble=flipping * 3, floor=0.5 / 18, margin=found.margin + 0.0005)
    assert answers([ratio("time", 1.5, WOBBLE * 3)], enough, Rule())[0] == Answer.WIN


def test_before_eight_pairs_nothing_is_hopeless() -> None:
    flipping = [0.0, 0.1, -0.1, 0.0, 0.1, -0.1, 0.0]
    assert not before_us([ratio("time", 1.5, WOBBLE[:7])], quality(wobble=flipping)).hopeless


def test_an_arm_that_could_only_have_won_is_hopeless_after_a_failed_training() -> None:
    objectives, of = [ratio("time", 1.3)], quality(wobble=[0.01, -0.011] * 6)
    rule = Rule()
    seen = last_look(objectives, of, rule, np.arange(12) == 0)
    assert seen is not None
    assert outlook(seen, objectives, of, rule).hopeless


def test_a_fixed_number_of_pairs_is_never_given_up() -> None:
    flipping = [0.0, 0.1, -0.1, 0.0] * 3
    found = before_us([ratio("time", 1.5)], quality(wobble=flipping), Rule(12, 12))
    assert not found.hopeless


def test_the_shown_interval_of_a_win_lies_above_the_least_gain() -> None:
    objectives, rule = [ratio("time", 1.06)], Rule(arms=30)
    seen = seen_of(objectives, quality(), rule)
    low, _ = bounds(seen.estimates[0], rule.of_gain(1), rule)
    assert math.exp(float(low)) > 1.01


def test_two_pairs_tell_of_no_margin_that_would_do() -> None:
    smaller = ratio("file", 1.5, [0.0, 0.0], deterministic=True)
    two = before_us([smaller], quality(wobble=[0.01, -0.02]), Rule(2, 2))
    assert two.margin is None
