"""Stored runs are listed and read one after the other, and a change among them is found."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.change_points import LEAST, change_points
from bench.analysis.comparison import compare
from bench.analysis.figures import figures_of
from bench.analysis.history import History, Told, histories
from bench.analysis.metric import target_of
from bench.records.measurement import BASELINE
from reports.formats import history as text
from reports.formats import index
from reports.formats.history import Past
from reports.page import history as page
from reports.run import made
from reports.stored import Unread, stored
from tests.cli.calls import call
from tests.golden import made_up
from tests.records import header, paired

MACHINE = {"cpu": "AMD EPYC", "cores": 2, "gpus": [], "packages": {"torch": "2.13.0"}}
FIRST = datetime(2026, 11, 1, 12, tzinfo=UTC)
Noise = Callable[[np.random.Generator, int], Any]
NOISES: dict[str, Noise] = {
    "normal": lambda random, n: random.normal(0, 0.02, n),
    "heavy-tailed": lambda random, n: 0.02 * random.standard_t(3, n),
    "mostly equal": lambda random, n: random.choice([0.0, 0.0, 0.01], n),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_of_unchanged_series_few_are_given_a_change(noise: Noise) -> None:
    random = np.random.default_rng(1)
    alarms = sum(bool(change_points(noise(random, 8 + n % 33).tolist())) for n in range(100))
    assert alarms <= 9  # of 100 series at 5 %: more has a chance of 3 %


def test_a_planted_change_is_found_where_it_is() -> None:
    random = np.random.default_rng(2)
    found = []
    for _ in range(50):
        steps = np.repeat([0.0, math.log(1.1)], [12, 8])
        found.append(change_points((steps + random.normal(0, 0.02, 20)).tolist()))
    assert sum(len(places) == 1 and abs(places[0] - 12) <= 1 for places in found) >= 45


def test_a_change_and_its_mending_are_two_changes() -> None:
    noise = 0.01 * np.random.default_rng(3).normal(size=30)
    values = np.repeat([0.0, 0.2, 0.0], [12, 5, 13]) + noise
    assert change_points(values.tolist()) == (12, 17)


def test_a_single_run_that_stands_out_is_no_change() -> None:
    values = [0.0, 0.1, 0.0, 0.1, 0.0, 9.0, 0.1, 0.0, 0.1, 0.0, 0.1, 0.0]
    assert change_points(values) == ()


def test_few_or_equal_values_have_no_change() -> None:
    assert change_points([0.0] * 3 + [9.0] * (LEAST - 4)) == ()
    assert change_points([1.5] * 40) == ()


def run_of(number: int, gain: float = 1.2, seconds: float = 1.0, **changes: Any) -> Told:
    """Return what a run of a series tells; its own machine is slower by `seconds`."""
    wobble = 1 + 0.01 * ((7 * number) % 5 - 2)
    trials = [
        trial.model_copy(update={"step_seconds": tuple(s * seconds for s in trial.step_seconds)})
        for trial in paired("fast", (gain * wobble, gain))
    ]
    started = FIRST + timedelta(days=number)
    environment = {**MACHINE, "git_commit": f"c{number:03}", **changes.pop("environment", {})}
    facts: dict[str, Any] = {"run": f"run-{number:03}", "started": started.isoformat(), **changes}
    head = header(environment=environment, **facts)
    own = figures_of(BASELINE, [t for t in trials if t.arm == BASELINE])
    return Told(head, compare(trials, 0.01, target_of(head)), own)


def only(found: Sequence[History], arm: str, what: str) -> list[Any]:
    return [s for h in found for s in h.series if (s.arm, s.what.split(" (")[0]) == (arm, what)]


def test_a_change_of_a_ratio_is_told_with_the_runs_and_commits_around_it() -> None:
    runs = [run_of(n, 1.2 if n < 13 else 1.05) for n in range(26)]
    found = histories(runs)
    (series,) = only(found, "fast", "time ratio")
    assert [change.at for change in series.changes] == [13]
    said = text.said(series, series.changes[0])
    assert said == (
        "fast: time ratio (whole training) changed from 1.20× to 1.05× between run-012 (commit "
        "c012, 2026-11-13) and run-013 (commit c013, 2026-11-14)"
    )
    shown = text.render(Past(found, ()), 80)
    assert said in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert said in page.render(Past(found, ()))
    (one,) = json.loads(text.as_json(Past(found, ())))["histories"]
    assert said in [c["said"] for series in one["series"] for c in series["changes"]]


def test_a_machine_that_became_slower_changes_no_ratio() -> None:
    found = histories([run_of(n, seconds=1.0 if n < 13 else 2.0) for n in range(26)])
    assert [s.changes for s in only(found, "fast", "time ratio")] == [()]
    (absolute,) = only(found, BASELINE, "step time")
    assert [change.at for change in absolute.changes] == [13]


def test_absolute_figures_are_compared_within_one_machine_and_one_torch() -> None:
    other = {"packages": {"torch": "2.14.0"}}
    runs = [run_of(n) for n in range(4)] + [run_of(n, environment=other) for n in range(4, 6)]
    runs += [run_of(n, environment={"cpu": "Intel Xeon"}) for n in range(6, 9)]
    here, there = histories(runs)
    lengths = {s.torch: len(s.points) for s in only([here], BASELINE, "step time")}
    assert lengths == {"2.13.0": 4, "2.14.0": 2}
    assert [len(s.points) for s in only([here], "fast", "time ratio")] == [6]
    assert [len(s.points) for s in only([there], "fast", "time ratio")] == [3]


def test_runs_that_train_something_else_are_no_points_of_one_series() -> None:
    runs = [run_of(0), run_of(1, threads=4), run_of(2, settings={"epochs": 9, "lr": 0.001})]
    assert [found.runs for found in histories(runs)] == [1, 1, 1]


def test_runs_on_data_of_other_content_are_no_points_of_one_series() -> None:
    known = [run_of(n)._replace(data=data) for n, data in enumerate(("a", "a", "b", None))]
    assert [found.runs for found in histories(known)] == [2, 1, 1]


def test_an_arm_with_other_settings_is_another_series() -> None:
    strengths = (1, 1, 2, 1)
    runs = [
        run_of(n)._replace(settings={"fast": {"fast": {"strength": strength}}})
        for n, strength in enumerate(strengths)
    ]
    (found,) = histories(runs)
    ratios = {s.arm: len(s.points) for s in found.series if s.what == "memory ratio"}
    assert ratios == {"fast (strength=1)": 3, "fast (strength=2)": 1}


def test_two_of_one_folder_are_one_run(tmp_path: Path) -> None:
    made_up.baseline_only(tmp_path / "results" / "run")
    places = [tmp_path / "results", tmp_path / "results" / "run"]
    assert len(list(stored(places))) == 1


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder of two runs, a damaged one, one that is no run, and a file."""
    place = tmp_path / "results"
    made_up.every_verdict(place / "2026-11-20T12-00-00Z_timehut_test")
    made_up.interrupted(place / "2026-11-20T13-00-00Z_timehut_test")
    shutil.copytree(place / "2026-11-20T12-00-00Z_timehut_test", place / "damaged")
    (place / "damaged" / "trials.jsonl").write_text('{"format": 1}\n')
    (place / "notes").mkdir()
    (place / "README.md").write_text("runs")
    return place


def test_the_index_shows_what_a_winner_gains_where_that_is_no_time(tmp_path: Path) -> None:
    trials = paired("small", savings=(1.48, 1.5, 1.52, 1.49, 1.51, 1.5),
                    losses_of_metric=(0.001, -0.001, 0.002, 0.0, -0.002, 0.0))  # fmt: skip
    head = header(first=4, repeats=30, objectives=("memory",))
    (entry,) = index.index([made(tmp_path, head, trials, ())]).entries
    assert entry.answer.startswith("winner: small needs 1.50× less memory [")


def test_the_index_lists_runs_and_says_what_is_none(results: Path) -> None:
    found = index.index(stored([results]))
    assert [entry.mode for entry in found.entries] == ["test", "test"]
    first, second = (entry.answer for entry in found.entries)
    assert first.startswith("winner: mixed-precision makes training steps 1.40× faster [")
    assert second.endswith("; not finished")
    assert [(one.folder.name, one.reason.split(":")[0]) for one in found.unread] == [
        ("damaged", f"{results / 'damaged' / 'trials.jsonl'}, line 1"),
        ("notes", "is not a run"),
    ]


@pytest.mark.parametrize("wide", [40, 80, 200])
def test_the_index_fits_a_terminal_and_cuts_no_folder(results: Path, wide: int) -> None:
    found = index.index(stored([results]))
    lines = index.render(found, wide).splitlines()
    for entry in found.entries:
        assert any(line.startswith(entry.folder) for line in lines)
    assert all(len(line) <= max(wide, len(str(results)) + 50) for line in lines)


def test_the_commands_print_what_is_stored(results: Path) -> None:
    done = call("index", "results", "--json", cwd=results.parent)
    assert done.returncode == 0, done.stderr
    assert [row["commit"] for row in json.loads(done.stdout)["runs"]] == [None, None]
    told = call("history", "results", cwd=results.parent)
    assert told.stdout.startswith("timehut on AMD EPYC, 2 cores (cpu, 2 threads): 2 runs\n")
    assert "can be told from 8 runs on; here are 2 runs." in told.stdout
    assert "not read: results/notes: is not a run" in told.stdout
    done = call("history", "results", "--format", "html", cwd=results.parent)
    assert done.stdout.startswith("<!doctype html>")
    assert re.findall(r'(?:src|href)="(?!data:)', done.stdout) == []
    refused = call("index", "elsewhere", cwd=results.parent)
    assert (refused.returncode, refused.stderr.startswith("bench: elsewhere is no folder")) == (
        2, True,
    )  # fmt: skip


def test_a_folder_is_named_once_in_what_is_said_of_it(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (one,) = stored([tmp_path])
    assert isinstance(one, Unread)
    assert one.line.count("notes") == 1
