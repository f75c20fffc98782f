"""What a run does when things break: nothing that finished is lost, and nothing hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.processes import (
    FAULTS,
    TINY,
    Bench,
    has_records,
    only_run,
    records,
    start,
    wait_for,
    worker_of,
)

HARMLESS = ("--baseline", TINY, "--test", f"{FAULTS}:Harmless", "--repeats", "2")
TRIALS = 2 * 3
"""Two rounds of the technique and the control, which share a trial of the baseline."""


def keys(run: Path) -> list[tuple[int, str]]:
    return [(record["pair"], record["arm"]) for record in records(run)]


def test_a_killed_run_is_resumed_without_losing_or_repeating_a_trial(
    tmp_path: Path, called: Bench
) -> None:
    process = start(*HARMLESS, "--set", "pause=0.02", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 2))
    wait_for(lambda: worker_of(process) is not None)
    worker = worker_of(process)
    process.kill()
    process.communicate()
    assert worker is not None
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 10)
    run = only_run(tmp_path)
    before = (run / "trials.jsonl").read_bytes()

    done = called("--resume", str(run))

    assert done.returncode == 0, done.stderr
    assert (run / "trials.jsonl").read_bytes().startswith(before)
    assert len(keys(run)) == len(set(keys(run))) == TRIALS
    assert all(record["status"] == "ok" for record in records(run))
    assert "interrupted" not in (run / "report.md").read_text()
    for format in ("md", "html"):
        text = (run / f"report.{format}").read_text()
        assert called("report", str(run), "--format", format).stdout == text


def test_a_finished_run_resumed_runs_nothing_again(own_finished: Path, called: Bench) -> None:
    run = own_finished
    before = (run / "trials.jsonl").read_bytes()
    assert called("--resume", str(run)).returncode == 0
    assert (run / "trials.jsonl").read_bytes() == before


def test_a_run_whose_model_was_changed_meanwhile_is_not_gone_on_with(
    tmp_path: Path, called: Bench
) -> None:
    model = tmp_path / "mine.py"
    model.write_text(Path(TINY.rpartition(":")[0]).read_text())
    assert called("--baseline", "mine.py:Tiny", "--baseline-only", "--repeats", "1").returncode == 0
    model.write_text(model.read_text() + "# changed\n")
    done = called("--resume", str(only_run(tmp_path)))
    assert done.returncode == 2
    assert "has changed since: start a new run" in done.stderr


def test_a_killed_worker_is_recorded_as_failed_and_the_run_goes_on(tmp_path: Path) -> None:
    process = start(*HARMLESS, "--set", "pause=0.02", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 1))
    wait_for(lambda: worker_of(process) is not None)
    worker = worker_of(process)
    assert worker is not None
    worker.kill()
    _, errors = process.communicate(timeout=120)
    statuses = [record["status"] for record in records(only_run(tmp_path))]
    assert process.returncode == 0, errors
    assert len(statuses) == TRIALS
    assert statuses.count("failed") == 1
    lost = next(r for r in records(only_run(tmp_path)) if r["status"] == "failed")
    assert lost["reason"] == "the trial's process was killed by SIGKILL"
    assert "killed by SIGKILL" in (only_run(tmp_path) / "report.md").read_text()


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("Nan", "diverged", "the loss was nan at step 1 (epoch 1)"),
        ("Huge", "out_of_memory", "can't allocate memory"),
        ("Broken", "failed", "ValueError: this technique is broken (faults.py, line"),
    ],
)
def test_a_technique_that_breaks_training_is_named_and_the_run_is_incomplete(
    tmp_path: Path, called: Bench, fault: str, status: str, reason: str
) -> None:
    done = called("--baseline", TINY, "--test", f"{FAULTS}:{fault}", "--repeats", "1")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    own = [r for r in records(only_run(tmp_path)) if r["arm"] == fault.lower()]
    assert [record["status"] for record in own] == [status]
    assert reason in own[0]["reason"]
    others = [r for r in records(only_run(tmp_path)) if r["arm"] != fault.lower()]
    assert {record["status"] for record in others} == {"ok"}


def test_a_trial_that_hangs_is_ended_at_its_limit(tmp_path: Path, called: Bench) -> None:
    test = ("--test", f"{FAULTS}:Hang", "--repeats", "1", "--trial-timeout", "4s")
    done = called("--baseline", TINY, *test)
    assert done.returncode == 3, done.stderr
    own = [r for r in records(only_run(tmp_path)) if r["arm"] == "hang"]
    assert own[0]["status"] == "timed_out"
    assert own[0]["reason"] == "no result after 4 s (--trial-timeout); it was killed"


def test_an_interrupt_keeps_what_finished_and_says_how_to_go_on(
    tmp_path: Path, called: Bench
) -> None:
    process = start(*HARMLESS, "--set", "pause=0.02", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 2))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    run = only_run(tmp_path)
    assert process.returncode == 3
    assert f"bench --resume {run.relative_to(tmp_path)}" in errors
    assert "Traceback" not in errors
    assert (run / "report.md").exists()
    finished = len(records(run))
    assert 2 <= finished < TRIALS
    assert called("--resume", str(run)).returncode == 0
    assert len(set(keys(run))) == len(records(run)) == TRIALS


def test_an_interrupted_verification_goes_on_to_its_answer(tmp_path: Path, called: Bench) -> None:
    combine = ("--combine", f"{FAULTS}:Harmless", "--repeats", "1")
    done = called("--baseline", TINY, *combine, "--set", "pause=0.02", "--output", "claimed")
    assert done.returncode == 0, done.stderr
    (claimed,) = (tmp_path / "claimed").iterdir()
    process = start("verify", str(claimed / "optimized.json"), "--repeats", "3", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 1))
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=120)
    run = only_run(tmp_path)
    assert process.returncode == 3, said + errors
    assert f"bench --resume {run.relative_to(tmp_path)}" in errors
    assert said.startswith("The claim is not judged yet.\n")
    assert "**The claim is not judged yet.**" in (run / "report.md").read_text()
    rest = called("--resume", str(run), "--json")
    assert rest.returncode == 0, rest.stderr
    assert json.loads(rest.stdout)["claim"]["holds"] is True


def test_a_run_that_goes_on_can_be_watched(tmp_path: Path, called: Bench) -> None:
    process = start(*HARMLESS, "--set", "pause=0.08", "--tensorboard", cwd=tmp_path)
    wait_for(lambda: any((tmp_path / "results").glob("*/report.html")))
    run = only_run(tmp_path)
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert "This run is not finished" in (run / "report.md").read_text()
    assert "training loss" in (run / "report.html").read_text()
    seen = {path: path.read_bytes() for path in (run / "tensorboard").rglob("events.*")}
    assert seen
    assert called("--resume", str(run), "--tensorboard").returncode == 0
    assert {path: path.read_bytes() for path in seen} == seen
    assert len([*(run / "tensorboard").rglob("events.*")]) == len(records(run))
    assert "not finished" not in (run / "report.md").read_text()


def test_a_torn_last_line_is_dropped_and_its_trial_run_again(
    own_finished: Path, called: Bench
) -> None:
    run = own_finished
    whole, trials = (run / "trials.jsonl").read_bytes(), len(records(run))
    (run / "trials.jsonl").write_bytes(whole[:-100])
    assert called("show", str(run)).returncode == 0
    done = called("--resume", str(run))
    assert done.returncode == 0
    assert "trials.jsonl: dropped a torn last line; its trial will be run again" in done.stderr
    assert len(set(keys(run))) == len(records(run)) == trials


def test_a_run_in_progress_can_not_be_resumed_by_another(tmp_path: Path, called: Bench) -> None:
    process = start(*HARMLESS, "--set", "pause=0.02", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 1))
    run = only_run(tmp_path)
    done = called("--resume", str(run))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert done.returncode == 2
    assert f"{run} is in use by process {process.pid}" in done.stderr


def test_two_runs_at_once_in_one_folder_don_t_mix(tmp_path: Path) -> None:
    quick = ("--baseline", TINY, "--baseline-only", "--repeats", "1")
    both = [start(*quick, cwd=tmp_path) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    runs = list((tmp_path / "results").iterdir())
    assert len(runs) == 2
    assert all(len(records(run)) == 2 for run in runs)


def test_a_results_folder_that_is_no_folder_is_refused_before_the_first_trial(
    tmp_path: Path, called: Bench
) -> None:
    (tmp_path / "results").write_text("a file")
    done = called("--baseline", TINY, "--baseline-only")
    assert done.returncode == 2
    assert done.stderr.startswith("bench: can't write results to results:")
    assert "--output" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [("size=8m", "are free in"), ("size=64m,ro", "Read-only file system")],
)
def test_a_full_or_read_only_disk_is_refused_before_the_first_trial(
    tmp_path: Path, called: Bench, options: str, message: str
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs to be root")
    try:
        done = called("--baseline", TINY, "--baseline-only", "--output", str(place))
        left = list(place.iterdir())
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert left == []


@pytest.mark.slow
def test_a_stopped_worker_is_a_disturbed_trial_that_is_kept_and_run_again(tmp_path: Path) -> None:
    process = start(*HARMLESS, "--set", "pause=0.02", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 1))
    wait_for(lambda: worker_of(process) is not None)
    worker = worker_of(process)
    assert worker is not None
    worker.suspend()
    time.sleep(2)
    worker.resume()
    _, errors = process.communicate(timeout=120)
    run = only_run(tmp_path)
    assert process.returncode == 0, errors
    (kept,) = (r for r in records(run) if r["status"] == "failed")
    assert kept["reason"].startswith("disturbed, and run again: its process stood still for ")
    assert len([r for r in records(run) if r["status"] == "ok"]) == TRIALS
    again = next(r for r in records(run) if r["attempt"] == 1)
    assert (again["arm"], again["pair"], again["status"]) == (kept["arm"], kept["pair"], "ok")
    assert f"{kept['arm']}, pair {kept['pair']}, was run again" in (run / "report.md").read_text()
    assert "it is run again" in errors


@pytest.mark.slow
def test_a_killed_run_takes_along_what_its_trial_started(tmp_path: Path) -> None:
    test = ("--baseline", TINY, "--test", f"{FAULTS}:Lingers", "--repeats", "1")
    process = start(*test, "--set", "pause=0.2", cwd=tmp_path)
    wait_for(lambda: bool(lingering()))
    process.kill()
    process.communicate()
    wait_for(lambda: not lingering())


def lingering() -> list[int]:
    found = psutil.process_iter(["cmdline", "status"])
    return [p.pid for p in found if p.info["cmdline"] == ["sleep", "3599"]
            and p.info["status"] != psutil.STATUS_ZOMBIE]  # fmt: skip
