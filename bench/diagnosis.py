"""`bench doctor`: devices, libraries, measured peaks, and the noise floor of this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import environment, launch, plan, registry, request, template
from bench.records import measurement
from bench.runner import Runner
from bench.statistics import ratio_interval
from bench.trial import Trial

PAIRS = 5
TRIAL_SECONDS = 300.0
SIDE = 2048
COPY_BYTES = 256 * 1024**2


def examine(device: str) -> dict[str, Any]:
    """Return what this machine is and can show; runs for about half a minute."""
    chosen = launch.choose_device(device)
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


def _peaks(device: str) -> dict[str, str]:
    """Measure matrix products and a copy: ceilings for what any technique can reach here."""
    import torch

    peaks = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left = torch.randn(SIDE, SIDE, device=device).to(dtype)
        right = torch.randn(SIDE, SIDE, device=device).to(dtype)
        seconds = _best(lambda a=left, b=right: a @ b, device)  # type: ignore[misc]
        peaks[f"{name} matrix product"] = f"{2 * SIDE**3 / seconds / 1e12:.3f} TFLOP/s"
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    seconds = _best(lambda: target.copy_(source), device)
    peaks["copy"] = f"{2 * COPY_BYTES / seconds / 1024**3:.1f} GiB/s (read + written)"
    return peaks


def _best(work: Callable[[], object], device: str) -> float:
    import torch

    def once() -> float:
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    once()
    return min(once() for _ in range(7))


def _noise(device: str) -> dict[str, Any]:
    """Time the template's model against itself, in interleaved pairs of step trials."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "my_model.py"
        template.write(file)
        reference = f"{file}:MyModel"
        places = request.places_of([reference])
        settings, _ = launch.prepared(registry.load_baseline(reference), {})
        recipe = request.baseline_recipe(reference, settings, places)
        whole = Trial(
            arm="", pair=0, seed=0, kind="step", recipe=recipe, metric="accuracy", device=device,
            places=places, threads=environment.usable_cores(), scratch=folder,
        )  # fmt: skip
        with Runner((), TRIAL_SECONDS) as runner:
            interval = ratio_interval(list(_ratios(whole, runner)))
    if interval is None:
        return {"pairs": 0, "low": None, "middle": None, "high": None}
    return {"pairs": PAIRS, **interval._asdict()}


def _ratios(whole: Trial, runner: Runner) -> Iterator[float]:
    contrast = plan.Contrast(measurement.CONTROL, whole.recipe, whole.recipe, "step")
    for (pair,) in plan.rounds([contrast], PAIRS, seed=0):
        seconds = {}
        for planned in pair:
            trial = whole.model_copy(update={"arm": planned.arm, "seed": planned.seed})
            seconds[planned.arm] = runner.run(trial).measurement.seconds_per_item
        one, other = seconds[measurement.BASELINE], seconds[measurement.CONTROL]
        if one and other:
            yield one / other
