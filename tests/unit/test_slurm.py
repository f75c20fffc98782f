"""Jobs of Slurm are taken up where this user has submitted them; no others are ever read."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.launch.slurm import FOLDER, SUBMITTED, SlurmNodes
from tests.unit.test_nodes import asked

NAME = "pair-0.0"


class Executor:
    """Submits as submitit does: a file beside which the answer will lie."""

    submitted: list[Path]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job_class = SimpleNamespace

    def name(self) -> str:
        return "local"

    def update_parameters(self, **changes: object) -> None: ...

    def submit(self, function: object, text: str) -> SimpleNamespace:
        self.submitted.append(self.folder)
        (self.folder / f"7{SUBMITTED}").touch()
        return SimpleNamespace(folder=self.folder, job_id="7")


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the folders that jobs are submitted in, of a user with an empty cache."""
    errors = SimpleNamespace(utils=SimpleNamespace(UncompletedJobError=RuntimeError))
    modules: Any = sys.modules
    monkeypatch.setitem(modules, "submitit", SimpleNamespace(core=errors))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Executor, "submitted", [], raising=False)
    return Executor.submitted


def begun(run: Path) -> Any:
    """Let a run start a task as a new process would; return its job."""
    nodes = SlurmNodes(1, Executor)
    nodes.keep_in(run)
    assert nodes.start(NAME, asked(run.parent), frozenset())
    return nodes._jobs[NAME]


def test_a_run_that_goes_on_takes_its_jobs_up(submitted: list[Path], tmp_path: Path) -> None:
    first, again = begun(tmp_path / "run"), begun(tmp_path / "run")
    assert (again.folder, again.job_id) == (first.folder, "7")
    assert submitted == [first.folder]


def test_a_job_that_somebody_else_has_submitted_is_left_and_submitted_anew(
    submitted: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = begun(tmp_path / "run").folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of another user"))
    own = begun(tmp_path / "run").folder
    assert own == theirs.with_name(f"{theirs.name}-2")
    assert begun(tmp_path / "run").folder == own
    assert submitted == [theirs, own]


def test_a_job_of_a_copied_run_is_left(submitted: list[Path], tmp_path: Path) -> None:
    theirs = begun(tmp_path / "run").folder
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    own = begun(tmp_path / "copy").folder
    assert own.parent == tmp_path / "copy" / FOLDER
    assert own.name == f"{theirs.name}-2"


def test_without_a_cache_a_job_is_submitted_anew(
    submitted: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert begun(tmp_path / "run").folder != begun(tmp_path / "run").folder
