"""`bench check`, and what a rehearsal says before anything is measured."""

from __future__ import annotations

import json
from pathlib import Path

from bench.cli import template
from tests.cli.processes import TINY, Bench


def wrong(folder: Path) -> int:
    """Write a model that doesn't take its own data; return the line that calls it."""
    file = folder / "wrong.py"
    template.write(file)
    file.write_text(file.read_text().replace("nn.Linear(20, ", "nn.Linear(21, "))
    lines = file.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if "cross_entropy(model(" in line)


def test_a_mistake_in_a_model_costs_one_rehearsal_and_names_its_line(
    called: Bench, tmp_path: Path
) -> None:
    line = wrong(tmp_path)
    said = f"shapes cannot be multiplied (32x20 and 21x256) (wrong.py, line {line})"
    for command in (
        ["check", "wrong.py:MyModel"],
        ["--baseline", "wrong.py:MyModel", "--test", "ema"],
    ):
        done = called(*command)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not [*tmp_path.glob("results/*/trials.jsonl")]


def test_another_name_for_the_metric_is_told_beside_the_target(
    called: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    template.write(file)
    file.write_text(file.read_text().replace('return {"accuracy":', 'return {"acc":'))
    done = called("check", "mine.py:MyModel")
    assert done.returncode == 2
    assert "evaluate gave acc; the target is accuracy" in done.stderr


def test_a_check_prints_what_a_model_offers(called: Bench) -> None:
    done = called("check", TINY, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["calls_forward"]
    assert found["mean_of_parts"]
    assert found["repeats"]
    assert found["metric"] in found["metrics"]
