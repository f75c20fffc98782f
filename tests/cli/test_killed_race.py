"""A full optimisation that is killed in mid-race and taken up again gives the same answer."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import reports
from tests.cli.processes import HERE, environment, only_run, records, run

CODE = """
import sys
from bench.cli.run import execute
from bench.records.header import Arm
from bench.run.request import Request
file = sys.argv[1]
arms = tuple(Arm(techniques=(f"{file}:{name}",)) for name in ("NoPause", "NoRest"))
execute(Request(mode="full-optimization", baseline=f"{file}:Sleepy", arms=arms, threads=1), True)
"""
BEFORE_THE_KILL = 12
"""Trials: the screening is over by then."""


@pytest.mark.slow
def test_a_killed_race_goes_on_to_the_same_answer_and_makes_no_trial_twice(tmp_path: Path) -> None:
    root = str(HERE.parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(HERE / "slow_parts.py")],
        cwd=tmp_path, env=environment(PYTHONPATH=root), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    trials = 0
    while process.poll() is None and trials < BEFORE_THE_KILL:
        time.sleep(0.2)
        found = list(tmp_path.glob("results/*/trials.jsonl"))
        trials = len(found[0].read_text().splitlines()) if found else 0
    assert process.poll() is None
    process.kill()
    process.wait()
    folder = only_run(tmp_path)
    before = records(folder)
    done = run("--resume", str(folder), cwd=tmp_path, timeout=600, PYTHONPATH=root)
    assert done.returncode == 0, done.stderr
    after = records(folder)
    assert after[: len(before)] == before
    keys = [(line["pair"], line["arm"]) for line in after if line["disturbed"] is None]
    assert len(keys) == len(set(keys))
    whole = reports.read(folder)
    assert whole.winner is not None
    assert set(whole.winner.arm.split("+")) == {"no-pause", "no-rest"}
    assert whole.winner.confirmed
    attribution = whole.comparison.attribution
    assert attribution is not None
    assert attribution.arm == whole.winner.arm
    assert all(one.ratio.middle > 1.2 for one in attribution.contributions)
    assert {line["stage"] for line in after} >= {"test", "combine", "confirm"}
