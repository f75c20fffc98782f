"""Whether a claim holds, and whether an arm became worse between two runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.levels import Rule
from bench.analysis.proof import Proof, proofs, prove
from bench.analysis.ratio_of_ratios import by_seed, change
from tests.property.noise import log_ratios

TWICE = math.log(2.0)
STEADY = [0.01, -0.01, 0.005, -0.005, 0.0, 0.01]


def proven(gain: float, claimed: float, rule: Rule | None = None) -> tuple[Proof, int]:
    return prove(np.array(STEADY) + math.log(gain), math.log(claimed), rule or Rule())


def test_a_true_claim_holds() -> None:
    assert proven(2.0, 2.0) == (Proof.HOLDS, 4)


def test_half_of_a_claimed_gain_is_broken() -> None:
    assert proven(1.4, 2.0) == (Proof.BROKEN, 4)


def test_a_gain_that_is_not_there_is_broken() -> None:
    assert proven(1.0, 1.2) == (Proof.BROKEN, 4)


def test_a_claim_that_noise_hides_is_not_decided() -> None:
    noisy = np.array([0.9, -0.4, 0.6, 0.1, -0.2, 0.5])
    assert prove(noisy, math.log(1.2), Rule()) == (Proof.OPEN, 6)


def test_one_pair_proves_nothing() -> None:
    assert prove(np.array([TWICE]), TWICE, Rule(1, 1)) == (Proof.OPEN, 1)


def test_no_gain_claimed_holds_unless_there_is_a_cost() -> None:
    assert proven(1.0, 1.0)[0] is Proof.HOLDS
    assert proven(0.9, 1.0)[0] is Proof.BROKEN


def test_a_claimed_cost_holds_where_it_is_not_larger() -> None:
    assert proven(0.8, 0.8)[0] is Proof.HOLDS
    assert proven(0.7, 0.8)[0] is Proof.BROKEN


@pytest.mark.parametrize("rule", [Rule(), Rule(2, 2), Rule(3, 3), Rule(6, 6), Rule(12, 12)])
@pytest.mark.parametrize("deviation", [0.02, 0.1, 0.3])
def test_twice_the_speed_that_is_not_there_hardly_ever_holds(rule: Rule, deviation: float) -> None:
    logs = log_ratios(np.random.default_rng(1), 2000, 1.0, deviation)
    holds, _, _ = proofs(logs, TWICE, rule)
    assert float(holds.mean()) <= 0.01


@pytest.mark.parametrize("deviation", [0.02, 0.1, 0.2])
def test_a_true_claim_is_hardly_ever_broken(deviation: float) -> None:
    """A confirmed claim is a low bound; the hardest case is a claim of the whole truth."""
    logs = log_ratios(np.random.default_rng(2), 2000, 1.3, deviation)
    holds, broken, _ = proofs(logs, math.log(1.3), Rule())
    assert float(broken.mean()) <= 0.02
    assert float(holds.mean()) >= (0.98 if deviation < 0.2 else 0.6)


def test_equal_ratios_of_two_runs_show_no_change() -> None:
    found = change(STEADY, STEADY, 0.95)
    assert found is not None
    assert found.low is not None
    assert found.low < found.middle == 0.0


def test_one_pair_shows_no_change() -> None:
    assert change(STEADY, [0.3], 0.95) is None


def test_a_change_is_that_of_scipys_welch_test() -> None:
    from scipy import stats

    after = [0.2, 0.25, 0.15, 0.22]
    expected = stats.ttest_ind(after, STEADY, equal_var=False, alternative="greater")
    found = change(STEADY, after, 0.95)
    assert found is not None
    assert found.low == pytest.approx(expected.confidence_interval(0.95).low, abs=0.002)


def test_unchanged_code_is_hardly_ever_called_slower_however_the_machine_drifts() -> None:
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(1000):
        runs = []
        for _ in range(2):
            speed = random.normal(0, 0.17)
            trials = speed + random.normal(0, 0.03, (6, 2)) + [0.0, -math.log(1.5)]
            runs.append([float(b - c) for b, c in trials])
        found = change(runs[0], runs[1], 0.95)
        assert found is not None
        assert found.high is not None
        alarms += found.high < -math.log(1.05)
    assert alarms / 1000 <= 0.05


def test_equal_seeds_count_once() -> None:
    once = by_seed([(1, 0.9), (2, 0.8)], [(1, 0.8), (2, 0.9), (3, 0.1)])
    twice = by_seed([(1, 0.9), (2, 0.8)] * 2, [(1, 0.8), (2, 0.9), (3, 0.1)] * 2)
    assert once == pytest.approx([-0.1, 0.1])
    assert twice == pytest.approx(once)
