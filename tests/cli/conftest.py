"""The command line, as a process of its own or called in this one, and runs to be read."""

from __future__ import annotations

import fcntl
import functools
import shutil
from pathlib import Path

import pytest

from bench.launch.local import Runner
from bench.recipes import registry
from tests.cli.calls import call, called_once
from tests.cli.processes import FAULTS, TINY, Bench, only_run, run

FINISHED = ("--baseline", TINY, "--test", f"{FAULTS}:Harmless", "mixed-precision", "--repeats", "2")


@pytest.fixture(scope="session", autouse=True)
def _one_server() -> None:
    """Let the fork server of this process import once what trials of any baseline use."""
    names = registry.names(registry.BASELINES)
    preload = (getattr(registry.load_baseline(name), "preload", ()) for name in names)
    with Runner([module for modules in preload for module in modules], 60):
        pass  # it runs as long as this process


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a function that runs `bench ARGS` in an empty folder and waits for it."""
    return functools.partial(run, cwd=tmp_path)


@pytest.fixture
def called(tmp_path: Path) -> Bench:
    """Return a function that calls `bench ARGS` in an empty folder, in this process."""
    return functools.partial(call, cwd=tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of a finished run of two techniques, made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished"
    with (folder.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return only_run(folder)
        folder.mkdir()
        return called_once(folder, *FINISHED)


@pytest.fixture
def own_finished(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of that run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "results" / finished.name))
