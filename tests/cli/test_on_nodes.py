"""Runs on a real Ray cluster of two nodes, and through submitit: with nodes and tasks that die.

Their extras are none of dev (pyproject.toml says why), so these run by hand:
``pytest -n 0 tests/cli/test_on_nodes.py`` with both installed; about five minutes.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.launch import nodes
from bench.launch.slurm import SlurmNodes
from tests.cli.calls import call
from tests.cli.processes import TINY, only_run, records, run, start, wait_for

WHY = "an extra that CI does not install: its size, and seconds to start a cluster"
PAIRS = 5
ASKED = ("--baseline", TINY, "--test", "ema", "--repeats", str(PAIRS), "--threads", "1",
         "--set", "pause=0.02")  # fmt: skip


def arrived(folder: Path) -> list[Any]:
    found = list(folder.glob("results/*/arrived.jsonl"))
    lines = found[0].read_text().split("\n")[:-1] if found else []
    return [json.loads(line)["trials"] for line in lines]


def check_pairs(folder: Path) -> Counter[str]:
    """Hold a run to its promises; return how many pairs each node has measured."""
    found = records(only_run(folder))
    keys = Counter((one["pair"], one["arm"]) for one in found)
    assert set(keys.values()) == {1}
    assert len(keys) == 3 * PAIRS
    assert all(one["status"] == "ok" for one in found)
    blocks = [block[0]["pair"] for block in arrived(folder)]
    assert len(blocks) == len({*blocks})
    of_pair: dict[int, set[str]] = {}
    for one in found:
        of_pair.setdefault(one["pair"], set()).add(one["node"]["name"])
    assert all(len(names) == 1 for names in of_pair.values())
    return Counter(*[[name for names in of_pair.values() for name in names]])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("ray", reason=WHY)
    utility: Any = import_module("ray.cluster_utils")
    made = utility.Cluster()
    store = {"object_store_memory": 80 * 2**20}
    made.add_node(num_cpus=1, node_name="one", **store)
    made.dies = made.add_node(num_cpus=1, node_name="two", **store)
    monkeypatch.setenv("RAY_ADDRESS", made.address)
    yield made
    made.shutdown()


def test_on_ray_a_killed_driver_goes_on_and_a_killed_node_loses_its_pair_alone(
    cluster: Any, tmp_path: Path
) -> None:
    driver = start(*ASKED, "--on", "ray", cwd=tmp_path)
    wait_for(lambda: len(arrived(tmp_path)) >= 2, 240)
    driver.kill()
    driver.wait()
    wait_for(lambda: interpreters() == 0, 120)  # nothing outlives it
    before = arrived(tmp_path)
    driver = start("--resume", str(only_run(tmp_path)), cwd=tmp_path)
    wait_for(lambda: interpreters() == 2, 240)
    cluster.remove_node(cluster.dies, allow_graceful=False)
    said = driver.communicate(timeout=400)[1]
    print(said)
    assert driver.returncode == 0
    assert "was lost on two" in said
    assert arrived(tmp_path)[: len(before)] == before
    assert check_pairs(tmp_path)["one"] >= PAIRS / 2


def interpreters() -> int:
    """Return how many tasks are being done on this machine."""
    return sum("bench.launch.node" in words for words in _command_lines())


def _command_lines() -> Iterator[list[str]]:
    for process in psutil.process_iter():
        try:
            yield process.cmdline()
        except psutil.Error:
            continue


def local(most: int | None) -> SlurmNodes:
    """Return what runs tasks as processes of this machine, in the place of Slurm."""
    submitit: Any = import_module("submitit")
    return SlurmNodes(most, submitit.LocalExecutor)


def debug(most: int | None) -> SlurmNodes:
    """Return what runs tasks one by one, as they are asked for."""
    submitit: Any = import_module("submitit")
    return SlurmNodes(most, submitit.DebugExecutor)


@pytest.fixture
def by_submitit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    pytest.importorskip("submitit", reason=WHY)

    def choose(name: str) -> None:
        monkeypatch.setattr(nodes, "SCHEDULERS", {"slurm": f"{__name__}:{name}"})

    return choose


def kill_one(folder: Path) -> None:
    """Kill the interpreter of one task, once two pairs are back."""
    while len(arrived(folder)) < 2:
        time.sleep(0.1)
    while True:
        for child in psutil.Process().children(recursive=True):
            try:
                if "bench.launch.node" in child.cmdline():
                    child.kill()
                    return
            except psutil.Error:
                continue


def test_on_slurm_a_killed_task_loses_its_pair_alone_and_finished_jobs_are_taken_up(
    by_submitit: Callable[[str], None], tmp_path: Path
) -> None:
    by_submitit("local")
    killer = threading.Thread(target=kill_one, args=(tmp_path,), daemon=True)
    killer.start()
    done = call(*ASKED, "--on", "slurm:2", cwd=tmp_path)
    print(done.stderr)
    assert done.returncode == 0, done.stderr
    assert "was lost on job" in done.stderr
    check_pairs(tmp_path)
    folder = only_run(tmp_path)
    jobs = sorted(path.name for path in (folder / "slurm").glob("pair-*"))
    (folder / "arrived.jsonl").unlink()
    (folder / "trials.jsonl").write_text("")  # as of a driver that was killed before it saw any
    done = call("--resume", str(folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (folder / "slurm").glob("pair-*")) == jobs
    check_pairs(tmp_path)


def test_the_debug_executor_runs_pairs_one_by_one(
    by_submitit: Callable[[str], None], tmp_path: Path
) -> None:
    by_submitit("debug")
    done = call(*ASKED, "--on", "slurm:1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "measured on the nodes of slurm:1" in (only_run(tmp_path) / "report.md").read_text()
    check_pairs(tmp_path)


def test_without_slurm_or_a_cluster_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason=WHY)
    pytest.importorskip("submitit", reason=WHY)
    done = run(*ASKED, "--on", "slurm:2", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "bench: --on slurm: there is no sbatch here; start the run on a login node\n"
    )
    done = run(*ASKED, "--on", "ray", cwd=tmp_path, RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith("bench: no Ray cluster answers at 127.0.0.1:1: ")
