"""`bench doctor`: devices, libraries, measured peaks, and the noise floor of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.analysis.intervals import ratio_interval
from bench.cli import template
from bench.launch.local import Runner
from bench.machine import environment
from bench.machine.device import choose_device
from bench.machine.peaks import _peaks
from bench.recipes import registry, resolve
from bench.recipes.references import places_of
from bench.recipes.resolve import prepared
from bench.records import measurement
from bench.run import plan
from bench.trial.spec import TrialSpec

PAIRS = 5
TRIAL_SECONDS = 300.0


def examine(device: str) -> dict[str, Any]:
    """Return what this machine is and can show; runs for about half a minute."""
    chosen = choose_device(device)
    facts = environment.capture()
    return {
        "device": chosen,
        "environment": facts,
        "peaks": _peaks(chosen),
        "noise": _noise(chosen),
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the findings for a person."""
    facts, noise = found["environment"], found["noise"]
    gpus = ", ".join(gpu["name"] for gpu in facts["gpus"]) or "none"
    packages = ", ".join(f"{k} {v}" for k, v in facts["packages"].items() if v)
    lines = [
        f"device    {found['device']}",
        f"cpu       {facts['cpu'] or 'unknown'}, {facts['cores']} cores usable, "
        f"{facts['memory_bytes'] / 1024**3:.1f} GiB",
        f"gpus      {gpus}",
        f"python    {facts['python']} on {facts['system']}",
        f"packages  {packages}",
        *(f"peak      {name}: {value}" for name, value in found["peaks"].items()),
    ]
    if noise["low"] is None:
        return "\n".join([*lines, "noise     unknown: the trials failed"])
    floor = (noise["high"] / noise["low"]) ** 0.5 - 1
    lines.append(
        f"noise     the same code against itself: {noise['middle']:.3f}x "
        f"[{noise['low']:.3f}, {noise['high']:.3f}] over {noise['pairs']} pairs; "
        f"effects under {floor:.1%} can't be seen in so many"
    )
    if floor > 0.1:
        lines.append("          this machine is busy: close other programs, or use more --repeats")
    return "\n".join(lines)


def _noise(device: str) -> dict[str, Any]:
    """Time the template's model against itself, in interleaved pairs of step trials."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "my_model.py"
        template.write(file)
        reference = f"{file}:MyModel"
        places = places_of([reference])
        settings, _ = prepared(registry.load_baseline(reference), {})
        recipe = resolve.baseline_recipe(reference, settings, places)
        whole = TrialSpec(
            arm="", pair=0, seed=0, kind="step", recipe=recipe, metric="accuracy", device=device,
            places=places, threads=environment.usable_cores(), scratch=folder,
        )  # fmt: skip
        with Runner((), TRIAL_SECONDS) as runner:
            interval = ratio_interval(list(_ratios(whole, runner)))
    if interval is None:
        return {"pairs": 0, "low": None, "middle": None, "high": None}
    return {"pairs": PAIRS, **interval._asdict()}


def _ratios(whole: TrialSpec, runner: Runner) -> Iterator[float]:
    contrast = plan.Contrast(measurement.CONTROL, whole.recipe, whole.recipe, "step")
    for (pair,) in plan.rounds([contrast], PAIRS, seed=0):
        seconds = {}
        for planned in pair:
            trial = whole.model_copy(update={"arm": planned.arm, "seed": planned.seed})
            seconds[planned.arm] = runner.run(trial).measurement.seconds_per_item
        one, other = seconds[measurement.BASELINE], seconds[measurement.CONTROL]
        if one and other:
            yield one / other
