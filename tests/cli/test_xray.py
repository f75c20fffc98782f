"""The baseline xray on the command line: synthetic images, folders of classes, several tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.processes import Bench, only_run, records
from tests.cli.test_bad_input import refused
from tests.unit.test_xray_data import make_task, text_as_jpeg

QUICK = ("--threads", "1", "--repeats", "1", "--epochs", "1", "--batch-size", "4",
         "--set", "width=0.1", "--set", "image_size=32")  # fmt: skip
XRAY = ("--baseline", "xray", "--baseline-only")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.slow
def test_synthetic_images_are_used_where_there_are_no_others(called: Bench, tmp_path: Path) -> None:
    done = called(*XRAY, *QUICK, "--set", "synthetic_images=40")
    assert done.returncode == 0, done.stderr
    assert "using synthetic images, which say nothing about real ones" in done.stdout + done.stderr
    run = only_run(tmp_path)
    assert {trial["items_seen"] for trial in records(run)} == {28}
    report = (run / "report.md").read_text()
    assert "| arm | epochs | images seen | accuracy | accuracy.class0 | accuracy.class1 |" in report
    assert "1 epochs of 7 steps of 4 see 28 images, 1.00 passes over the training part" in report


@pytest.mark.slow
def test_a_folder_of_five_classes_is_measured(called: Bench, tmp_path: Path) -> None:
    make_task(tmp_path / "data" / "five", ("a", "b", "c", "d", "e"))
    done = called(*XRAY, *QUICK, "--dataset", "five", "--data-dir", "data")
    assert done.returncode == 0, done.stderr
    values = records(only_run(tmp_path))[0]["metrics"][-1]["values"]
    assert {f"accuracy.{name}" for name in "abcde"} < values.keys()


@pytest.mark.slow
def test_of_several_tasks_a_missing_one_is_told_and_the_others_run(
    called: Bench, tmp_path: Path
) -> None:
    make_task(tmp_path / "data" / "lungs", ("a", "b"))
    make_task(tmp_path / "data" / "bones", ("x", "y", "z"))
    done = called(*XRAY, *QUICK, "--dataset", "lungs,heart,bones", "--data-dir", "data")
    assert done.returncode == 0, done.stderr
    assert "task heart is skipped: no folder data/heart" in done.stdout + done.stderr
    report = (only_run(tmp_path) / "report.md").read_text()
    assert "task heart is skipped" in report
    assert "bones.accuracy.z" in report


def test_where_no_task_is_there_nothing_runs(called: Bench, tmp_path: Path) -> None:
    done = called(*XRAY, *QUICK, "--dataset", "heart,hips", "--data-dir", "data")
    refused(done, "no task 'heart' or 'hips' (in data)", "--dataset synthetic")
    assert not (tmp_path / "results").exists()


def test_a_bad_image_is_one_line_and_nothing_is_written(called: Bench, tmp_path: Path) -> None:
    text_as_jpeg(make_task(tmp_path / "data" / "lungs", ("dark", "light")))
    done = called(*XRAY, *QUICK, "--dataset", "lungs", "--data-dir", "data")
    refused(done, "data/lungs/test/dark/readme.jpg can't be read as an image", "replace it")
    assert not (tmp_path / "results").exists()
