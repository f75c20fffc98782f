"""Trials are islands: nothing of one outlives it or reaches the run; it starts what a script can.

Real trials in real processes, of one fork server.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from pathlib import Path

import psutil
import pytest

from bench.launch.local import Runner
from bench.launch.temporary import MARK, Owner, mark_own_folder
from bench.machine.processes import is_stopped
from bench.recipes.source import hashed
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe, Use
from bench.trial.outcome import path_of
from bench.trial.spec import TrialSpec

HERE = Path(__file__).parent
TINY = HERE.parent / "cli" / "tiny_model.py"
HOSTILE = HERE / "hostile.py"
LOADERS = HERE / "loader_models.py"


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner((), 60) as made:
        yield made


def trial(runner: Runner, folder: Path, technique: str = "", of: str = "") -> Measurement:
    """Run a technique of `hostile.py` on a tiny model, or one of `loader_models.py` alone."""
    file, name = (LOADERS, of.partition(" ")[0]) if of else (TINY, "Tiny")
    words = of.partition(" ")[2]
    places = {path.name: str(path) for path in ((file, HOSTILE) if technique else (file,))}
    recipe = Recipe(
        baseline=f"{file.name}:{name}",
        settings={"loader": words} if words else {},
        techniques=(Use(name=f"{HOSTILE.name}:{technique}"),) if technique else (),
        files={name: source.sha256 for name, source in hashed(places).items()},
    )
    spec = TrialSpec(
        arm=technique or "baseline", pair=3, seed=0, kind="full", recipe=recipe, device="cpu",
        metric="accuracy", threads=1, scratch=str(folder),
        places=places,
    )  # fmt: skip
    return runner.run(spec).measurement


def running(*words: str) -> list[psutil.Process]:
    found = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == [*words]]
    return [p for p in found if p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("technique", "seconds"),
    [("LeavesChild", "981"), ("LeavesSession", "982"), ("LeavesGrandchild", "983")],
)
def test_what_a_trial_leaves_running_is_ended_and_told(
    runner: Runner, tmp_path: Path, technique: str, seconds: str
) -> None:
    found = trial(runner, tmp_path, technique)
    assert found.status is Status.OK, found.reason
    assert found.left_processes == (f"sleep {seconds}",)
    assert running("sleep", seconds) == []


@pytest.mark.parametrize("technique", ["Forks", "Garbage", "Moves", "TurnsCalendar"])
def test_what_a_trial_does_to_its_own_process_changes_no_result(
    runner: Runner, tmp_path: Path, technique: str
) -> None:
    found = trial(runner, tmp_path, technique)
    assert found.status is Status.OK, found.reason
    assert found.epochs == 4
    assert found.wall_seconds is not None
    assert found.train_seconds is not None
    assert 0 < found.train_seconds < found.wall_seconds
    assert trial(runner, tmp_path).ok  # and the next one finds all as it was


@pytest.mark.parametrize(
    ("technique", "reason"),
    [
        ("Exits", "SystemExit: bye (hostile.py, line "),
        ("ExitsAtOnce", "the trial's process ended with code 0, left by its own code (os._exit, "),
        ("TurnsClock", "time.perf_counter says that "),
        ("Odd", "ValueError: bad \\udcff \\x1b[31m name (hostile.py, line "),
    ],
)
def test_a_trial_that_gives_nothing_is_lost_with_a_reason(
    runner: Runner, tmp_path: Path, technique: str, reason: str
) -> None:
    found = trial(runner, tmp_path, technique)
    assert found.status is Status.FAILED
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert trial(runner, tmp_path).ok


def test_a_trial_that_closes_everything_ends_and_the_next_one_runs(
    runner: Runner, tmp_path: Path
) -> None:
    assert trial(runner, tmp_path, "Closes").status in (Status.OK, Status.FAILED)
    assert trial(runner, tmp_path).ok


@pytest.mark.parametrize("content", [b"\xff" * 100, b"{}", b"", b'{"measurement": 1}'])
def test_a_result_that_can_not_be_read_is_a_lost_trial(
    runner: Runner, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Runner._watch

    def spoil(self: Runner, process: BaseProcess, asked: TrialSpec) -> object:
        seen = real(self, process, asked)
        path_of(asked).write_bytes(content)
        return seen

    monkeypatch.setattr(Runner, "_watch", spoil)
    found = trial(runner, tmp_path)
    assert found.status is Status.FAILED
    assert "the trial's result can't be read" in str(found.reason)


@pytest.mark.parametrize("of", ["Workers", "Collated", "Fixed 2", "Method"])
def test_a_data_loader_with_workers_starts_as_in_a_plain_script(
    runner: Runner, tmp_path: Path, of: str
) -> None:
    found = trial(runner, tmp_path, of=of)
    assert found.status is Status.OK, found.reason
    assert found.items_seen == 96
    assert found.left_processes == ()


def test_the_start_method_of_the_run_itself_stays() -> None:
    assert multiprocessing.get_start_method() == multiprocessing.get_all_start_methods()[0]


def test_a_stopped_process_is_told_from_a_sleeping_one() -> None:
    with psutil.Popen(["sleep", "60"]) as child:
        assert not is_stopped(child.pid)
        child.suspend()
        while child.status() != psutil.STATUS_STOPPED:
            pass
        assert is_stopped(child.pid)
        child.kill()
    assert not is_stopped(child.pid)


def test_a_folder_of_sockets_that_a_killed_run_left_is_removed(runner: Runner) -> None:
    own = Path(get_temp_dir())
    assert (own / MARK).exists()
    killed = Owner.here()._replace(pid=999999999).text
    left, other, foreign = (own.parent / f"pymp-{name}-{os.getpid()}" for name in "abc")
    for folder, mark in ((left, killed), (other, (own / MARK).read_text()), (foreign, "")):
        folder.mkdir()
        (folder / (MARK if mark else "listener")).write_text(mark)
    mark_own_folder()
    assert [folder.exists() for folder in (left, other, foreign, own)] == [False, True, True, True]
    for folder in (other, foreign):
        shutil.rmtree(folder)
