"""Environment variables: what a script finds set, and with how many threads it computes."""

from __future__ import annotations

import os

import pytest

from bench.launch.environment import for_the_server
from bench.machine.environment import usable_cores
from bench.machine.variables import HAD, as_the_user_had
from bench.recipes.own_packages import HOME
from bench.recipes.resolve import threads_of
from bench.recipes.script import ScriptBaseline, ScriptSettings


@pytest.mark.parametrize(
    ("omp", "mkl", "threads"),
    [("3", "", 3), ("3", "2", 2), ("", "2", 2), *((bad, "", None) for bad in ("many", "0", "4,2"))],
)
def test_a_script_has_the_threads_that_the_environment_gives_plain_python(
    omp: str, mkl: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", omp)
    monkeypatch.setenv("MKL_NUM_THREADS", mkl)
    baseline, settings = ScriptBaseline("train.py"), ScriptSettings(data_dir=".", script="train.py")
    assert threads_of(baseline, settings) == (threads or usable_cores())
    assert threads_of(baseline, settings, asked=7) == 7


@pytest.mark.parametrize("safe", [None, "1"])
def test_a_script_starts_programs_with_what_the_user_had(
    safe: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "mine")
    monkeypatch.setenv("PYTHONSAFEPATH", safe or "")
    if safe is None:
        monkeypatch.delenv("PYTHONSAFEPATH")
    users = dict(os.environ)
    with for_the_server():
        ours = dict(os.environ)
        assert ours["PYTHONPATH"] == os.pathsep.join([str(HOME), "mine"])
        assert (ours["PYTHONSAFEPATH"], HAD in ours) == ("1", True)
        with as_the_user_had():
            assert os.environ.get("PYTHONSAFEPATH") == safe
            assert (os.environ["PYTHONPATH"], HAD in os.environ) == ("mine", False)
        assert dict(os.environ) == ours
    with as_the_user_had():  # where nothing was changed, all stays
        assert dict(os.environ) == users
