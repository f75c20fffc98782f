"""The fixture that measures a recipe within a session of pytest, in this one and in another."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.comparison import compare
from bench.baseline import Target
from bench.cli import pytest_plugin
from bench.cli.pytest_plugin import MeasureRecipe
from bench.records.measurement import Status
from bench.testing import Case
from tests.cli.processes import FAULTS, TINY, environment
from tests.records import exported, paired

TEST = """
def test_training_cost(bench_recipe):
    bench_recipe("optimized.json", max_memory="1GiB", pairs=2)
"""


@pytest.fixture
def slow_recipe(tmp_path: Path) -> Path:
    """Return a recipe that takes some times as long as its baseline, with its files."""
    case = Case(TINY, {"epochs": 1})
    (recipe, _), (baseline, _) = case.recipe(f"{FAULTS}:Slow"), case.recipe()
    for file in (TINY.rpartition(":")[0], FAULTS):
        (tmp_path / Path(file).name).write_bytes(Path(file).read_bytes())
    path = tmp_path / "optimized.json"
    made = exported(recipe=recipe, recipe_id=recipe.id, baseline=baseline, baseline_id=baseline.id)
    path.write_text(made.model_dump_json())
    return path


def test_a_recipe_beyond_its_limits_fails_the_test(
    bench_recipe: MeasureRecipe, slow_recipe: Path
) -> None:
    with pytest.raises(pytest.fail.Exception) as failed:
        bench_recipe(slow_recipe, max_time_ratio=1.1, max_memory="1KiB", pairs=4)
    slow, large = str(failed.value).split("; ")
    assert slow.startswith("time ratio ")
    assert ", limit 1.1" in slow
    assert large.startswith("peak memory ")
    assert large.endswith(" MiB, limit 0.0009766 MiB")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_memory": "1.2x"}, "max_memory=1.2x is no amount; write one as 2GiB"),
        ({"max_memory": "much"}, 'memory=much" is no amount'),
        ({"max_time_ratio": math.nan}, "max_time_ratio=nan is no ratio; write one above 0"),
        ({"pairs": 0}, "pairs=0 measures nothing; ask for 1 or more"),
    ],
)
def test_what_is_no_limit_is_said_before_anything_is_measured(
    bench_recipe: MeasureRecipe, limits: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(pytest.fail.Exception, match=re.escape(said)):
        bench_recipe(tmp_path / "not-read.json", **limits)


def test_a_recipe_of_which_some_trainings_are_lost_fails_the_test(
    bench_recipe: MeasureRecipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trials = paired("fast", [1.5] * 6)
    lost = [trials[1].model_copy(update={"status": Status.DIVERGED}), *trials[2:]]
    (found,) = compare([trials[0], *lost], 0.01, Target("accuracy", None)).arms
    monkeypatch.setattr(pytest_plugin, "_measured", lambda *_: (found, trials[3::2]))
    with pytest.raises(pytest.fail.Exception, match="of 6 trainings of the recipe 1 diverged"):
        bench_recipe(tmp_path / "not-read.json", max_time_ratio=0.8)


def test_a_recipe_that_changes_nothing_is_refused(
    bench_recipe: MeasureRecipe, slow_recipe: Path
) -> None:
    made = json.loads(slow_recipe.read_text())
    same = {**made, "recipe": made["baseline"], "recipe_id": made["baseline_id"]}
    slow_recipe.write_text(json.dumps(same))
    with pytest.raises(pytest.fail.Exception, match="changes nothing of its baseline"):
        bench_recipe(slow_recipe, pairs=1)


def test_a_file_that_is_no_recipe_fails_in_one_line(
    bench_recipe: MeasureRecipe, tmp_path: Path
) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"bench: can't read .*nowhere.json"):
        bench_recipe(tmp_path / "nowhere.json")


@pytest.mark.slow
def test_what_was_measured_is_stored_by_pytest_benchmark(slow_recipe: Path) -> None:
    folder = slow_recipe.parent
    (folder / "test_cost.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--benchmark-json=out.json",
         "test_cost.py"], cwd=folder, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (stored,) = json.loads((folder / "out.json").read_text())["benchmarks"]
    assert stored["stats"]["rounds"] == 2
    assert stored["extra_info"]["verdict"]
