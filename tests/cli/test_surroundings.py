"""Real processes in odd surroundings: other files of our names, lost streams, early interrupts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.calls import called_once, interrupted_after
from tests.cli.processes import (
    BENCH,
    FAULTS,
    TINY,
    Bench,
    environment,
    only_run,
    records,
    start,
)

QUICK = ("--baseline", TINY, "--repeats", "1")


def test_bench_runs_as_a_module_and_takes_nothing_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("1/0")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "list", "baselines"], cwd=tmp_path, env=environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "timehut" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "."])
def test_files_of_our_names_beside_a_model_stand_in_nobodys_way(
    tmp_path: Path, bench: Bench, path: str
) -> None:
    for name in ("statistics", "torch", "typer"):
        if not path:  # who puts a folder on the path wants its modules
            (tmp_path / f"{name}.py").write_text("open('ran', 'a')\n1/0\n")
    for name in ("bench", "optimizers", "baselines", "reports"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("open('ran', 'a')\n1/0\n")
    shutil.copy(TINY.rpartition(":")[0], tmp_path / "mine.py")
    changes = {"PYTHONPATH": path} if path else {}
    done = bench("--baseline", "mine.py:Tiny", "--test", "ema", "--repeats", "1", **changes)
    if path:  # theirs of the name bench is in place of ours from the first line on
        assert done.returncode != 0
        shutil.rmtree(tmp_path / "bench")
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        (tmp_path / "ran").unlink(missing_ok=True)
        done = bench("--baseline", "mine.py:Tiny", "--test", "ema", "--repeats", "1", **changes)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_run_without_a_home_and_far_from_its_temporary_files_tells_of_nothing_but_itself(
    tmp_path: Path, bench: Bench
) -> None:
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/proc/none")
    long = tmp_path / ("d" * 90)  # too long for the name of a socket in it
    long.mkdir()
    done = bench(*QUICK, "--baseline-only", TMPDIR=str(long), **nowhere)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stderr.splitlines()
    assert first.startswith("the report so far: ")
    assert all(line.startswith(("[", "plan: ")) for line in rest)
    assert (only_run(tmp_path) / "report.html").exists()


def test_a_full_device_is_told_in_one_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [BENCH, "list", "baselines"], stdout=full, stderr=subprocess.PIPE, text=True,
            env=environment(), check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "bench: can't write to standard output: No space left on device\n"


@pytest.mark.slow
def test_a_run_whose_reader_has_gone_goes_on_to_its_end(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [BENCH, *QUICK, "--test", f"{FAULTS}:Harmless"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), stdout=writer, stderr=writer, check=False
    )
    os.close(writer)
    assert done.returncode == 0
    assert len(records(only_run(tmp_path))) == 3


@pytest.mark.slow
def test_a_report_that_can_not_be_written_costs_no_trial(tmp_path: Path, called: Bench) -> None:
    run = called_once(tmp_path, *QUICK, "--test", f"{FAULTS}:Harmless")
    whole = (run / "trials.jsonl").read_bytes()
    (run / "trials.jsonl").write_bytes(b"")
    (run / "report.md").unlink()
    (run / "report.md").mkdir()
    done = called("--resume", str(run))
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    told = f"can't write {run / 'report.md'} (Is a directory); its records are whole: bench report"
    assert last == f"bench: can't write the report of {run}: {told} {run}"
    assert len(records(run)) == len(whole.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 1.5])
def test_an_interrupt_while_it_starts_ends_with_3_and_no_trace(
    tmp_path: Path, seconds: float
) -> None:
    process = start(*QUICK, "--test", f"{FAULTS}:Slow", cwd=tmp_path)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 3, said + errors
    assert "Traceback" not in said + errors


@pytest.mark.slow
def test_a_technique_that_changed_since_is_refused_by_arm_and_file(
    tmp_path: Path, called: Bench
) -> None:
    own = tmp_path / "own.py"
    own.write_text(Path(FAULTS).read_text())
    with interrupted_after(2):
        assert called(*QUICK, "--test", "own.py:Harmless").returncode == 3
    own.write_text(own.read_text().replace("0.2", "0.0"))
    run = only_run(tmp_path)
    done = called("--resume", str(run))
    assert done.returncode == 2
    told = "measured own.py:Harmless as it was: own.py has changed since: start a new run"
    assert done.stderr == f"bench: {run} {told}\n"


@pytest.mark.slow
def test_an_exported_recipe_takes_neighbours_along_and_refuses_changed_ones(
    tmp_path: Path, called: Bench
) -> None:
    file = Path(TINY.rpartition(":")[0])
    (tmp_path / "mine.py").write_text("from kit_of_mine import *\nfrom kit_of_mine import Tiny\n")
    (tmp_path / "kit_of_mine.py").write_text(file.read_text())
    combine = ("--combine", "ema", "--repeats", "1")
    run = called_once(tmp_path, "--baseline", "mine.py:Tiny", *combine)
    elsewhere = shutil.copytree(run, tmp_path / "else" / "where")
    (tmp_path / "mine.py").unlink()
    (tmp_path / "kit_of_mine.py").unlink()
    recipe = str(elsewhere / "optimized.json")
    done = called("train", recipe)
    assert done.returncode == 0, done.stderr
    assert f"running {elsewhere / 'mine.py'} (sha256 " in done.stderr
    assert f"{elsewhere / 'kit_of_mine.py'} (sha256 " in done.stderr
    done = called("verify", recipe, "--repeats", "1", "--threads", "1")
    assert done.returncode in (0, 1, 3), done.stderr
    (elsewhere / "kit_of_mine.py").write_text(file.read_text() + "\n")
    for command in ("train", "verify"):
        done = called(command, recipe, *(("--output", "new") if command == "train" else ()))
        assert done.returncode == 2
        assert "kit_of_mine.py is not the file that was measured" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_foreign_run_is_resumed_only_when_it_is_trusted(tmp_path: Path, called: Bench) -> None:
    shutil.copy(TINY.rpartition(":")[0], tmp_path / "mine.py")
    run = called_once(tmp_path, "--baseline", "mine.py:Tiny", "--baseline-only", "--repeats", "1")
    (run / "trials.jsonl").unlink()
    stranger = {"XDG_CACHE_HOME": str(tmp_path / "cache of a stranger")}
    done = called("--resume", str(run), **stranger)
    assert done.returncode == 2
    assert "names code that was not given on a command line here" in done.stderr
    assert "add --trust" in done.stderr
    assert not (run / "trials.jsonl").exists()
    done = called("--resume", str(run), "--trust", **stranger)
    assert done.returncode == 0, done.stderr
    assert "mine.py (sha256 " in done.stderr.splitlines()[0]
