"""What the page and the sentences say of runs that failed, lost, or mixed kinds of trials."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.analysis.durations import pace
from bench.records.measurement import BASELINE, Measurement, Status
from reports import arm_tables, pictures
from reports.charts.order import Ran, in_order
from reports.charts.plane import Axis
from reports.charts.scale import Scale
from reports.charts.scatter import Spot, scatter
from reports.page.shares import memory, order
from reports.page.template import own
from reports.run import Run
from reports.view.answer import answer
from tests.golden import made_up
from tests.records import measurement

MIB = made_up.MIB
LESS: dict[str, Any] = {"work": "less work", "effect": "learning"}


def _run(path: Path, arms: tuple[str, ...], trials: list[Measurement], **changes: Any) -> Run:
    return reports.read(
        made_up.write(path / "run", made_up.header("test", arms, **changes), trials)
    )


def _failing(arm: str, pair: int) -> Measurement:
    return made_up.lost(arm, pair, Status.FAILED, "ValueError: no such layer (x.py, line 3)")


def test_a_run_whose_baseline_failed_says_that_and_why_at_once(tmp_path: Path) -> None:
    failed = [_failing(arm, n) for n in range(2) for arm in (BASELINE, "compile")]
    found = answer(_run(tmp_path, ("compile",), failed))
    assert (found.badge, found.tone) == ("failed", "bad")
    assert found.headline == (
        "The baseline gave no measurement, so no arm can be judged "
        "(failed: ValueError: no such layer (x.py, line 3))."
    )


def test_a_run_of_which_every_arm_failed_is_no_run_where_nothing_won(tmp_path: Path) -> None:
    trials = made_up.pairs("compile", lambda n: _failing("compile", n))
    found = answer(_run(tmp_path, ("compile",), trials))
    assert (found.badge, found.tone) == ("failed", "bad")


def test_an_arm_that_lost_more_than_the_margin_is_not_said_to_win_yet(tmp_path: Path) -> None:
    trials = [
        *made_up.pairs("pruning", lambda n: made_up.trial("pruning", n, lost=0.28, **LESS), 0, 2),
        *made_up.pairs("compile", lambda n: made_up.trial("compile", n), 2, 2),
        *made_up.control(4, 2),
    ]
    run = _run(tmp_path, ("pruning", "compile"), trials, repeats=2)
    assert answer(run).headline == (
        "Nothing tried is shown to beat the baseline; compile may yet (2 candidates: 2 undecided)."
    )


def test_memory_of_steps_alone_stands_beside_the_baseline_s_of_that_kind(tmp_path: Path) -> None:
    small: dict[str, Any] = {
        "peak_rss_bytes": 370 * MIB,
        "kind": "step",
        "metric": None,
        "metrics": (),
    }
    trials = [
        *made_up.pairs("pruning", lambda n: made_up.trial("pruning", n, **LESS)),
        *made_up.pairs("compile", lambda n: made_up.trial("compile", n, **small), 6, **small),
    ]
    run = _run(tmp_path, ("pruning", "compile"), trials)
    found = memory(run)
    assert found is not None
    assert run.both_kinds
    names = ["baseline", "pruning", "baseline, steps alone", "compile, steps alone"]
    said = [(arm, says.partition(":")[0]) for arm, says, _ in found.rows]
    assert said == [*zip(names, ["140 MiB"] * 2 + ["77.0 MiB"] * 2, strict=True)]
    table = arm_tables.memory(run)
    assert table is not None
    resident = table.columns.index("peak resident above start")
    peaks = [(row[0], row[resident]) for row in table.rows]
    assert peaks == [*zip(names, ["140 MiB"] * 2 + ["70.0 MiB"] * 2, strict=True)]
    assert run.figures["baseline"].memory.peak == run.figures["pruning"].memory.peak
    assert run.figures["baseline"].trials == run.figures["baseline"].whole_trainings


def test_a_trial_s_pace_is_beside_those_of_its_kind() -> None:
    kinds = [("full", 1.0)] * 3 + [("step", 4.0)] * 2
    trials = [measurement(pair=n, seconds=s, kind=k) for n, (k, s) in enumerate(kinds)]
    assert pace(trials) == [1.0] * 5


def test_all_trials_are_drawn_those_that_take_a_combination_apart_too(tmp_path: Path) -> None:
    run = reports.read(made_up.searched(tmp_path / "run"))
    assert order(run).count("<circle") == len(run.trials)


@pytest.mark.parametrize(("count", "last"), [(3, "3"), (112, "112"), (4000, "4,000")])
def test_the_last_tick_of_the_order_is_the_number_of_trials(count: int, last: str) -> None:
    drawn = in_order([Ran("compile", 1.0, None, "arm", "compile")] * count, None)
    assert f'x="100.00%" y="206" class="tick" text-anchor="middle">{last}</text>' in drawn


@pytest.mark.parametrize(("others", "crosses"), [(10, 22), (100, 2)])
def test_the_baseline_is_named_and_many_intervals_do_not_hide_the_dots(
    others: int, crosses: int
) -> None:
    axis, ends = Axis(Scale(0.0, 2.0), [], "time"), (0.4, 0.5, 0.6)
    spots = [Spot(f"arm-{n}", "none", ends, ends, 0.0, "") for n in range(others)]
    spots.append(Spot("baseline", "base", (None, 1.0, None), (None, 1.0, None), 0.0, ""))
    spots.append(Spot("best", "good", ends, ends, 0.0, ""))
    drawn = scatter(axis, axis, spots, ["best"], "time against time")
    assert drawn.count('class="cross"') == crosses
    assert re.findall(r'class="name"[^>]*>([^<]*)<', drawn) == ["best", "baseline"]


def test_paper_shows_every_arm_and_the_colours_of_the_legends() -> None:
    style = own("report.css")
    on_screen = "@media screen { .forest.few tbody:first-of-type tr:nth-child(n+26)"
    assert style.count(".forest.few") == style.count(on_screen) == 1
    assert "print-color-adjust: exact" in style.partition("@media print")[2]


def test_the_command_to_use_the_answer_stands_before_the_tables(tmp_path: Path) -> None:
    run = reports.read(made_up.searched(tmp_path / "run"))
    before, _, _ = reports.render("md", run).partition("## What was compared")
    assert f"bench train {run.folder}/optimized.json" in before


def test_a_name_in_the_picture_ends_before_the_first_panel() -> None:
    letter = 7.7  # pixels, of a bold letter
    assert 8 + letter * pictures.LETTERS <= pictures.NAME


def test_a_name_lies_where_the_front_does_not_pass() -> None:
    axis = Axis(Scale(0.0, 1.0), [], "time")
    ends = [("left", 0.1, 0.9), ("right", 0.9, 0.1)]
    spots = [Spot(n, "good", (None, x, None), (None, y, None), 0.0, n) for n, x, y in ends]
    drawn = scatter(axis, axis, spots, ["left", "right"], "time against time")
    assert '<text x="17" y="-8" class="name" text-anchor="start">left</text>' in drawn
    assert '<text x="-17" y="16" class="name" text-anchor="end">right</text>' in drawn
