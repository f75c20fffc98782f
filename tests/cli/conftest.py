"""The command line, as a process of its own or called in this one, and runs to be read."""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import main
from tests.cli.processes import FAULTS, TINY, Bench, Done, made, only_run, run

FINISHED = ("--baseline", TINY, "--test", f"{FAULTS}:Harmless", "mixed-precision", "--repeats", "2")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a function that runs `bench ARGS` in an empty folder and waits for it."""
    return functools.partial(run, cwd=tmp_path)


@pytest.fixture
def called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    """Return a function that calls `bench ARGS` in this process: for what starts no other."""

    def call(*args: str, **changes: str) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["bench", *args])
            patch.setattr(sys, "path", [*sys.path])
            for name, value in {"COLUMNS": "200", **changes}.items():
                patch.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code
        return subprocess.CompletedProcess(
            args, code if isinstance(code, int) else 0, *capsys.readouterr()
        )

    return call


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
        return made(folder, *FINISHED)


@pytest.fixture
def own_finished(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of that run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "results" / finished.name))
