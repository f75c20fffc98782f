"""What says that quality is kept: losses, items, and the margin that a test part can show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bench.analysis.levels import Rule
from bench.analysis.margin import automatic_margin
from bench.analysis.power import smallest_effect
from bench.analysis.quality import apart, losses_agree
from bench.analysis.sequential import LEAST_GAIN
from bench.baseline import Target
from bench.records.measurement import CONTROL
from tests.records import measurement

LOSSES = [1 / (1 + step) for step in range(20)]


def test_fewer_than_fifteen_common_steps_say_nothing_of_losses() -> None:
    assert losses_agree(LOSSES[:14], LOSSES) is None
    assert losses_agree((), LOSSES) is None
    assert losses_agree(LOSSES[:15], LOSSES) is True


def test_equal_losses_are_equal_bit_for_bit_in_every_step() -> None:
    assert losses_agree(LOSSES, [*LOSSES[:19], LOSSES[19] + 1e-12]) is False


def test_rounding_is_held_to_the_first_steps_alone() -> None:
    rounded = [loss * (1 + 1e-6) for loss in LOSSES]
    assert losses_agree(LOSSES, [*rounded[:15], 9.0, 9.0], tolerance=1e-4) is True
    assert losses_agree(LOSSES, [*rounded[:14], LOSSES[14] * 1.001], tolerance=1e-4) is False


def test_losses_that_are_no_numbers_do_not_agree() -> None:
    nan = [math.nan] * 20
    assert losses_agree(nan, nan, tolerance=1e-2) is False
    assert apart(LOSSES, nan) == math.inf


def test_losses_of_zero_agree() -> None:
    assert losses_agree([0.0] * 15, [0.0] * 15, tolerance=1e-4) is True


def likeliest_loss_share(gained: int, lost: int, items: int, change: float) -> float:
    """Return the share of lost items that makes the counts likeliest, given the true change."""

    def unlikely(share: float) -> float:
        shares = [(gained, share + change), (lost, share)]
        shares.append((items - gained - lost, 1 - 2 * share - change))
        return -sum(count * math.log(max(p, 1e-300)) for count, p in shares)

    least, most = max(0.0, -change), (1 - change) / 2
    return float(minimize_scalar(unlikely, bounds=(least, most), method="bounded").x)


def test_the_smallest_effect_is_found_four_times_in_five() -> None:
    random, pairs, rule = np.random.default_rng(3), 6, Rule(6, 6)
    found = smallest_effect(0.05, pairs, 0.025, rule)
    assert found is not None
    logs = random.normal(math.log1p(found), 0.05, (4000, pairs))
    errors = logs.std(1, ddof=1) / math.sqrt(pairs)
    shown = logs.mean(1) - 2.5706 * errors > math.log(LEAST_GAIN)
    assert 0.76 <= float(shown.mean()) <= 0.84


def test_pairs_that_decide_nothing_show_no_effect() -> None:
    assert smallest_effect(0.05, 3, 0.025, Rule()) is None
    assert smallest_effect(0.05, 1, 0.025, Rule(1, 1)) is None


def margin(metrics: list[float], target: Target | None = None, wished: float = 0.01) -> float:
    trials = [measurement(pair=pair, metric=metric) for pair, metric in enumerate(metrics)]
    return automatic_margin(trials, target or Target("accuracy"), wished).size


def test_an_automatic_margin_is_the_largest_of_the_wish_the_spread_and_one_item() -> None:
    spread = 0.62 * math.sqrt(2) * float(np.std([0.91, 0.85, 0.95], ddof=1))
    assert margin([0.91, 0.85, 0.95]) == pytest.approx(spread)
    assert margin([0.9, 0.9, 0.9]) == 1 / 20  # shares of 20 test items
    assert margin([0.901, 0.902, 0.903]) == 0.01
    assert margin([0.901, 0.902], wished=0.02) == 0.02
    assert margin([]) == 0.01


def test_an_automatic_margin_of_a_share_is_one() -> None:
    relative = Target("rmse", direction="lower", relative_margin=0.02)
    assert margin([19_000.0, 21_000.0], relative, 0.02) == pytest.approx(
        margin([1.9, 2.1], relative, 0.02)
    )


def test_an_automatic_margin_looks_at_the_baseline_alone_and_at_each_seed_once() -> None:
    own = [measurement(pair=pair, metric=m) for pair, m in enumerate((0.911, 0.852, 0.953))]
    others = [measurement("quick", pair, metric=0.1 * pair) for pair in range(3)]
    again = [measurement(CONTROL, pair, metric=m) for pair, m in enumerate((0.911, 0.852, 0.953))]
    alone = automatic_margin(own, Target("accuracy"), 0.01)
    assert automatic_margin([*own, *others, *again], Target("accuracy"), 0.01) == alone
    assert (alone.seeds, alone.why) == (3, "what 30 pairs can show of this spread over seeds")
