"""A folder that is marked is removed only where the process that made it is known to be gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.launch import temporary
from bench.launch.temporary import MARK, NONE, Owner, mark, sweep

GONE = 999999999


def is_kept(tmp_path: Path, text: str) -> bool:
    """Tell whether a folder with this mark outlasts a sweep."""
    folder = tmp_path / "own-1"
    folder.mkdir()
    (folder / MARK).write_text(text)
    sweep(tmp_path, "own-*")
    return folder.exists()


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"pid": GONE}, False),
        ({"started": -60.0}, False),
        ({"boot": "of-before"}, False),
        ({"pid": GONE, "host": "another-node"}, True),
        ({"pid": GONE, "namespace": "pid:[1]"}, True),
        ({"boot": "of-another", "host": "another-node"}, True),
    ],
)
def test_only_what_ran_here_and_is_gone_is_removed(
    tmp_path: Path, changes: dict[str, Any], kept: bool
) -> None:
    assert is_kept(tmp_path, Owner.here()._replace(**changes).text) is kept


@pytest.mark.parametrize("text", ["", f"{GONE} 1.0", "a b c d e"])
def test_a_mark_of_another_form_is_left(tmp_path: Path, text: str) -> None:
    assert is_kept(tmp_path, text)


def test_a_clock_that_is_set_makes_no_living_run_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    mark(tmp_path)
    before = (tmp_path / MARK).read_text()
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: time.time() + 3600)
    assert is_kept(tmp_path, before)


def test_a_system_without_proc_goes_by_when_a_process_was_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary, "PROC", tmp_path / "none")
    here = Owner.here()
    assert (here.namespace, here.boot) == (NONE, NONE)
    assert here.started == psutil.Process().create_time()
    assert is_kept(tmp_path, here._replace(started=here.started + 1).text)
    (tmp_path / "own-1" / MARK).write_text(here._replace(pid=GONE).text)
    sweep(tmp_path, "own-*")
    assert not (tmp_path / "own-1").exists()
