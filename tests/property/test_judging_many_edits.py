"""Of a thousand edits that change nothing hardly any is kept, and a true gain still is: LORD++."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.levels import ALPHA, Rule
from bench.analysis.online import next_level
from bench.analysis.regression import Change, Row, changes
from tests.property.noise import Noise, gauss, heavy, log_ratios

EDITS = 1000
PAIR_SD = 0.02


def edits(slower: float, count: int, noise: Noise, seed: int) -> list[Row]:
    random = np.random.default_rng(seed)
    time = log_ratios(random, count, slower, PAIR_SD / math.sqrt(2), noise)
    memory = log_ratios(random, count, 1.0, 0.0057)
    return [Row("time", time, math.log1p(0.05)), Row("memory", memory, math.log1p(0.1))]


def improved(rows: list[Row], level: float, which: slice = slice(None)) -> list[bool]:
    """Return which of some edits are kept at a level."""
    own = [Row(row.name, row.worse[which], row.limit) for row in rows]
    return [bool(one == Change.IMPROVED) for one in changes(own, Rule(), level)[0]]


def kept(rows: list[Row]) -> list[bool]:
    """Judge edits one after the other; what no level keeps is not judged again."""
    maybe, found = improved(rows, ALPHA), list[bool]()
    for number, possible in enumerate(maybe):
        level = next_level(found)
        found.append(possible and improved(rows, level, slice(number, number + 1))[0])
    return found


@pytest.mark.parametrize("noise", [gauss, heavy])
def test_of_a_thousand_edits_that_change_nothing_at_most_one_percent_is_kept(noise: Noise) -> None:
    assert sum(kept(edits(1.0, EDITS, noise, 11))) <= EDITS / 100


@pytest.mark.parametrize("before", [0, EDITS])
def test_a_true_gain_of_five_percent_is_kept_also_after_a_thousand_that_were_none(
    before: int,
) -> None:
    level = next_level([False] * before)
    assert np.mean(improved(edits(1 / 1.05, 500, gauss, 12), level)) >= 0.8


def test_levels_fall_while_nothing_is_kept_and_rise_with_a_keep() -> None:
    falling = [next_level([False] * n) for n in (0, 1, 10, 100)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == pytest.approx(0.05 / 2 * 0.0722 * math.log(2))
    assert next_level([*[False] * 100, True]) > 100 * next_level([False] * 101)


def test_what_is_spent_before_anything_is_kept_is_half_of_what_is_allowed() -> None:
    assert math.fsum(next_level([False] * n) for n in range(2000)) <= ALPHA / 2
