"""What is told of arms that train in several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import reports
from bench.cli.parse import with_processes
from bench.errors import BenchError
from bench.records.measurement import BASELINE, Measurement, Surroundings
from bench.records.ranks import Rank
from bench.trial.ranks import together
from reports.formats.json import content
from tests.records import MIB, header, measurement

ASKED = {"baseline-only": False, "test": None, "combine": None, "full-optimization": False,
         "recipe": None}  # fmt: skip


def ranked(pair: int) -> Measurement:
    each = [Rank(threads=1, window_seconds=s, peak_memory_bytes=m * MIB)
            for s, m in ((0.8, 30), (0.7, 31))]  # fmt: skip
    return measurement("a", pair, seconds=0.8, memory=61 * MIB, ranks=each)


def test_a_report_tells_how_an_arm_scales_and_what_each_process_needs() -> None:
    trials = [t for p in range(4) for t in (measurement(BASELINE, p), ranked(p))]
    run = reports.made(Path("nowhere"), header(), trials, [])
    arm = content(run)["arms"]["a"]
    assert arm["scaling"] is not None
    _, middle, _ = arm["scaling"]["efficiency"] or (0, 0, 0)
    assert middle == pytest.approx(1 / (2 * 0.8))
    assert arm["scaling"]["memory_bytes"] == [30 * MIB, 31 * MIB]
    assert arm["scaling"]["memory_together_bytes"] == 61 * MIB
    assert "a: 2 processes of 1 thread, scaling efficiency 62 %" in reports.summary(run, 200)
    line = "| a | 2 | 1 | 62 % "
    assert line in reports.render("md", run)


def test_together_time_is_the_slowest_ones_and_other_processes_are_no_strangers() -> None:
    around = Surroundings(
        waited_seconds=0.1, foreign_cores=1.2, throttled_seconds=None, clock_gap_seconds=0.0
    )
    one, other = (
        measurement("a", seconds=s, cpu_seconds=s, threads=1, surroundings=around)
        for s in (1.0, 2.0)
    )
    found = together([one, other])
    assert (found.window_seconds, found.cpu_seconds, found.threads) == (2.0, 3.0, 2)
    assert found.peak_memory_bytes == 2 * (one.peak_memory_bytes or 0)
    assert found.items == one.items
    assert found.surroundings is not None
    assert found.surroundings.foreign_cores == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("given", "shard", "mode", "texts"),
    [
        ({}, False, "test", ["data-parallel:processes=2"]),
        ({"test": ["ema"]}, False, "test", ["ema", "data-parallel:processes=2"]),
        ({"combine": ["ema"]}, True, "combine", ["ema", "data-parallel:processes=2,shard=true"]),
    ],
)
def test_processes_are_asked_for_as_one_arm(
    given: dict[str, Any], shard: bool, mode: str, texts: list[str]
) -> None:
    assert with_processes({**ASKED, **given}, 2, shard)[mode] == texts


def test_what_can_not_be_a_group_says_so() -> None:
    with pytest.raises(BenchError, match="not with --full-optimization"):
        with_processes({**ASKED, "full-optimization": True}, 2, False)
    with pytest.raises(BenchError, match="give both"):
        with_processes(ASKED, None, True)
