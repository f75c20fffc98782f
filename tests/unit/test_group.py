"""Trials of several processes: the same training as one, and no process is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.launch.local import Runner
from bench.records.measurement import Measurement, Status
from bench.testing import Case
from bench.trial.spec import TrialSpec

SMALL = f"{Path(__file__).parents[1] / 'group_jobs.py'}:Small"
DDP, FSDP = "data-parallel:processes=2", "data-parallel:processes=2,shard=true"
Run = Callable[..., Measurement]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Return what runs a trial of the small training, with a technique, once."""
    seen: dict[object, Measurement] = {}
    folder = tmp_path_factory.mktemp("group")

    with Runner((), 120) as runner:

        def measured(*techniques: str, kind: str = "full", **settings: Any) -> Measurement:
            key = (techniques, kind, *settings.items())
            if key not in seen:
                recipe, places = Case(SMALL, settings).recipe(*techniques)
                trial = TrialSpec(
                    arm=recipe.arm, pair=0, seed=0, kind=kind, recipe=recipe, metric="accuracy",
                    device="cpu", threads=1, places=places, scratch=str(folder),
                )  # fmt: skip
                seen[key] = runner.run(trial).measurement
            return seen[key]

        yield measured


@pytest.mark.parametrize("technique", [DDP, FSDP])
def test_two_processes_make_the_steps_of_one(run: Run, technique: str) -> None:
    """Fifteen of them, every fifth with a batch of one item, which only one process has."""
    one, two = run(), run(technique)
    assert two.status is Status.OK, two.reason
    assert len(two.losses) == 15
    assert two.losses == pytest.approx(one.losses, rel=1e-5)
    assert two.metric == one.metric


def test_a_layer_that_is_thawed_later_is_averaged_too(run: Run) -> None:
    one, two = run(thaw=True), run(DDP, thaw=True)
    assert two.status is Status.OK, two.reason
    assert two.losses == pytest.approx(one.losses, rel=1e-5)
    assert two.losses != pytest.approx(run().losses, rel=1e-5)


def test_a_group_tells_of_all_its_processes(run: Run) -> None:
    one, two = run(), run(DDP)
    assert (one.processes, two.processes, two.threads) == (1, 2, 2)
    assert (two.items, two.items_seen) == (one.items, one.items_seen)
    assert two.window_seconds == max(rank.window_seconds or 0 for rank in two.ranks)
    assert two.cpu_seconds == pytest.approx(sum(rank.cpu_seconds or 0 for rank in two.ranks))
    assert two.peak_memory_bytes == sum(rank.peak_memory_bytes or 0 for rank in two.ranks)
    assert two.parameters == one.parameters
    assert two.model_bytes == one.model_bytes


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"norm": True}, "keeps statistics of its batch (1.running_mean, of 3 buffers)"),
        ({"pairs": True}, "is not the mean of its 2 shares' by their items"),
        ({"dropout": 0.5}, "draws random numbers as it trains (dropout)"),
    ],
)
def test_what_needs_the_whole_batch_is_refused(run: Run, settings: Any, why: str) -> None:
    found = run(DDP, kind="build", **settings)
    assert found.status is Status.NOT_APPLICABLE
    assert why in (found.reason or "")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("killed", "process 1 of 2 was killed by SIGKILL"),
        ("raises", "process 1 of 2: ValueError: this process alone is wrong (group_jobs.py, line "),
    ],
)
def test_a_process_that_dies_ends_the_trial(run: Run, what: str, why: str) -> None:
    found = run(DDP, fault=what)
    assert found.status is Status.FAILED
    assert (found.reason or "").startswith(why)
    assert found.left_processes == ()
    assert (found.wall_seconds or 99) < 20
    servers = psutil.Process().children()
    assert [p for s in servers for p in s.children() if p.status() != psutil.STATUS_ZOMBIE] == []
