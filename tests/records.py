"""Records for tests, made of what a test says and of plain values for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.data_card import DataCard
from bench.records.claim import Claim, Exported
from bench.records.header import Arm, Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status
from bench.records.recipe import Recipe, Use

STARTED = "2026-11-20T12:00:00.000+00:00"
STEPS = 10
LOSSES = tuple(1 / (1 + step) for step in range(20))
ITEMS = 80
"""Items in a record's window; a step trains on ITEMS / STEPS of them."""
SETTINGS = {"epochs": 5, "batch_size": 8, "lr": 0.001}
MIB = 1024**2
BASE_BYTES = 100 * MIB
DATA = DataCard(name="made up", sha256="d" * 64, train_items=40, test_items=20)


def recipe(*techniques: str, **settings: Any) -> Recipe:
    """Return a recipe of a made-up baseline."""
    uses = tuple(Use(name=name, settings={"strength": 1}) for name in techniques)
    return Recipe(baseline="made-up", settings={**SETTINGS, **settings}, techniques=uses)


def losses_of(seed: int) -> tuple[float, ...]:
    """Return the losses of a training: each seed's end otherwise; those of seed 0 are LOSSES."""
    return (*LOSSES[:-1], LOSSES[-1] + seed / 1e6)


def measurement(
    arm: str = BASELINE,
    pair: int = 0,
    *,
    seconds: float = 1.0,
    memory: float = 50 * MIB,
    metric: float | None = 0.9,
    **changes: Any,
) -> Measurement:
    """Return a finished full trial: `seconds` in its window and, by default, in its training."""
    names = () if arm in (BASELINE, CONTROL) else tuple(arm.split("+"))
    facts: dict[str, Any] = {
        "arm": arm, "pair": pair, "seed": pair, "kind": "full", "device": "cpu", "threads": 2,
        "status": Status.OK, "recipe": recipe(*names).model_dump(mode="json"),
        "effect": "learning" if names else "exact",
        "work": "other mathematics" if names else "same work",
        "started": STARTED, "wall_seconds": seconds + 1, "metric": metric,
        "losses": losses_of(changes.get("seed", pair)), "epochs": 5, "planned_epochs": 5,
        "warmup_step_seconds": (seconds / STEPS,) * 2, "step_seconds": (seconds / STEPS,) * STEPS,
        "window_seconds": seconds, "train_seconds": seconds, "items": ITEMS,
        "base_rss_bytes": BASE_BYTES, "peak_rss_bytes": round(BASE_BYTES + memory), "data": DATA,
    }  # fmt: skip
    return Measurement.model_validate({**facts, **changes})


def failed(
    arm: str, pair: int = 0, status: Status = Status.FAILED, reason: str = "it broke"
) -> Measurement:
    """Return a trial that gave no measurement."""
    return Measurement(
        arm=arm, pair=pair, seed=pair, kind="full", device="cpu", threads=2, status=status,
        reason=reason, recipe=recipe(arm).model_dump(mode="json"), started=STARTED,
    )  # fmt: skip


def paired(
    arm: str,
    gains: Sequence[float] = (1.0,) * 6,
    *,
    savings: Sequence[float] | None = None,
    losses_of_metric: Sequence[float] | None = None,
    first: int = 0,
    baseline: dict[str, Any] | None = None,
    **candidate: Any,
) -> list[Measurement]:
    """Return pairs in which the candidate is faster by `gains`, and smaller by `savings`.

    `losses_of_metric` is what it loses in each pair; `baseline` and `candidate` change the records.
    """
    trials = []
    for index, gain in enumerate(gains):
        pair = first + index
        saving = savings[index] if savings else 1.0
        lost = losses_of_metric[index] if losses_of_metric else 0.0
        trials.append(measurement(pair=pair, **(baseline or {})))
        facts = {"seconds": 1 / gain, "memory": 50 * MIB / saving, "metric": 0.9 - lost}
        trials.append(measurement(arm, pair, **{**facts, **candidate}))
    return trials


def header(**changes: Any) -> Header:
    """Return the header of a run of the made-up baseline."""
    facts: dict[str, Any] = {
        "run": "2026-11-20T12-00-00Z_made-up_test", "started": STARTED, "mode": "test",
        "name": "made-up", "baseline": "made-up", "settings": SETTINGS,
        "arms": (Arm(techniques=("fast",)),),
        "device": "cpu", "threads": 2, "seed": 0, "repeats": 6, "budget_seconds": None,
        "trial_timeout_seconds": 60.0, "margin": 0.01, "unit": "items", "metric": "accuracy",
        "target": None, "command": ("bench", "--test", "fast"), "environment": {"python": "3.11"},
    }  # fmt: skip
    return Header.model_validate({**facts, **changes})


def planned(trials: Sequence[Measurement]) -> tuple[Arm, ...]:
    """Return the arms that a run asks for, to make these trials."""
    asked = {
        tuple(use.name for use in Recipe.model_validate(trial.recipe).techniques)
        for trial in trials
    }
    return tuple(Arm(techniques=names) for names in sorted(asked) if names)


def claim(**changes: Any) -> Claim:
    """Return a claim of 1.5 times the speed, 1.2 times less memory and an accuracy of 0.9."""
    facts: dict[str, Any] = {
        "verdict": "win", "work": "other mathematics", "pairs": 6, "time_ratio": (1.4, 1.5, 1.6),
        "time_basis": "training", "memory_ratio": (1.19, 1.2, 1.21), "metric_name": "accuracy",
        "metric": (0.89, 0.9, 0.91), "margin": 0.01, "data_sha256": "d" * 64,
        "environment": {"threads": 2}, "seed": 0, "repeats": 6,
    }  # fmt: skip
    return Claim.model_validate({**facts, **changes})


def exported(*techniques: str, **changes: Any) -> Exported:
    """Return an exported recipe with its claim."""
    made = recipe(*techniques)
    facts: dict[str, Any] = {
        "recipe_id": made.id, "recipe": made, "baseline_id": recipe().id,
        "baseline": recipe(), "claim": claim(),
    }  # fmt: skip
    return Exported.model_validate({**facts, **changes})
