"""`bench check FILE:CLASS`: rehearse a baseline for one real step, and print what it offers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.errors import BenchError
from bench.launch.local import Runner
from bench.machine.device import choose_device
from bench.recipes import registry, resolve
from bench.recipes.references import places_of
from bench.records.measurement import BASELINE, Status
from bench.trial.spec import Findings, TrialSpec

SECONDS = 300.0

FORWARD = {
    True: "called by the loss",
    False: "NOT called by the loss: what replaces the model's forward (compile) does nothing",
    None: "whether the loss calls it can't be told",
}
"""By whether the loss calls the model's forward."""


def check(reference: str, data_dir: Path | None, device: str) -> Findings:
    """Return what a rehearsal finds; raise `BenchError` for what keeps the baseline from training.

    In a process of its own, as a trial has one.
    """
    baseline = registry.load_baseline(reference)
    settings, _ = resolve.prepared(baseline, {"data_dir": str(data_dir)} if data_dir else {})
    places = places_of([reference])
    with (
        Runner(getattr(baseline, "preload", ()), SECONDS) as runner,
        tempfile.TemporaryDirectory() as scratch,
    ):
        target = resolve.target_of(baseline, settings)
        trial = TrialSpec(
            arm=BASELINE, pair=0, seed=0, kind="build", describe=True, places=places,
            recipe=resolve.baseline_recipe(reference, settings, places),
            metric=target.metric, bounds=target.bounds, device=choose_device(device),
            threads=resolve.threads_of(baseline, settings), scratch=scratch,
        )  # fmt: skip
        outcome = runner.run(trial)
    if outcome.measurement.status is not Status.OK or outcome.findings is None:
        raise BenchError(f"{baseline.name} does not train: {outcome.measurement.reason}")
    return outcome.findings


def as_text(found: Findings) -> str:
    """Return findings as lines for a person."""
    size = "not written" if found.model_bytes is None else f"{found.model_bytes / 1024:.1f} KiB"
    others = [f"{name} {_shown(value)}" for name, value in found.metrics.items()]
    cost = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in found.seconds.items())
    rows = {
        "batch": f"{found.items} items: {found.batch}",
        "loss": f"{_shown(found.loss)}; {_parts(found)}",
        "forward": FORWARD[found.calls_forward] + (f": {found.unheard}" if found.unheard else ""),
        "metrics": "; ".join(filter(None, (
            ", ".join(others), f"judged by {found.metric}", found.item_scores,
        ))),
        "answers": "1 and 32 items",
        "file": size,
        "seeds": "equal seeds repeat, bit for bit" if found.repeats else (
            "equal seeds do NOT repeat: seed what is drawn from `seed`, or from torch's generator"
        ),
        "threads": str(found.threads),
        "cost": f"of one rehearsal: {cost}",
    }  # fmt: skip
    return "\n".join(f"{name:8} {text}" for name, text in rows.items())


def _parts(found: Findings) -> str:
    if found.unsplit is not None:
        return f"a batch can't be split ({found.unsplit})"
    if found.mean_of_parts:
        return "the weighted mean of its parts' losses"
    return (
        f"NOT the weighted mean of its parts' losses ({_shown(found.whole)} of the batch, "
        f"{_shown(found.parts)} of its halves): gradients of parts don't add up to that of the "
        "batch"
    )


def _shown(value: float | None) -> str:
    return "no finite number" if value is None else f"{value:.4g}"
