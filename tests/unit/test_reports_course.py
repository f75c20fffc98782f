"""Event files and pictures are made of records alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reports import read, write_events, write_pictures
from tests.golden import made_up


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made_up.every_verdict(tmp_path / "run")


def test_equal_records_give_equal_files(run: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_events(read(run), tmp_path / name)
        write_pictures(read(run), tmp_path / name)
    found = {
        name: {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    }
    assert Path("forest-dark.svg") in found["a"]
    assert len(found["a"]) == 2 + sum(t.ok and t.kind == "full" for t in read(run).trials)
    assert found["a"] == found["b"]


def test_event_files_tell_the_metric_that_was_recorded(run: Path, tmp_path: Path) -> None:
    write_events(read(run), tmp_path / "events")
    trial = next(t for t in read(run).trials if t.ok and t.kind == "full")
    own = tmp_path / "events" / trial.arm / f"pair-{trial.pair}-seed-{trial.seed}"
    found = EventAccumulator(str(own)).Reload().Scalars(f"metrics/{read(run).header.metric}")
    assert found[-1].value == pytest.approx(trial.metric)
