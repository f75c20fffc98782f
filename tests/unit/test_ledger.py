"""The ledger of judged edits: each has its level before it is measured, whatever becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.online import next_level
from bench.errors import BenchError
from bench.records.ledger import Ledger


def test_an_edit_has_the_level_that_follows_from_those_before_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "results")
    first = ledger.begin(next_level)
    ledger.answer(first.model_copy(update={"answer": "keep", "run": "one"}))
    second = ledger.begin(next_level)
    assert (first.level, second.level) == (next_level([]), next_level([True]))
    assert [edit.answer for edit in ledger.edits()] == ["keep", "more"]
    assert ledger.of_run("one").edit == first.edit


def test_an_edit_that_could_not_be_begun_costs_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.begin(next_level)
    assert not ledger.is_measured(first)
    ledger.answer(first.model_copy(update={"answer": "void"}))
    assert ledger.begin(next_level).level == next_level([])


def test_a_torn_line_is_passed_over_and_the_ledger_goes_on(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin(next_level)
    with ledger.path.open("a") as file:
        file.write('{"format":1,"ed')
    assert len(ledger.edits()) == 1
    ledger.begin(next_level)
    assert len(ledger.edits()) == 2


def test_a_run_that_no_edit_is_of_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="has no edit of 2026-x"):
        Ledger(tmp_path).of_run("2026-x")
