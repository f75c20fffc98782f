"""What formats say of a change of the code is its answer, and what is missing is said to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.cli import step_summary
from bench.records.measurement import Measurement, Status
from reports.formats.markdown import escape
from reports.run import Run, read
from reports.warnings import warnings
from tests.golden import made_up
from tests.unit.test_revisions import compared, pairs


def run_of(folder: Path, head: Any, trials: Sequence[Measurement]) -> Run:
    return read(made_up.write(folder, head, trials))


@pytest.mark.parametrize(
    ("slower", "answer", "mark"),
    [(1.3, "regressed", "failure"), (0.8, "improved", None), (1.0, "not regressed", None),
     (1.05, "not told", "error")],
)  # fmt: skip
def test_a_changes_arm_says_the_answer_in_every_format(
    slower: float, answer: str, mark: str | None, tmp_path: Path
) -> None:
    fresh = pairs(slower, "confirm", 40) if answer == "regressed" else []
    run = run_of(tmp_path / "run", compared(), [*pairs(slower), *fresh])
    arm = json.loads(reports.render("json", run))["arms"]["head"]
    assert (arm["verdict"], arm["more_pairs"], arm["needed_margin"]) == (answer, None, None)
    assert f"**head** ({answer}, unknown): time {'+' if slower >= 1 else '-'}" in reports.render(
        "md", run
    )
    case = reports.render("junit", run).partition('name="head"')[2]
    assert f"{answer}: time " in case
    assert [m for m in ("failure", "error") if f"<{m} " in case] == ([mark] if mark else [])
    texts = [reports.render("junit", run), reports.render("md", run), reports.summary(run)]
    for words in ("no gain", "undecided", "accuracy loss", "false win", " more\n"):
        assert not any(words in text for text in texts)


def test_trainings_of_the_baseline_that_fail_are_said(tmp_path: Path) -> None:
    trials = [
        made_up.lost(t.arm, t.pair, Status.DIVERGED, "nan") if t.arm == "baseline" and not t.pair
        else t for t in made_up.control()
    ]  # fmt: skip
    run = run_of(tmp_path / "run", made_up.header("baseline-only"), trials)
    assert warnings(run)[0].startswith(
        "1 of 12 trainings of the baseline itself gave nothing (diverged: nan): "
    )


def test_a_baseline_that_differs_from_itself_shows_no_effect_at_all(tmp_path: Path) -> None:
    slow = made_up.pairs("baseline#2", lambda n: made_up.trial("baseline#2", n, 1.2))
    run = run_of(tmp_path / "run", made_up.header("baseline-only"), slow)
    assert run.comparison.smallest_visible_effect is None
    assert "smallest effect that shows unknown" in reports.summary(run)


def test_when_the_target_was_reached_is_not_known_without_an_evaluation(tmp_path: Path) -> None:
    trials = [t.model_copy(update={"metrics": ()}) for t in made_up.control()]
    run = run_of(tmp_path / "run", made_up.header("baseline-only"), trials)
    assert run.comparison.baseline_reached is None
    assert "not reached" not in reports.summary(run) + reports.render("md", run)


def test_dollars_are_no_formula_on_a_code_host() -> None:
    assert escape("no $HOME in $PATH") == r"no \$HOME in \$PATH"


def test_a_summary_is_cut_between_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(step_summary.VARIABLE, str(tmp_path / "summary"))
    monkeypatch.setattr(step_summary, "MOST_BYTES", 4)
    step_summary.write("a×××")
    assert (tmp_path / "summary").read_text(encoding="utf-8").startswith("a×\n\n(cut off")


@pytest.mark.parametrize("metric", ["step time", "memory ratio", "time"])
def test_a_metric_that_is_called_as_a_cost_takes_no_other_figure_s_place(
    metric: str, tmp_path: Path
) -> None:
    trials = [t.model_copy(update={"metrics": ()}) for t in made_up.control()]
    run = run_of(tmp_path / "run", made_up.header("baseline-only", metric=metric), trials)
    found = json.loads(reports.render("bencher", run))["baseline"]
    assert found["step-time"]["value"] == pytest.approx(0.025, rel=0.01)
    assert found[f"{metric.replace(' ', '-')}-(metric)"]["value"] == pytest.approx(0.98, abs=0.01)
    change = run_of(tmp_path / "change", compared(metric="time"), pairs(1.0))
    worse = json.loads(reports.render("json", change))["revisions"]["worse"]
    assert [*worse] == ["time", "memory", "time (metric)"]
