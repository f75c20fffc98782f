"""The fixture that measures a recipe within a session of pytest, in this one and in another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.pytest_plugin import MeasureRecipe
from bench.testing import Case
from tests.cli.processes import FAULTS, TINY, environment
from tests.records import exported

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
    assert large.endswith(" MiB, limit 1KiB")


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
