"""`bench` on heart sounds: killed trainings, event files, curves, bad files."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench.records.recipe import Recipe
from bench.testing import Case
from tests.cli.calls import called_once
from tests.cli.processes import Bench, records, start, wait_for
from tests.contract.cases import SMALL
from tests.heart_records import write_patients
from tests.records import exported

OPTIONS = [f"{key}={value}" for key, value in SMALL["murmur"].items() if key != "dataset"]


def recipe_file(folder: Path, recipe: Recipe) -> Path:
    path = folder / "optimized.json"
    path.write_text(exported(recipe=recipe, recipe_id=recipe.id).model_dump_json())
    return path


def trained(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "training.json").read_text())
    return found


def test_a_training_that_was_killed_goes_on_bit_for_bit(called: Bench, tmp_path: Path) -> None:
    """What goes on without techniques, tests/unit/test_resuming.py says of every baseline."""
    case = Case("murmur", {**SMALL["murmur"], "epochs": 16, "evaluate_every": 3, "dropout": 0.3})
    path = str(recipe_file(tmp_path, case.recipe("mixup", "early-stopping", "ema")[0]))
    assert called("train", path, "--threads", "1", "--output", "whole").returncode == 0
    process = start("train", path, "--threads", "1", "--output", "killed", cwd=tmp_path)
    unfinished = tmp_path / "killed" / "unfinished.pt"
    wait_for(unfinished.exists)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    done = called("train", path, "--threads", "1", "--output", "killed", "--resume")
    assert done.returncode == 0, done.stderr
    first = int(done.stderr.split("/16")[0].split()[-1])
    assert 1 < first <= 16
    whole, again = trained(tmp_path / "whole"), trained(tmp_path / "killed")
    for name in ("losses", "epoch_losses", "epochs"):
        assert again[name] == whole[name]
    weights = [(tmp_path / d / "model.safetensors").read_bytes() for d in ("whole", "killed")]
    assert weights[0] == weights[1]
    assert not unfinished.exists()


def test_there_must_be_a_training_to_resume(called: Bench, tmp_path: Path) -> None:
    path = str(recipe_file(tmp_path, Case("murmur", SMALL["murmur"]).recipe()[0]))
    done = called("train", path, "--resume")
    assert done.returncode == 2
    assert done.stderr.startswith("bench: nothing to resume: there is no checkpoint/unfinished.pt")


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return patients of whom one has a recording that is cut off."""
    folder = write_patients(tmp_path_factory.mktemp("murmur") / "patients")
    wav = folder / "103_AV.wav"
    wav.write_bytes(wav.read_bytes()[:3000])
    return folder


def asked(patients: Path) -> list[str]:
    return ["--baseline", "murmur", "--dataset", str(patients), "--baseline-only", "--repeats", "1",
            "--set", *OPTIONS, "evaluate_every=2"]  # fmt: skip


@pytest.fixture(scope="module")
def measured(patients: Path) -> Path:
    """Return a run that has left the bad recording out, and written event files."""
    return called_once(patients.parent, *asked(patients), "--skip-bad", "--tensorboard")


def test_event_files_hold_every_full_trial_as_it_was_recorded(measured: Path) -> None:
    run = measured
    full = [line for line in records(run) if line["kind"] == "full"]
    assert len(full) == 2
    for line in full:
        own = f"pair-{line['pair']}-seed-{line['seed']}"
        events = EventAccumulator(str(run / "tensorboard" / line["arm"] / own)).Reload()
        losses = events.Scalars("loss")
        assert [one.value for one in losses] == pytest.approx(line["losses"])
        assert [one.step for one in losses] == list(range(1, len(line["losses"]) + 1))
        for name in ("murmur_accuracy", "outcome_accuracy", "validation_murmur_accuracy"):
            found = events.Scalars(f"metrics/{name}")
            assert [one.step for one in found] == [e["step"] for e in line["metrics"]]
            expected = [e["values"][name] for e in line["metrics"]]
            assert [one.value for one in found] == pytest.approx(expected)


def test_the_page_shows_how_training_went(finished: Path) -> None:
    assert "training loss by" in (finished / "report.html").read_text()
    assert not (finished / "tensorboard").exists()


def test_a_bad_recording_is_one_line(called: Bench, patients: Path, tmp_path: Path) -> None:
    done = called(*asked(patients))
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert f"{patients / '103_AV.wav'} is cut off: 3,000 of" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_bad_recording_can_be_skipped(measured: Path) -> None:
    assert "1 bad files were skipped" in (measured / "report.md").read_text()
