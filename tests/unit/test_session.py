"""A session repeats what was disturbed, and keeps all that it saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from bench.launch.local import Runner
from bench.records.measurement import Measurement, Status
from bench.records.run_folder import Folder, reopen
from bench.run.plan import Planned
from bench.run.session import Session
from bench.trial.spec import Outcome, TrialSpec
from tests.records import header, measurement, recipe


@dataclass
class Rigged:
    """Gives trials that stood still for so many seconds each, in turn."""

    stopped: list[float]
    asked: list[TrialSpec] = field(default_factory=list)

    def run(self, spec: TrialSpec) -> Outcome:
        self.asked.append(spec)
        return Outcome(measurement=measurement(spec.arm, stopped_seconds=self.stopped.pop(0)))


@dataclass
class Heard:
    """Keeps what is shown."""

    notes: list[str] = field(default_factory=list)
    ended: list[Measurement] = field(default_factory=list)

    def opened(self, folder: Folder) -> None:
        """Show nothing."""

    def expect(self, trials: int) -> None: ...

    def begin(self, what: str) -> None: ...

    def done(self, record: Measurement) -> None:
        self.ended.append(record)

    def note(self, text: str) -> None:
        self.notes.append(text)


def session(folder: Folder, *stopped: float) -> tuple[Session, Rigged, Heard]:
    runner, heard = Rigged(list(stopped)), Heard()
    made = Session(folder, cast(Runner, runner), cast(Any, None), recipe(), {}, heard)
    return made, runner, heard


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "run.json").write_text(header().model_dump_json())
    return Folder(tmp_path, header())


PLANNED = Planned("baseline", 0, 0, recipe(), "full")


def test_a_disturbed_trial_is_run_again_and_kept_with_its_reason(folder: Folder) -> None:
    made, _, heard = session(folder, 3.0, 0.0)
    record = made.trial(PLANNED)
    assert (record.status, record.attempt, record.disturbed) == (Status.OK, 1, None)
    kept, counted = folder.trials.records
    assert counted == record
    assert (kept.status, kept.attempt) == (Status.FAILED, 0)
    assert kept.reason == "disturbed, and run again: its process stood still for 3.0 s"
    assert kept.step_seconds
    assert made.records == heard.ended == [record]
    assert heard.notes == ["baseline, pair 0: its process stood still for 3.0 s; it is run again"]


def test_the_last_of_disturbed_runs_counts_and_is_marked(folder: Folder) -> None:
    made, runner, _ = session(folder, 3.0, 4.0, 5.0)
    record = made.trial(PLANNED)
    assert (record.status, record.attempt) == (Status.OK, 2)
    assert record.disturbed == "its process stood still for 5.0 s"
    assert len(runner.asked) == len(folder.trials.records) == 3
    assert made.records == [record]


def test_a_run_that_ended_before_the_repetition_makes_it_when_resumed(folder: Folder) -> None:
    made, _, _ = session(folder, 3.0)
    with pytest.raises(IndexError):  # the run ends here
        made.trial(PLANNED)
    folder.close()
    again = reopen(folder.path)
    record = session(again, 0.0)[0].trial(PLANNED)
    assert (record.status, record.attempt) == (Status.OK, 1)
    same, runner, _ = session(again)
    assert same.trial(PLANNED) == record
    assert runner.asked == []
    again.close()
