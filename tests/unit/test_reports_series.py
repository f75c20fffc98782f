"""Formats of services that keep figures, read as their own readers would; comparisons' formats."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

import reports
from bench.analysis.gate import Finding, Row
from bench.cli import step_summary
from bench.errors import BenchError
from reports.formats import gate
from tests.golden import made_up

FOUND = Finding(
    "old", "new",
    (
        Row("ok", "a", "time +1.0% (between -1.0% and +3.0%; limit +5%)"),
        Row("FAIL", "b", "memory +20.0%"), Row("?", "b", "time can't be told | 100%\nof it"),
        Row("-", "baseline", "time is not compared"),
    ),
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> reports.Run:
    return reports.read(made_up.every_verdict(tmp_path / "run"))


def test_github_action_benchmark_reads_names_units_and_numbers(run: reports.Run) -> None:
    """As its documentation asks: an array of objects with name, unit and a numeric value."""
    rows = json.loads(reports.render("benchmark-smaller", run))
    bigger = json.loads(reports.render("benchmark-bigger", run))
    for row in (*rows, *bigger):
        assert isinstance(row["name"], str)
        assert isinstance(row["unit"], str)
        assert isinstance(row["value"], int | float)
    by_name = {row["name"]: row for row in rows}
    assert len(by_name) == len(rows)
    ratio = run.candidates[0].time_ratio
    assert ratio is not None
    assert by_name["mixed-precision: time"]["value"] == pytest.approx(1 / ratio.middle)
    assert by_name["mixed-precision: time"]["unit"] == "of the baseline's"
    assert by_name["baseline: step time"]["unit"] == "s"
    assert {row["name"] for row in bigger} >= {"baseline: accuracy", "pruning: accuracy"}


def test_bencher_has_a_value_within_its_bounds_for_each_measure(run: reports.Run) -> None:
    found = json.loads(reports.render("bencher", run))
    assert set(found["compile"]) == {"time-ratio", "memory-ratio", "accuracy"}
    for measures in found.values():
        for one in measures.values():
            assert one.get("lower_value", one["value"]) <= one["value"]
            assert one["value"] <= one.get("upper_value", one["value"])


def test_open_metrics_are_read_by_a_parser_of_them(run: reports.Run) -> None:
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    families = list(parser.text_string_to_metric_families(reports.render("openmetrics", run)))
    found = {
        (family.name, sample.labels["arm"]): sample.value
        for family in families
        for sample in family.samples
    }
    ratio = run.candidates[0].memory_ratio
    assert ratio is not None
    assert found["bench_memory_ratio", "mixed-precision"] == pytest.approx(1 / ratio.middle)
    assert found["bench_step_time_seconds", "baseline"] == run.figures["baseline"].step_seconds


def test_a_comparison_is_a_table_a_suite_and_marks() -> None:
    assert "| b | can't be told | time can't be told \\| 100% of it |" in gate.render("md", FOUND)
    assert gate.render("md", FOUND).startswith("**Regressed: b.** (old → new)")
    suite = Tree.fromstring(gate.render("junit", FOUND))
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["4", "1", "1", "1"]
    found = json.loads(gate.render("json", FOUND))
    assert (found["failed"], found["unknown"]) == (True, True)
    assert found["rows"][1] == {"arm": "b", "outcome": "regressed", "says": "memory +20.0%"}
    lines = gate.render("github", FOUND).splitlines()
    assert lines[0] == "::error title=bench compare::b: memory +20.0%25"
    assert lines[1].endswith("b: time can't be told | 100%25%0Aof it")
    assert len(lines) == 4


def test_a_format_of_a_comparison_that_is_none_is_refused() -> None:
    with pytest.raises(BenchError, match="there are: text, md, json, junit, github"):
        gate.render("yaml", FOUND)


def test_a_steps_summary_grows_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "summary.md"
    monkeypatch.setenv(step_summary.VARIABLE, str(place))
    step_summary.write("# one")
    step_summary.write("x" * (step_summary.MOST_BYTES + 1))
    assert place.read_text().startswith("# one\n")
    assert place.stat().st_size < 1024**2
    monkeypatch.setenv(step_summary.VARIABLE, str(tmp_path))
    step_summary.write("# two")
    assert "can't write GITHUB_STEP_SUMMARY" in capsys.readouterr().err
    monkeypatch.delenv(step_summary.VARIABLE)
    step_summary.write("# three")


def test_a_csv_has_every_metric_and_the_slow_steps(run: reports.Run) -> None:
    title, first, *_ = reports.render("csv", run).splitlines()
    row = dict(zip(title.split(","), first.split(","), strict=False))
    trial = run.trials[0]
    assert float(row["metric_accuracy"]) == trial.metrics[-1].values["accuracy"]
    assert float(row["step_p95_seconds"]) == sorted(trial.step_seconds)[90]
