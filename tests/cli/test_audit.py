"""`bench audit FILE.yaml`: an own model's claims, planted true and false, and interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.records.audit_run import AuditRun, write_audit
from bench.records.run_folder import locked
from bench.run.session import Session
from tests.cli.calls import interrupted_after
from tests.cli.processes import HERE, Bench
from tests.records import STARTED

FILE = f"""
name: mine
title: My claims
source: A page of mine.
baseline: "{HERE / "slow_parts.py"}:Sleepy"
runs:
  pause:
    before: {{pause: 0.03, rest: 0.0, epochs: 1}}
    repeats: 3
    arms:
      rested: {{techniques: ["{HERE / "slow_parts.py"}:NoPause"]}}
claims:
  - {{id: true-one, says: 354 parameters., quantity: parameters, form: value,
     claimed: 354, measured: {{run: pause, arm: baseline}}}}
  - {{id: false-one, says: A hundred parameters fewer., quantity: parameters, form: change,
     claimed: -100, better: lower, measured: {{run: pause, arm: rested}}}}
  - {{id: faster, says: At least half as fast again., quantity: time, form: ratio,
     claimed: [1.5, null], measured: {{run: pause, arm: rested}}}}
  - {{id: sessions, says: 3 % less., form: less, claimed: 0.03,
     given: {{table: given.csv, before: old, after: new}}}}
"""


def test_an_audit_that_was_interrupted_goes_on_and_makes_no_trial_twice(
    called: Bench, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(FILE)
    (tmp_path / "given.csv").write_text("arm,session,value\nold,mon,100\nnew,tue,97\n")
    with interrupted_after(4):
        done = called("audit", "mine.yaml", "--threads", "1")
    assert done.returncode == 3, done.stderr
    (folder,) = (tmp_path / "results").iterdir()
    assert f"interrupted; what finished is kept: bench audit --resume results/{folder.name}" in (
        done.stderr
    )
    done = called("audit", "--resume", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["claim"]: row for row in json.loads(done.stdout)["audits"]["mine"]}
    assert rows["true-one"]["verdict"] == "confirmed"
    assert rows["false-one"]["verdict"] == "refuted"
    assert rows["sessions"]["verdict"] == "can't be told"
    assert (rows["faster"]["pairs"], rows["faster"]["work"]) == (3, "same work")
    assert rows["faster"]["found"][1] > 1
    (journal,) = folder.glob("mine/*/trials.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len({(line["arm"], line["pair"]) for line in lines}) == len(lines) == 3 * 3
    report = (folder / "report.md").read_text()
    assert "# Published claims, measured: 4 claims: " in report
    assert (folder / "report.html").read_text().count("<tr>") == 5
    known = {line.split()[0]: line.split()[1:-2] for line in called("audit").stdout.splitlines()}
    assert known["mine"][0] == "4"
    assert sum(map(int, known["mine"][1:])) == 4
    assert known["timehut"] == ["–"] * 7


def test_a_run_whose_report_finds_no_room_is_not_written_off_and_is_gone_on_with(
    called: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(session: Session, tensorboard: bool) -> None:
        raise BenchError("can't write the report: No space left on device")

    (tmp_path / "mine.yaml").write_text(FILE)
    (tmp_path / "given.csv").write_text("arm,session,value\nold,mon,100\nnew,tue,97\n")
    with monkeypatch.context() as patch:
        patch.setattr("bench.cli.run.conclude", full)
        done = called("audit", "mine.yaml", "--threads", "1")
    assert done.returncode == 2
    assert "No space left on device" in done.stderr.splitlines()[-1]
    (folder,) = (tmp_path / "results").iterdir()
    assert json.loads((folder / "audit.json").read_text())["refused"] == {}
    done = called("audit", "--resume", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [r for r in json.loads(done.stdout)["audits"]["mine"] if r["claim"] == "true-one"]
    assert row["verdict"] == "confirmed"


def test_an_audit_is_gone_on_with_by_one_process_at_a_time(called: Bench, tmp_path: Path) -> None:
    record = AuditRun(run="one", started=STARTED, audits=(), places={})
    write_audit(tmp_path, record)
    with locked(tmp_path):
        done = called("audit", "--resume", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path} is in use by process {os.getpid()}" in done.stderr


def test_a_mistake_in_an_audit_is_one_line(called: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FILE.replace("epochs: 1", "epoch: 1"))
    (tmp_path / "given.csv").write_text("arm,value\nold,1\nnew,1\n")
    done = called("audit", "mine.yaml")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "bench: audit mine, run pause: baseline sleepy has no setting "
        '"epoch"; did you mean "epochs"?'
    )
    assert not (tmp_path / "results").exists()


def test_an_audit_that_measured_nothing_for_want_of_data_is_not_done(
    called: Bench, tmp_path: Path
) -> None:
    done = called("audit", "murmur", "--data-dir", str(tmp_path))
    assert done.returncode == 3
    assert f"murmur/accuracy can't be measured here: no patients (ID.txt) in {tmp_path}" in (
        done.stderr
    )
    assert "12 claims: 12 not testable here" in done.stdout
