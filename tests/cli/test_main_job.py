"""The main job on real data: what the project is for, end to end."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import pytest

from tests.cli.processes import Bench, only_run, records

pytestmark = pytest.mark.slow


def test_the_baseline_reaches_its_published_accuracy_on_chinatown(
    bench: Bench, tmp_path: Path, ucr: Path
) -> None:
    data = ("--dataset", "Chinatown", "--data-dir", str(ucr))
    asked = ("--epochs", "50", "--repeats", "3", "--threads", "1")
    done = bench("--baseline-only", *data, *asked)
    assert done.returncode == 0, done.stderr
    lines = records(only_run(tmp_path))
    by_seed = {line["seed"]: line["metric"] for line in lines}
    assert sorted(by_seed) == [0, 1, 2]
    assert mean(by_seed.values()) >= 0.9796
    for word in ("accuracy", "step", "memory", "baseline against itself"):
        assert word in done.stdout
    assert "FLOPs" in (only_run(tmp_path) / "report.md").read_text()


def test_with_nothing_asked_for_a_data_set_is_found_and_named(
    called: Bench, tmp_path: Path
) -> None:
    done = called("--baseline-only", "--epochs", "2", "--repeats", "2")
    assert done.returncode == 0, done.stderr
    header = json.loads((only_run(tmp_path) / "run.json").read_text())
    name = header["settings"]["dataset"]
    assert name in ("Chinatown", "UnitTest")  # the first with a network, the other without
    if name == "UnitTest":
        assert "UnitTest" in done.stderr
        assert any("UnitTest" in notice for notice in header["notices"])


def test_techniques_get_a_verdict_each_and_the_run_verifies(
    called: Bench, tmp_path: Path, ucr: Path
) -> None:
    data = ("--dataset", "Chinatown", "--data-dir", str(ucr), "--epochs", "8", "--threads", "1")
    done = called("--combine", "gradient-accumulation", "mixed-precision", *data, "--repeats", "3")
    assert done.returncode == 0, done.stderr
    found = json.loads(called("show", str(only_run(tmp_path)), "--json").stdout)
    assert set(found["arms"]) == {"gradient-accumulation+mixed-precision"}
    assert found["smallest_visible_effect"] > 0
    again = called("verify", str(only_run(tmp_path) / "optimized.json"), "--repeats", "3")
    # Networks equally fast differ in time by chance on a busy machine; in nothing else.
    contradicted = again.stdout.startswith("The claim does not hold: claimed a time ratio")
    hidden = again.stdout.startswith("The claim is not decided in 3 pairs: time ratio")
    holds = again.stdout.startswith("The claim holds: ")
    assert contradicted or hidden or holds, again.stdout + again.stderr
    assert again.stdout.splitlines()[-1].startswith("report: ")
    assert again.returncode == (1 if contradicted else 3 if hidden else 0)
