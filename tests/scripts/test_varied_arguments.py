"""`--vary`: the script's own arguments as arms, and the best of them as the recipe of a run."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from bench.cli.script import arms_of
from bench.errors import BenchError
from bench.records.measurement import Status
from bench.run import start
from bench.trial.spec import Outcome, TrialSpec
from tests.cli.calls import call
from tests.cli.processes import only_run
from tests.records import MIB, measurement

SCRIPT = "import argparse\nparser = argparse.ArgumentParser()\n"
SECONDS = {32: 4.0, 128: 2.0, 512: 1.9}
"""A whole training, by the batch size that it is given last."""
ACCURACY = {32: 0.90, 128: 0.90, 512: 0.70}


class Planted:
    """Stands in for the trials of a script whose batch size decides everything, with some noise."""

    def __enter__(self) -> Planted:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing."""

    def run(self, trial: TrialSpec) -> Outcome:
        used = [use.name for use in trial.recipe.techniques]
        arguments: Any = trial.recipe.settings["arguments"]
        size = int(arguments[-1])
        noise = random.Random(f"{trial.arm} {trial.pair} {trial.seed}")
        facts: dict[str, Any] = {
            "seed": trial.seed, "kind": trial.kind, "stage": trial.stage, "threads": trial.threads,
            "recipe": trial.recipe.model_dump(mode="json"), "data": None, "planned_epochs": None,
            "effect": "learning" if used else "exact",
            "work": "other mathematics" if used else "same work",
        }  # fmt: skip
        if used not in ([], ["script-arguments"]):
            facts |= {"status": Status.NOT_APPLICABLE, "reason": "it isn't tried here"}
        found = measurement(
            trial.arm, trial.pair, seconds=SECONDS[size] * noise.gauss(1, 0.01),
            metric=ACCURACY[size] + noise.gauss(0, 0.001), memory=50 * MIB, **facts,
        )  # fmt: skip
        return Outcome(measurement=found)


def test_the_best_of_varied_batch_sizes_is_found_exported_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "runner_of", lambda *given: Planted())
    (tmp_path / "train.py").write_text(SCRIPT)
    done = call(
        "script", "train.py", "--full-optimization", "--vary", "--batch-size 128",
        "--batch-size 512", "--metric", r"acc=([\d.]+)", "--seed-argument", "--seed", "--quiet",
        "--", "--batch-size", "32", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    recipe = only_run(tmp_path) / "optimized.json"
    assert '"--batch-size",\n    "128"' in recipe.read_text()
    verified = call("verify", str(recipe), "--quiet", "--output", "again", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_lines_to_vary_are_arms_or_parts_of_what_is_asked_for() -> None:
    lines = ["--lr 1e-3", "--amp"]
    varied = [("script-arguments:add=--lr 1e-3",), ("script-arguments:add=--amp",)]
    mode, arms = arms_of(["compile"], [], False, lines)
    assert (mode, [arm.techniques for arm in arms]) == ("test", [("compile",), *varied])
    mode, arms = arms_of([], [], True, lines)
    assert (mode, [arm.techniques for arm in arms[-2:]]) == ("full-optimization", varied)
    assert ("script-arguments",) not in [arm.techniques for arm in arms]
    mode, arms = arms_of([], ["compile"], False, lines[:1])
    assert [arm.techniques for arm in arms] == [("compile", *varied[0])]
    assert arms_of([], [], False, []) == ("baseline-only", ())
    with pytest.raises(BenchError) as refusal:
        arms_of([], ["compile"], False, lines)
    assert str(refusal.value) == (
        "--combine makes one recipe, and --vary gives it 2 lines: give one line with all its "
        "arguments, --vary '--lr 1e-3 --amp'"
    )


class Late(Planted):
    """Stands in for a script that makes no step before it is ended."""

    def run(self, trial: TrialSpec) -> Outcome:
        late: dict[str, Any] = {
            "status": Status.TIMED_OUT,
            "reason": "no result after 8 s; it was killed",
        }
        return Outcome(measurement=measurement(trial.arm, **late))


def test_a_script_without_a_step_before_the_limit_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "runner_of", lambda *given: Late())
    (tmp_path / "train.py").write_text(SCRIPT)
    done = call("script", "train.py", "--quiet", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "bench: train did not make its first steps of an optimizer: no result after 8 s; it was "
        "killed\n"
    )
