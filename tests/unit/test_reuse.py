"""Trials of earlier runs are taken in whole blocks, of the same recipes, seed, data and machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.records import run_folder
from bench.records.header import Arm, Header
from bench.records.measurement import Measurement
from bench.records.run_folder import append_lines
from bench.records.schema import Record
from bench.run.plan import Contrast, rounds
from bench.run.reuse import Earlier
from tests.records import DATA, header, measurement, recipe
from tests.unit.test_combining import Machine, session

ARMS = [Contrast(name, recipe(name), recipe(), "full") for name in ("compile", "early-stopping")]
FAST = {"compile": 1.5}
PLAN: dict[str, Any] = {"arms": tuple(Arm(techniques=(c.arm,)) for c in ARMS)}


def ran(path: Path, machine: Machine | None = None, **facts: Any) -> tuple[list[Measurement], Any]:
    """Screen both arms, taking what earlier runs beside it made; return trials and what was run."""
    made, own, _ = session(path, machine or Machine(FAST), reuse=True, **facts)
    made.data_sha256 = DATA.sha256
    made.measure(ARMS)
    made.folder.close()
    return made.records, own


def test_the_same_run_again_runs_nothing(tmp_path: Path) -> None:
    first, machine = ran(tmp_path / "one")
    assert len(machine.asked) == len(first) > 0
    again, machine = ran(tmp_path / "two", objectives=("time",), margin=0.02)
    assert machine.asked == []
    assert {trial.reused_from for trial in again} == {header().run}
    known = {(t.arm, t.pair): t for t in first}
    assert all(known[t.arm, t.pair].step_seconds == t.step_seconds for t in again)


def test_a_block_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = ran(tmp_path / "one")
    written: list[list[Record]] = []

    def kept(path: Path, records: Iterable[Record], sync: bool = True) -> None:
        written.append([*records])
        append_lines(path, written[-1], sync)

    monkeypatch.setattr(run_folder, "append_lines", kept)
    again, _ = ran(tmp_path / "two")
    blocks = {trial.pair: [t for t in again if t.pair == trial.pair] for trial in again}
    assert written == [*blocks.values()]
    assert len(again) == len(first) > len(written)


def test_what_earlier_runs_lack_is_run_beside_it(tmp_path: Path) -> None:
    ran(tmp_path / "one")
    trials, machine = ran(tmp_path / "two", seed=2)  # its third round asks for a decided arm again
    taken, made = ({t.seed for t in found} for found in (
        [t for t in trials if t.reused_from], machine.asked
    ))  # fmt: skip
    assert {2, 3} <= taken
    assert {4, 5} <= made
    assert not taken & made


def taken(path: Path, trials: list[Measurement], **facts: Any) -> bool:
    """Tell whether a block of compile is taken from a run of these trials."""
    folder = path / "earlier"
    folder.mkdir()
    head: Header = header(**PLAN, **facts)
    (folder / "run.json").write_text(head.model_dump_json())
    lines = "".join(trial.model_dump_json() + "\n" for trial in trials)
    (folder / "trials.jsonl").write_text(lines)
    ((block,),) = rounds(ARMS[:1], 1, seed=0)
    return Earlier.beside(path / "now", header()).take(block, DATA.sha256) is not None


def pair(**candidate: Any) -> list[Measurement]:
    return [measurement(seed=0), measurement("compile", seed=0, **candidate)]


def test_a_whole_block_is_taken(tmp_path: Path) -> None:
    assert taken(tmp_path, pair())


def test_no_arm_is_taken_without_its_baseline(tmp_path: Path) -> None:
    assert not taken(tmp_path, pair()[1:])


def test_other_machines_code_and_libraries_are_passed_over(tmp_path: Path) -> None:
    others: tuple[dict[str, Any], ...] = (
        {"environment": {"python": "3.12"}}, {"threads": 1}, {"device": "cuda"},
        {"files": {"model.py": "f" * 64}},
    )  # fmt: skip
    for number, changes in enumerate(others):
        place = tmp_path / str(number)
        place.mkdir()
        assert not taken(place, pair(), **changes)


def test_the_load_of_the_machine_makes_no_other_machine(tmp_path: Path) -> None:
    assert taken(tmp_path, pair(), environment={"python": "3.11", "load_average": 3.0})


def test_other_recipes_seeds_data_and_disturbed_trials_are_passed_over(tmp_path: Path) -> None:
    other = recipe("compile", epochs=9).model_dump(mode="json")
    for number, trials in enumerate((
        pair(recipe=other),
        [t.model_copy(update={"seed": 1}) for t in pair()],
        [t.model_copy(update={"data": replace(DATA, sha256="e" * 64)}) for t in pair()],
        pair(disturbed="a burst"),
        pair(reused_from="another"),
    )):  # fmt: skip
        place = tmp_path / str(number)
        place.mkdir()
        assert not taken(place, trials)


def test_a_damaged_run_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert taken(tmp_path, pair())


def test_a_report_says_what_was_taken_and_from_where(tmp_path: Path) -> None:
    trials = [trial.model_copy(update={"reused_from": "earlier"}) for trial in pair()]
    text = reports.render("md", reports.made(tmp_path, header(), trials, ()))
    assert "2 of 2 trials were taken from earlier (--reuse), in whole blocks." in text
