"""Run the scripts of this folder: as they are, and as a trial does."""

from __future__ import annotations

import functools
import io
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from bench.recipes import registry, resolve
from bench.recipes.references import places_of
from bench.recipes.resolve import make_techniques, prepared
from bench.recipes.script import MAIN
from bench.run.modes import check_intercept
from bench.trial.script import ScriptRun, run_script
from bench.trial.spec import TrialSpec

HERE = Path(__file__).parent / "untouched"
NAMES = (
    "plain", "accumulation", "gan", "autocast", "packed", "closure", "workers", "language",
)  # fmt: skip


@functools.cache
def plainly(name: str) -> tuple[float, ...]:
    """Return the losses of a script that is run with nothing of ours in its way."""
    return losses_of(HERE / f"{name}.py")


def losses_of(path: Path) -> tuple[float, ...]:
    """Return the losses of any such script."""
    found: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    with (
        TemporaryDirectory() as folder,
        chdir(folder),
        suppress(SystemExit),
        patch.object(sys, "argv", [str(path)]),
        redirect_stdout(io.StringIO()),
    ):
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), found)
    return tuple(found["losses"])


def trial_of(name: str, scratch: Path, *techniques: str, **given: Any) -> TrialSpec:
    """Return a trial of a script that stands in a folder of its own under `scratch`."""
    kind = given.pop("kind", "full")
    folder = given.pop("folder", HERE)
    reference = f"{folder / f'{name}.py'}:{MAIN}"
    places = places_of([reference])
    baseline = registry.load_baseline(reference)
    settings, _ = prepared(baseline, {"data_dir": str(folder), "script": f"{name}.py", **given})
    recipe = resolve.baseline_recipe(reference, settings, places)
    if techniques:
        used = make_techniques(techniques)
        check_intercept(used)
        recipe = resolve.with_techniques(recipe, baseline, used, lambda _: no_probe, places)
    return TrialSpec(
        arm="arm", pair=0, seed=0, kind=kind, recipe=recipe, metric="metric", device="cpu",
        threads=1, places=places, scratch=str(scratch),
    )  # fmt: skip


def no_probe(settings: object, memory_limit_bytes: int | None = None) -> Any:
    raise AssertionError("a script is not probed here")


def intercepted(trial: TrialSpec) -> ScriptRun:
    """Run a trial's script in this process."""
    from bench.recipes.assembly import techniques_of

    used = techniques_of(trial.recipe, trial.places)
    with (
        (Path(trial.scratch) / "trial.log").open("w") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        return run_script(trial, used, on_trained=lambda: None)
