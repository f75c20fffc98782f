"""How often the sequential verdict is wrong, and how soon it is right: on simulated runs."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.estimate import Counts, Flags, Values, bounds, estimate
from bench.analysis.levels import FIRST, MOST, Rule
from bench.analysis.quality import Unlike
from bench.analysis.sequential import LEAST_GAIN, Answer, Objective, Quality, answers
from tests.property.noise import (
    Noise,
    drift,
    gauss,
    heavy,
    log_ratios,
    metric_differences,
    spikes,
)

RUNS = 4000
MARGIN = 0.01
MEMORY_NOISE = 0.0057


def kept(shape: tuple[int, ...]) -> Quality:
    """Return a quality that is settled by equal losses."""
    return Quality(np.full(shape, np.nan), MARGIN, agree=np.ones(shape, bool), exact=True)


def answered(
    truth: float, deviation: float, *, arms: int = 1, noise: Noise = gauss, runs: int = RUNS,
    pairs: int = MOST, seed: int = 20261128,
) -> tuple[Counts, Counts]:  # fmt: skip
    """Return what is answered of arms of a true gain in time and none in memory, and when."""
    random = np.random.default_rng(seed)
    objectives = [
        Objective("time", log_ratios(random, runs, truth, deviation, noise)[:, :pairs]),
        Objective("memory", log_ratios(random, runs, 1.0, MEMORY_NOISE)[:, :pairs]),
    ]
    given, after = answers(objectives, kept((runs, pairs)), Rule(arms=arms))
    return given, np.where(given == Answer.OPEN, pairs, after)


def share(given: Counts, answer: Answer) -> float:
    return float((given == answer).mean())


@pytest.mark.parametrize(
    ("noise", "most"),
    [(gauss, 0.032), (heavy, 0.025), (spikes(0.05, 0.03), 0.025), (drift, 0.032)],
)
def test_a_gain_of_just_one_percent_is_called_better_as_rarely_as_promised(
    noise: Noise, most: float
) -> None:
    logs = log_ratios(np.random.default_rng(1), RUNS, LEAST_GAIN, 0.03, noise)
    given, _ = answers([Objective("time", logs)], kept(logs.shape), Rule(alpha=0.025))
    assert share(given, Answer.WIN) <= most


def test_of_thirty_arms_that_gain_one_percent_hardly_any_is_called_better() -> None:
    runs, arms = 400, 30
    random = np.random.default_rng(2)
    logs = [log_ratios(random, (runs, arms), LEAST_GAIN, sd) for sd in (0.03, 0.006)]
    objectives = [Objective(name, own) for name, own in zip(("time", "memory"), logs, strict=True)]
    given, _ = answers(objectives, kept(logs[0].shape), Rule(arms=arms))
    assert float((given == Answer.WIN).any(-1).mean()) <= 0.06


def erredkept(items: int, loss: float, flips: float, seed: int = 3) -> float:
    random = np.random.default_rng(seed)
    differences = metric_differences(random, RUNS, loss, flips, items)
    fast = np.full(differences.shape, np.log(2.0))
    quality = Quality(differences, MARGIN, 0.5 / items)
    return share(answers([Objective("time", fast)], quality, Rule())[0], Answer.WIN)


@pytest.mark.parametrize("items", [345, 624])
def test_a_loss_of_just_the_margin_is_called_kept_in_about_five_percent(items: int) -> None:
    assert 0.03 <= erredkept(items, MARGIN, 0.01) <= 0.08


@pytest.mark.parametrize("flips", [0.0, 0.005, 0.025])
@pytest.mark.parametrize("items", [15, 20, 28, 40, 64, 345])
def test_a_loss_of_one_and_a_half_margins_is_hardly_ever_called_kept(
    items: int, flips: float
) -> None:
    assert erredkept(items, 1.5 * MARGIN, flips) <= 0.03


@pytest.mark.parametrize(
    ("truth", "deviation", "arms", "pairs", "least"),
    [
        (1.05, 0.02, 1, 30, 0.95),
        (1.05, 0.02, 1, 15, 0.95),
        (1.10, 0.02, 1, 15, 0.99),
        (1.10, 0.05, 1, 15, 0.90),
        (1.10, 0.05, 30, 30, 0.95),
        (1.05, 0.03, 1, 30, 0.90),
    ],
)
def test_true_gains_are_found(
    truth: float, deviation: float, arms: int, pairs: int, least: float
) -> None:
    given, _ = answered(truth, deviation, arms=arms, pairs=pairs, runs=1500)
    assert share(given, Answer.WIN) >= least


def test_a_true_gain_is_found_among_trials_that_take_thrice_as_long() -> None:
    given, _ = answered(1.10, 0.03, noise=spikes(0.05, 0.03), runs=1500)
    assert share(given, Answer.WIN) >= 0.95


@pytest.mark.parametrize(("truth", "most"), [(1.0, 7.5), (1.3, 4.5)])
def test_what_is_clear_is_answered_in_few_pairs(truth: float, most: float) -> None:
    _, after = answered(truth, 0.02, runs=1500)
    assert float(after.mean()) <= most


@pytest.mark.parametrize("truth", [1.0, 1.05, 1.3])
def test_the_interval_at_the_stop_holds_the_truth(truth: float) -> None:
    random = np.random.default_rng(6)
    logs = log_ratios(random, 1500, truth, 0.03)
    _, after = answers([Objective("time", logs)], kept(logs.shape), Rule(alpha=0.025))
    inside = np.zeros(len(logs), bool)
    for n in range(FIRST, MOST + 1):
        low, high = bounds(estimate(logs[:, :n], 0.002, clip=True), 0.025, Rule())
        inside |= (after == n) & (low <= np.log(truth)) & (np.log(truth) <= high)
    answered_ = after < MOST
    assert float(inside[answered_].mean()) >= 0.95


def test_a_fixed_number_of_pairs_has_the_coverage_that_it_says() -> None:
    logs = log_ratios(np.random.default_rng(7), 8000, 1.1, 0.05, pairs=6)
    low, high = bounds(estimate(logs, 0.002), 0.025, Rule(6, 6))
    inside = (low <= np.log(1.1)) & (np.log(1.1) <= high)
    assert 0.94 <= float(inside.mean()) <= 0.96


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_an_arm_of_which_trainings_failed_never_wins(failures: int) -> None:
    random = np.random.default_rng(8)
    logs = log_ratios(random, 500, 1.3, 0.02)
    failed = np.zeros(logs.shape, bool)
    where = np.array([random.permutation(6)[:failures] for _ in range(len(logs))])
    np.put_along_axis(failed, where, True, -1)
    logs = np.where(failed, np.nan, logs)
    quality = Quality(np.where(failed, np.nan, 0.0), MARGIN, 0.5 / 345)
    given, _ = answers([Objective("time", logs[:, 6:])], quality_from(quality, 6), Rule())
    assert share(given, Answer.WIN) == 1.0
    early = answers([Objective("time", logs)], quality, Rule(6, 6), failed)[0]
    assert share(early, Answer.WIN) == 0.0
    assert share(early, Answer.LOSS if failures > 1 else Answer.UNSAFE) == 1.0


def quality_from(quality: Quality, pair: int) -> Quality:
    return Quality(quality.differences[:, pair:], quality.margin, quality.floor)


def test_a_full_optimisation_of_nothing_hardly_ever_exports_anything() -> None:
    """Whatever a screening chooses of arms that gain just one percent: fresh pairs judge it."""
    runs, confirmed = 1000, 2
    logs = log_ratios(np.random.default_rng(10), (runs, confirmed), LEAST_GAIN, 0.05)
    given, _ = answers([Objective("time", logs)], kept(logs.shape), Rule(arms=confirmed))
    assert (given == Answer.WIN).any(-1).mean() <= 0.05


@pytest.mark.parametrize(("controls", "pairs"), [(1, 4), (2, 4), (4, 4), (3, 6), (10, 30)])
def test_equal_trainings_agree_however_few_pairs_tell_by_how_much_they_differ(
    controls: int, pairs: int
) -> None:
    random = np.random.default_rng(11)
    again, own = (random.lognormal(size=(RUNS, n)) for n in (controls, pairs))
    assert float(agreed(again, own).mean()) >= 0.98


def test_an_exact_claim_is_hardly_ever_broken_beside_a_baseline_that_does_not_repeat() -> None:
    random = np.random.default_rng(12)
    again, own = (random.lognormal(size=(RUNS, MOST)) for _ in range(2))
    broken = np.zeros(RUNS, bool)
    for n in range(FIRST, MOST + 1):
        broken |= ~agreed(again[:, : min(n, 10)], own[:, :n])
    assert float(broken.mean()) <= 0.02


def test_losses_a_thousand_times_as_far_apart_as_equal_ones_do_not_agree() -> None:
    random = np.random.default_rng(13)
    again, own = (random.lognormal(size=(RUNS, 4)) for _ in range(2))
    assert float(agreed(again, 1000 * own).mean()) <= 0.01


def agreed(again: Values, own: Values) -> Flags:
    """Return where losses agree that are so far apart, beside what equal trainings are."""
    reach = np.array([Unlike(most, again.shape[-1]).reach for most in again.max(-1)])
    agree = own <= reach[:, None]
    quality = Quality(np.full(own.shape, np.nan), MARGIN, agree=agree, half=True)
    return quality.agreed(own.shape[-1])


@pytest.mark.slow
def test_all_looks_together_err_in_their_total() -> None:
    random, totals, batches, runs = np.random.default_rng(9), (0.05, 0.025, 0.0025, 0.000833), 15, 0
    crossed = np.zeros(len(totals))
    for _ in range(batches):
        logs = random.normal(size=(10_000, MOST))
        ever = np.zeros((len(totals), 2, len(logs)), bool)
        for n in range(FIRST, MOST + 1):
            estimated = estimate(logs[:, :n])
            for total, seen in zip(totals, ever, strict=True):
                low, high = bounds(estimated, total, Rule())
                seen |= np.stack([low > 0, high < 0])
        crossed, runs = crossed + ever.sum((1, 2)), runs + ever[0].size
    for erred, total in zip(crossed / runs, totals, strict=True):
        assert erred == pytest.approx(total, abs=4 * (total / runs) ** 0.5)
