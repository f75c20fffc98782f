"""`bench doctor`: devices, libraries, measured peaks, and the noise floor of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from math import log
from pathlib import Path
from statistics import stdev

from bench.analysis.intervals import ratio_interval
from bench.analysis.levels import MOST, Rule
from bench.analysis.power import smallest_effect
from bench.cli import template
from bench.launch.local import Runner
from bench.machine import environment
from bench.machine.device import choose_device
from bench.machine.peaks import peaks
from bench.recipes import registry, resolve
from bench.recipes.references import places_of
from bench.recipes.resolve import prepared
from bench.records import measurement
from bench.records.schema import Json
from bench.run import plan
from bench.trial.spec import TrialSpec

PAIRS = 5
OBJECTIVES = 2
"""Time and memory: what every arm is judged by."""
BUSY = 0.1
"""A smallest effect from which on the machine is too busy to measure on."""
TRIAL_SECONDS = 300.0


def examine(device: str, begin: Callable[[str], None]) -> Json:
    """Return what this machine is and can show, in half a minute; `begin` is told what runs."""
    chosen = choose_device(device)
    facts = environment.capture()
    begin("measuring matrix products and a copy")
    return {
        "device": chosen,
        "environment": facts,
        "peaks": peaks(chosen),
        "noise": _noise(chosen, begin),
    }


def as_text(found: Json) -> str:
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
    lines.append(
        f"noise     the same code against itself: {noise['middle']:.3f}x "
        f"[{noise['low']:.3f}, {noise['high']:.3f}] over {noise['pairs']} pairs; "
        f"an effect of {noise['effect']:.1%} is found 4 times in 5, in at most {MOST} pairs"
    )
    if noise["effect"] > BUSY:
        lines.append("          this machine is busy: close other programs")
    return "\n".join(lines)


def _noise(device: str, begin: Callable[[str], None]) -> Json:
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
            ratios = list(_ratios(whole, runner, begin))
    interval = ratio_interval(ratios)
    if interval is None or interval.low is None:
        return {"pairs": len(ratios), "low": None, "middle": None, "high": None, "effect": None}
    return {"pairs": len(ratios), **interval._asdict(), "effect": _effect(ratios)}


def _effect(ratios: Sequence[float]) -> float | None:
    """Return the gain of one arm that the sequential rule finds four times in five."""
    rule = Rule()
    return smallest_effect(stdev(map(log, ratios)), MOST, rule.of_gain(OBJECTIVES), rule)


def _ratios(whole: TrialSpec, runner: Runner, begin: Callable[[str], None]) -> Iterator[float]:
    contrast = plan.Contrast(measurement.CONTROL, whole.recipe, whole.recipe, "step")
    for number, (pair,) in enumerate(plan.rounds([contrast], PAIRS, seed=0), 1):
        begin(f"timing equal trials: pair {number} of {PAIRS}")
        seconds = {}
        for planned in pair:
            trial = whole.model_copy(update={"arm": planned.arm, "seed": planned.seed})
            seconds[planned.arm] = runner.run(trial).measurement.seconds_per_item
        one, other = seconds[measurement.BASELINE], seconds[measurement.CONTROL]
        if one and other:
            yield one / other
