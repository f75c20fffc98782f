"""Blocks are spread over nodes, come back in any order, and count in the order of their issue."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from bench.cli import parse
from bench.errors import BenchError
from bench.launch import node
from bench.launch.nodes import MOST_LOST, Ended, Nodes, nodes_on
from bench.launch.task import Answer, Task
from bench.recipes import own_packages
from bench.records.measurement import CONTROL, Status
from bench.records.node import Node
from bench.records.run_folder import Folder, reopen
from bench.run.plan import Contrast
from bench.run.session import Session
from bench.trial.spec import Outcome, TrialSpec
from tests.records import header, measurement, recipe
from tests.unit.test_session import Heard

HERE = Node(name="a", host="a", cpu=None, cores=2, memory_bytes=1, python="3.11", torch="2")
ARMS = ("fast", CONTROL)
Loses = Callable[[str], bool]


def answer(task: Task, noise: float = 0.0) -> str:
    """Return what a node says that has measured a task."""
    outcomes = [Outcome(measurement=measured(trial, noise)) for trial in task.trials]
    return Answer(outcomes=tuple(outcomes)).model_dump_json()


def measured(trial: TrialSpec, noise: float = 0.0) -> Any:
    seconds = 1.0 + noise * random.Random(f"{trial.arm} {trial.pair}").random()
    made = measurement(trial.arm, trial.pair, node=HERE, seconds=seconds)
    return made.model_copy(update=trial.identity.model_dump(exclude_unset=True))


class Rigged:
    """So many nodes; of what they run one ends at a time, by lot; some are lost."""

    def __init__(
        self, size: int = 4, loses: Loses = lambda name: False, most: int = 10**6,
        noise: float = 0.0,
    ) -> None:  # fmt: skip
        self.size, self._loses, self._most, self._noise = size, loses, most, noise
        self._running: dict[str, Task] = {}
        self._lot = random.Random(0)
        self.started: list[tuple[str, frozenset[str]]] = []
        self.ran: list[str] = []

    def keep_in(self, folder: Path) -> None: ...

    def start(self, name: str, task: Task, avoid: frozenset[str]) -> bool:
        if len(self._running) >= self.size:
            return False
        self._running[name] = task
        self.started.append((name, avoid))
        return True

    def ended(self, seconds: float) -> Sequence[Ended]:
        if len(self.ran) >= self._most:
            raise KeyboardInterrupt
        name = self._lot.choice(sorted(self._running))
        task = self._running.pop(name)
        if self._loses(name):
            return [Ended(name, None, "it fell silent", "node-7")]
        self.ran.append(name)
        return [Ended(name, answer(task, self._noise))]

    def close(self) -> None: ...


def session(folder: Folder, rigged: Rigged) -> tuple[Session, Heard]:
    heard = Heard()
    return Session(folder, Nodes(rigged, (), 60), cast(Any, None), recipe(), {}, heard), heard


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    head = header(on="ray", first=4, repeats=30)
    (tmp_path / "run.json").write_text(head.model_dump_json())
    return Folder(tmp_path, head)


FAST = [Contrast("fast", recipe("fast"), recipe(), "full")]


def pairs_in(folder: Folder) -> list[int]:
    return list(dict.fromkeys(record.pair for record in folder.trials.records))


def test_whatever_comes_back_first_the_journal_is_in_the_order_of_issue(folder: Folder) -> None:
    rigged = Rigged()
    session(folder, rigged)[0].measure(FAST)
    back = [int(name.split("-")[1].split(".")[0]) for name in rigged.ran]
    assert back != sorted(back)
    assert pairs_in(folder) == sorted(pairs_in(folder))
    arrived = (folder.path / "arrived.jsonl").read_text().splitlines()
    assert [json.loads(line)["trials"][0]["pair"] for line in arrived] == back
    for pair in pairs_in(folder):  # whole blocks, of one node each
        assert {r.arm for r in folder.trials.records if r.pair == pair} >= {"baseline", "fast"}


def test_no_more_is_measured_in_vain_than_a_block_a_node(folder: Folder) -> None:
    rigged = Rigged(size=3)
    session(folder, rigged)[0].measure(FAST)
    assert 0 <= len(rigged.started) - len(pairs_in(folder)) <= 3


def test_a_round_of_more_blocks_than_nodes_is_measured_after_the_first_look_too(
    folder: Folder,
) -> None:
    rigged, arms = Rigged(size=2, noise=0.5, most=18), [f"arm{number}" for number in range(8)]
    with pytest.raises(KeyboardInterrupt):  # in the sixth round of three blocks
        session(folder, rigged)[0].measure([Contrast(a, recipe(a), recipe(), "full") for a in arms])
    assert {record.arm for record in folder.trials.records if record.seed == 4} > {*arms}


def test_a_lost_block_is_run_elsewhere_and_no_other_is(folder: Folder) -> None:
    rigged = Rigged(loses=lambda name: name == "pair-2.0")
    made, heard = session(folder, rigged)
    made.measure(FAST)
    again = [(name, avoid) for name, avoid in rigged.started if not name.endswith(".0")]
    assert again == [("pair-2.1", frozenset({"node-7"}))]
    assert heard.notes == ["pair-2 was lost on node-7: it fell silent; it is run elsewhere"]
    assert all(record.ok for record in folder.trials.records)


def test_a_block_that_takes_its_nodes_down_is_given_up_as_failed(folder: Folder) -> None:
    rigged = Rigged(loses=lambda name: name.startswith("pair-2."))
    session(folder, rigged)[0].measure(FAST)
    lost = [record for record in folder.trials.records if not record.ok]
    assert {record.pair for record in lost} == {2}
    assert {record.status for record in lost} == {Status.FAILED}
    assert lost[0].reason == (
        "lost 3 times, on node-7, node-7, node-7; the last time: it fell silent"
    )
    assert len([name for name, _ in rigged.started if name.startswith("pair-2.")]) == MOST_LOST


def test_a_run_that_was_killed_goes_on_with_what_had_come_back_and_runs_none_twice(
    folder: Folder,
) -> None:
    first = Rigged(most=3)
    with pytest.raises(KeyboardInterrupt):
        session(folder, first)[0].measure(FAST)
    had_turn = len(pairs_in(folder))
    assert had_turn < len(first.ran)  # some wait for one that was issued before
    folder.close()
    again, second = reopen(folder.path), Rigged()
    session(again, second)[0].measure(FAST)
    assert not {*first.ran} & {*second.ran}
    keys = [record.key for record in again.trials.records]
    assert len(keys) == len({*keys})
    again.close()


class Together(Rigged):
    """What runs ends at once."""

    def ended(self, seconds: float) -> Sequence[Ended]:
        return [one for _ in [*self._running] for one in super(Together, self).ended(seconds)]


def test_blocks_that_come_back_together_are_kept_with_one_sync_and_lined_up_without(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def sync(file: int) -> None:
        names = {path.stat().st_ino: path.name for path in folder.path.iterdir()}
        synced.append(names.get(os.fstat(file).st_ino, ""))

    monkeypatch.setattr(os, "fsync", sync)
    session(folder, Together(size=100))[0].measure(FAST)
    assert [name for name in synced if name.endswith(".jsonl")] == ["arrived.jsonl"]
    assert len(folder.trials.records) > 8
    folder.close()
    assert synced[-1] == "trials.jsonl"


def test_what_came_back_before_a_node_refused_is_kept(folder: Folder) -> None:
    class Refusing(Together):
        def ended(self, seconds: float) -> Sequence[Ended]:
            *kept, last = super().ended(seconds)
            return [*kept, last._replace(answer=Answer(refused="node a: no").model_dump_json())]

    with pytest.raises(BenchError, match="node a: no"):
        session(folder, Refusing(size=4))[0].measure(FAST)
    assert len((folder.path / "arrived.jsonl").read_text().splitlines()) == 3


def test_a_torn_block_is_run_again_whole(folder: Folder) -> None:
    with pytest.raises(KeyboardInterrupt):
        session(folder, Rigged(most=1))[0].measure(FAST)
    path = folder.path / "arrived.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    folder.close()
    again, second = reopen(folder.path), Rigged()
    session(again, second)[0].measure(FAST)
    assert pairs_in(again)[:3] == [0, 2, 4]
    again.close()


def asked(tmp_path: Path, **changes: Any) -> Task:
    trial = TrialSpec(
        arm="baseline", pair=0, seed=0, kind="build", recipe=recipe(), metric="accuracy",
        device="cpu", threads=1, scratch="unused",
    )  # fmt: skip
    facts: dict[str, Any] = {
        "trials": (trial.model_copy(update=changes.pop("trial", {})),), "preload": (),
        "timeout_seconds": 60.0, "folder": str(tmp_path), "code_sha256": own_packages.digest(),
        "versions": node.versions(), "node": "node-7",
    }  # fmt: skip
    return Task.model_validate({**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code_sha256": "0" * 64}, f"{own_packages.HOME} holds other code of trainpairs than the "
         "run was started with: install the same there"),
        ({"versions": {"python": "3.9.1"}}, "the run was started with 3.9.1"),
        ({"folder": "/nowhere"}, "/nowhere, where the run was started, can't be entered (No such "
         "file or directory): start it in a folder that all nodes share"),
        ({"trial": {"recipe": recipe(data_dir="data/far")}}, "there is no data/far, the run's data "
         "folder: share it, or copy it there"),
        ({"trial": {"threads": 4096}}, "a trial is to have 4096 threads: give --threads"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_the_runs_place_refuses_in_one_line_that_names_it(
    changes: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = node.answer_to(asked(tmp_path, **changes)).refused or ""
    assert refused.startswith("node node-7: ")
    assert refused.endswith(said)
    assert "\n" not in refused


def test_what_a_node_refuses_ends_the_run(folder: Folder) -> None:
    class Refusing(Rigged):
        def ended(self, seconds: float) -> Sequence[Ended]:
            name, _ = self._running.popitem()
            return [Ended(name, Answer(refused="node a: no").model_dump_json())]

    with pytest.raises(BenchError, match="node a: no"):
        session(folder, Refusing())[0].measure(FAST)


@pytest.mark.parametrize("on", ["dask", "ray:0", "slurm:many"])
def test_a_scheduler_that_is_none_is_refused(on: str) -> None:
    with pytest.raises(BenchError, match="there are ray, slurm"):
        nodes_on(on, (), 60)


@pytest.mark.parametrize(("on", "missing"), [("ray", "ray"), ("slurm:2", "submitit")])
def test_a_missing_extra_is_one_line_that_says_what_to_install(
    on: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    extra = on.partition(":")[0]
    with pytest.raises(BenchError, match=rf'pip install "trainpairs\[{extra}\]"'):
        nodes_on(on, (), 60)


def test_what_holds_for_one_machine_is_refused_beside_nodes() -> None:
    parse.refuse_beside_nodes(None, budget="1h", reuse=True)
    with pytest.raises(BenchError, match="--dry-run holds for one machine: leave it out beside"):
        parse.refuse_beside_nodes("ray", budget=None, reuse=False, dry_run=True)
