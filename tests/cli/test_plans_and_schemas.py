"""A run is planned before it is made, and what it writes fits the published schemas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import reports
from tests.cli.processes import FAULTS, TINY, Bench, only_run, records

pytest.importorskip("jsonschema")

from tests.unit.test_schemas import fits


def test_what_a_run_writes_fits_its_schemas(finished: Path) -> None:
    fits("run", json.loads((finished / "run.json").read_text()))
    for record in records(finished):
        fits("trials", record)
    fits("report", json.loads(reports.render("json", reports.read(finished))))


def test_a_dry_run_prints_the_plan_and_keeps_nothing(called: Bench, tmp_path: Path) -> None:
    done = called("--baseline", TINY, "--test", f"{FAULTS}:Harmless", "--repeats", "3", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 arm would be measured\n")
    assert "3 pairs each: 9 trials, about " in done.stdout
    assert "report so far" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_where_nothing_applies_nothing_is_measured_and_every_arm_has_its_answer(
    called: Bench, tmp_path: Path
) -> None:
    asked = ("--baseline", TINY, "--test", "cutmix")
    plan = called(*asked, "--dry-run")
    assert plan.stdout == "nothing would be measured: cutmix would not apply\n", plan.stderr
    done = called(*asked)
    assert done.returncode == 0, done.stderr
    assert "nothing that was asked for applies here: nothing is measured" in done.stderr
    assert "tiny was not trained" in done.stdout
    (line,) = records(only_run(tmp_path))
    assert (line["arm"], line["status"], line["pair"]) == ("cutmix", "not_applicable", -1)
