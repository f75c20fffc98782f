"""What a run does when things break: nothing that finished is lost, and nothing hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.launch.local import Runner
from bench.trial.spec import TrialSpec
from tests.cli.calls import call, interrupted_after
from tests.cli.processes import (
    FAULTS,
    TINY,
    Bench,
    Done,
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


def test_a_run_in_progress_is_nobody_else_s_and_one_that_was_killed_leaves_nothing_and_goes_on(
    tmp_path: Path, called: Bench
) -> None:
    test = ("--baseline", TINY, "--test", f"{FAULTS}:Lingers", "--repeats", "2")
    process = start(*test, "--epochs", "2", "--set", "pause=0.04", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 2) and lingering(tmp_path) and worker_of(process))
    worker, run = worker_of(process), only_run(tmp_path)
    refused = called("--resume", str(run))
    process.kill()
    process.communicate()
    assert refused.returncode == 2
    assert f"{run} is in use by process {process.pid}" in refused.stderr
    assert worker is not None
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 10)
    wait_for(lambda: not lingering(tmp_path), 10)
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


def lingering(folder: Path) -> list[int]:
    """Return what trials of a run in a folder have started, and still runs."""
    known = {"cmdline": ["sleep", "3599"], "cwd": str(folder)}
    found = psutil.process_iter([*known, "status"])
    alive = (p for p in found if p.info["status"] != psutil.STATUS_ZOMBIE)
    return [p.pid for p in alive if known.items() <= p.info.items()]


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


def test_a_killed_worker_is_recorded_as_failed_and_the_run_goes_on(
    tmp_path: Path, called: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    befalls_second_trial(lambda process: os.kill(process.pid, signal.SIGKILL), monkeypatch)
    done = called(*HARMLESS)
    statuses = [record["status"] for record in records(only_run(tmp_path))]
    assert done.returncode == 0, done.stderr
    assert len(statuses) == TRIALS
    assert statuses.count("failed") == 1
    lost = next(r for r in records(only_run(tmp_path)) if r["status"] == "failed")
    assert lost["reason"] == "the trial's process was killed by SIGKILL"
    assert "killed by SIGKILL" in (only_run(tmp_path) / "report.md").read_text()


def befalls_second_trial(
    what: Callable[[psutil.Process], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let something happen to the process of a run's second trial, as soon as it is there."""
    watch, watched = Runner._watch, list[str]()

    def befall(runner: Runner, process: BaseProcess, trial: TrialSpec) -> object:
        watched.append(trial.kind)
        if len(watched) - watched.count("build") == 2 and trial.kind != "build":
            what(psutil.Process(process.pid))
        return watch(runner, process, trial)

    monkeypatch.setattr(Runner, "_watch", befall)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, list[dict[str, Any]]]:
    """Return what a run of techniques that break training printed, and its records."""
    folder = tmp_path_factory.mktemp("broken")
    tested = [f"{FAULTS}:{fault}" for fault in ("Nan", "Huge", "Broken")]
    done = call("--baseline", TINY, "--test", *tested, "--repeats", "1", cwd=folder)
    return done, records(only_run(folder))


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("nan", "diverged", "the loss was nan at step 1 (epoch 1)"),
        ("huge", "out_of_memory", "can't allocate memory"),
        ("broken", "failed", "ValueError: this technique is broken (faults.py, line"),
    ],
)
def test_a_technique_that_breaks_training_is_named(
    broken: tuple[Done, list[dict[str, Any]]], fault: str, status: str, reason: str
) -> None:
    own = [record for record in broken[1] if record["arm"] == fault]
    assert [record["status"] for record in own] == [status]
    assert reason in own[0]["reason"]


def test_techniques_that_break_training_leave_the_others_whole_and_the_run_incomplete(
    broken: tuple[Done, list[dict[str, Any]]],
) -> None:
    done, found = broken
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    others = [record for record in found if record["arm"] in ("baseline", "baseline#2")]
    assert {record["arm"] for record in others} == {"baseline", "baseline#2"}
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
    process = start(*HARMLESS, "--epochs", "2", "--set", "pause=0.03", cwd=tmp_path)
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
    done = called("--baseline", TINY, *combine, "--set", "pause=0.01", "--output", "claimed")
    assert done.returncode == 0, done.stderr
    (claimed,) = (tmp_path / "claimed").iterdir()
    with interrupted_after(1):
        done = called("verify", str(claimed / "optimized.json"), "--repeats", "3")
    run = only_run(tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"bench --resume {run.relative_to(tmp_path)}" in done.stderr
    assert done.stdout.startswith("The claim is not judged yet.\n")
    assert "**The claim is not judged yet.**" in (run / "report.md").read_text()
    rest = called("--resume", str(run), "--json")
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert json.loads(rest.stdout)["claim"]["holds"] is True


def test_a_run_that_goes_on_can_be_watched(
    tmp_path: Path, called: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cli.run.PAUSE", 0.0)
    seen: dict[Path, bytes] = {}

    def look() -> None:
        run = only_run(tmp_path)
        reports = [run / f"report.{format}" for format in ("md", "html")]
        events = [*(run / "tensorboard").rglob("events.*")]
        seen.update({path: path.read_bytes() for path in (*reports, *events)})

    with interrupted_after(2, look):
        assert called(*HARMLESS, "--tensorboard").returncode == 3
    run = only_run(tmp_path)
    assert b"This run is not finished" in seen.pop(run / "report.md")
    assert b"training loss" in seen.pop(run / "report.html")
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


def test_two_runs_at_once_in_one_folder_don_t_mix(tmp_path: Path, called: Bench) -> None:
    quick = ("--baseline", TINY, "--baseline-only", "--repeats", "1")
    process = start(*quick, cwd=tmp_path)
    done = called(*quick)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, done.returncode) == (0, 0), errors + done.stderr
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
def test_a_stopped_worker_is_a_disturbed_trial_that_is_kept_and_run_again(
    tmp_path: Path, called: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(worker: psutil.Process) -> None:
        worker.suspend()
        threading.Timer(2, worker.resume).start()

    befalls_second_trial(stop, monkeypatch)
    done = called(*HARMLESS)
    run = only_run(tmp_path)
    assert done.returncode == 0, done.stderr
    (kept,) = (r for r in records(run) if r["status"] == "failed")
    assert kept["reason"].startswith("disturbed, and run again: its process stood still for ")
    assert len([r for r in records(run) if r["status"] == "ok"]) == TRIALS
    again = next(r for r in records(run) if r["attempt"] == 1)
    assert (again["arm"], again["pair"], again["status"]) == (kept["arm"], kept["pair"], "ok")
    assert f"{kept['arm']}, pair {kept['pair']}, was run again" in (run / "report.md").read_text()
    assert "it is run again" in done.stderr
