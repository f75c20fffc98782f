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
from tests.cli.processes import Bench, only_run, records, start, wait_for
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


@pytest.mark.parametrize("techniques", [(), ("mixup", "early-stopping", "ema")])
def test_a_training_that_was_killed_goes_on_bit_for_bit(
    called: Bench, tmp_path: Path, techniques: tuple[str, ...]
) -> None:
    case = Case("murmur", {**SMALL["murmur"], "epochs": 16, "evaluate_every": 3, "dropout": 0.3})
    path = str(recipe_file(tmp_path, case.recipe(*techniques)[0]))
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


def test_event_files_hold_every_full_trial_as_it_was_recorded(
    called: Bench, tmp_path: Path
) -> None:
    options = ["--baseline", "murmur", "--dataset", "synthetic", "--set", *OPTIONS]
    done = called(
        "--baseline-only", "--repeats", "1", *options, "evaluate_every=2", "--tensorboard"
    )
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path)
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


def test_a_bad_recording_is_one_line_and_can_be_skipped(called: Bench, tmp_path: Path) -> None:
    folder = write_patients(tmp_path / "patients")
    wav = folder / "103_AV.wav"
    wav.write_bytes(wav.read_bytes()[:3000])
    asked = ["--baseline", "murmur", "--dataset", str(folder), "--baseline-only", "--repeats", "1",
             "--set", *OPTIONS]  # fmt: skip
    done = called(*asked)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert f"{wav} is cut off: 3,000 of" in done.stderr
    assert not (tmp_path / "results").exists()
    done = called(*asked, "--skip-bad")
    assert done.returncode == 0, done.stderr
    assert "1 bad files were skipped" in (only_run(tmp_path) / "report.md").read_text()
