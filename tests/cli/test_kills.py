"""A run that is killed at random moments, and resumed each time, ends as one that nobody killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.bench_kills import Killed


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_double_no_trial(tmp_path: Path) -> None:
    killed = Killed(tmp_path, seed=1)
    killed.learn()
    assert killed.to_the_end(4) == 4
    assert killed.wrong == []
    assert killed.counts["kills"] == 4
    assert killed.counts["lost"] == killed.counts["doubled"] == 0
