"""A finished run is logged to experiment trackers, offline, and what they hold is its records'."""

from __future__ import annotations

from pathlib import Path

import pytest

import reports
from bench.cli import run as course
from bench.errors import BenchError
from bench.records.measurement import BASELINE
from reports.trackers import TRACKERS, facts
from tests.golden import made_up


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> reports.Run:
    """Return a finished run with its report, in an empty current folder."""
    path = made_up.every_verdict(tmp_path / "results" / "run")
    (path / "report.html").write_text(reports.render("html", reports.read(path)))
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return reports.read(path)


@pytest.mark.parametrize("name", ["mlflow", "wandb", "tensorboard"])
def test_without_a_tracker_one_line_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "find_spec", lambda name: None)
    course.check([])
    with pytest.raises(
        BenchError, match=rf"needs the package {name}: pip install 'trainpairs\[{name}"
    ):
        course.check([name])


def test_an_unknown_tracker_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BenchError, match="--log neptune: there are mlflow, wandb, tensorboard"):
        course.check(["neptune"])
    assert {*course.TRACKERS} == {*TRACKERS, course.EVENTS}


def test_what_is_logged_is_what_was_measured(run: reports.Run) -> None:
    found = {(one.name, one.step): one.value for one in facts.figures(run)}
    trial = next(t for t in run.judging if t.ok and t.arm == BASELINE and t.pair == 2)
    assert found["baseline/seconds_per_item", 2] == trial.seconds_per_item
    assert found["baseline/accuracy", 2] == trial.metric
    (won,) = (r for r in run.candidates if r.arm == "mixed-precision")
    assert won.time_ratio is not None
    low, middle, high = won.time_ratio
    names = ("time_ratio_low", "time_ratio", "time_ratio_high")
    assert [found[f"mixed-precision/{name}", None] for name in names] == [low, middle, high]
    assert facts.parameters(run)["settings.batch_size"] == "8"
    assert facts.verdicts(run)["mixed-precision/verdict"] == "win"


def test_mlflow_s_own_client_reads_the_run_from_its_file_store(
    run: reports.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    for _ in range(2):  # logged again, it is there once
        TRACKERS["mlflow"](run)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = mlflow.MlflowClient(tracking_uri=(Path.cwd() / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("timehut")
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.info.run_name == run.header.run
    assert logged.info.status == "FINISHED"
    assert logged.data.params == facts.parameters(run)
    assert logged.data.tags["mixed-precision/verdict"] == "win"
    whole = {one.name: one.value for one in facts.figures(run) if one.step is None}
    assert {name: logged.data.metrics[name] for name in whole} == pytest.approx(whole)
    course_of = client.get_metric_history(logged.info.run_id, "mixed-precision/accuracy")
    assert {point.step for point in course_of} == {0, 1, 2, 3, 4, 5}
    kept = {one.path for one in client.list_artifacts(logged.info.run_id)}
    assert kept == {"report.html", "run.json", "trials.jsonl"}


def test_wandb_keeps_the_run_in_its_folder_and_sends_nothing(run: reports.Run) -> None:
    pytest.importorskip("wandb")
    TRACKERS["wandb"](run)
    (store,) = (run.path / "wandb").glob("offline-run-*/run-*.wandb")
    assert store.stat().st_size > 1000
