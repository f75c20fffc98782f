"""Runs of a made-up baseline, written as the files that a run leaves; nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.data_card import DataCard
from bench.records.claim import Claim
from bench.records.header import Arm, Header
from bench.records.measurement import (
    BASELINE,
    CONTROL,
    Evaluation,
    FlopsCheck,
    Inference,
    Measurement,
    Parameters,
    Status,
)
from bench.records.recipe import Recipe, Use

MIB = 1024**2
SETTINGS = {"dataset": "Chinatown", "epochs": 50, "batch_size": 8, "lr": 0.001, "mask": None}
NOISE = (1.0, 1.006, 0.995, 1.002, 0.998, 1.004)
"""What equal trials differ by, in order of their pairs."""
LATER = tuple(2.0 / step for step in range(1, 20))
"""Losses after the first three steps."""
LUCK = (0.0, 0.003, -0.002, 0.001, -0.001, 0.002)
"""What seeds differ by in the metric."""
DATA = DataCard(name="Chinatown", sha256="4956a4c6f7c773a5" * 4, train_items=20, test_items=343)
USES = {
    "mixed-precision": {"precision": "bf16"},
    "adaptive-batch": {"memory_limit_gib": None, "largest": 4096},
}
ENVIRONMENT = {
    "python": "3.11.7", "system": "Linux 6.1", "libc": "glibc-2.36", "cpu": "AMD EPYC", "cores": 2,
    "memory_bytes": 24 * 1024**3, "packages": {"torch": "2.13.0+cpu", "aeon": None},
    "variables": {}, "gpus": [], "git_commit": None, "load_average": 1.15,
}  # fmt: skip


def header(mode: str = "test", arms: Sequence[str] = (), **changes: Any) -> Header:
    """Return the header of a run that asks for some arms."""
    asked = {"mode": mode, "arms": tuple(Arm(techniques=tuple(arm.split("+"))) for arm in arms)}
    facts: dict[str, Any] = {
        "run": f"2026-11-20T12-00-00Z_timehut_{mode}", "started": "2026-11-20T12:00:00+00:00",
        "name": "timehut", "baseline": "timehut", "settings": SETTINGS, "device": "cpu",
        "threads": 2, "seed": 0, "repeats": 6, "budget_seconds": None,
        "trial_timeout_seconds": 1800.0, "margin": 0.01,
        "unit": "series", "metric": "accuracy", "target": 0.97,
        "command": ("bench", f"--{mode}", *arms, "--set", "dataset=Chinatown"),
        "environment": ENVIRONMENT,
    }  # fmt: skip
    return Header.model_validate({**facts, **asked, **changes})


def recipe(arm: str, **settings: Any) -> Recipe:
    """Return the recipe of an arm."""
    names = () if arm in (BASELINE, CONTROL) else tuple(arm.split("+"))
    uses = tuple(Use(name=name, settings=USES.get(name, {})) for name in names)
    return Recipe(baseline="timehut", settings={**SETTINGS, **settings}, techniques=uses)


def trial(
    arm: str, pair: int, gain: float = 1.0, saving: float = 1.0, lost: float = 0.0, **changes: Any
) -> Measurement:
    """Return a full trial that is faster by `gain`, smaller by `saving`, worse by `lost`."""
    shift = 1 + len(arm) % 5 if arm != BASELINE else 0
    step = 0.025 * NOISE[(pair + shift) % 6] / gain
    resident = round(140 * MIB * NOISE[(pair + 2 * shift) % 6] / saving)
    seed = pair % 6
    other = 0 if arm == CONTROL else shift
    accuracy = 0.98 + LUCK[seed] - lost + (LUCK[(seed + other) % 6] - LUCK[seed]) / 4
    phases = {"data_wait": 0.01, "forward": 0.44, "backward": 0.40, "update": 0.15}
    return Measurement.model_validate({
        "arm": arm, "pair": pair, "seed": seed, "kind": "full", "device": "cpu", "threads": 2,
        "status": Status.OK, "recipe": recipe(arm).model_dump(mode="json"),
        "effect": "exact" if arm in (BASELINE, CONTROL) else "rounding", "work": "same work",
        "started": f"2026-11-20T{12 + pair // 60:02}:{pair % 60:02}:00.000+00:00",
        "wall_seconds": 100 * step + 0.5,
        "startup_seconds": 0.03, "build_seconds": 0.02, "metric": accuracy,
        "metrics": (
            Evaluation(epoch=25, step=50, train_seconds=50 * step, values={"accuracy": 0.9}),
            Evaluation(epoch=50, step=100, train_seconds=100 * step, values={"accuracy": accuracy}),
        ),
        "losses": (5.0, 4.0 - lost, 3.0, *LATER), "epochs": 50, "planned_epochs": 50,
        "warmup_step_seconds": (step * 1.5,) * 5,
        "step_seconds": (*(step,) * 90, *(step * 1.2,) * 5),
        "window_seconds": 96 * step, "train_seconds": 104 * step, "cpu_seconds": 95 * step,
        "items": 760,
        "phase_seconds": {
            **{name: 96 * step * share for name, share in phases.items()},
            "evaluate": 0.3, "finish": 0.003,
        },
        "base_rss_bytes": 300 * MIB, "peak_rss_bytes": 300 * MIB + resident,
        "end_anonymous_bytes": 31 * MIB, "end_file_bytes": 46 * MIB,
        "model_flops_per_step": 542_000_000, "forward_flops_per_item": 14_748_672,
        "flops_coverage": 1.0, "model_bytes": 2_548_992,
        "parameters": Parameters(trainable=637_248, frozen=0, buffers=0),
        "inference": (
            Inference(items=1, seconds=(0.0028,) * 5), Inference(items=32, seconds=(0.0065,) * 5),
        ),
        "load_average": 1.1, "cpu_pressure": 0.03, "data": DATA, **changes,
    })  # fmt: skip


def lost(arm: str, pair: int, status: Status, reason: str | None, **changes: Any) -> Measurement:
    """Return a trial that gave no measurement."""
    facts = {
        "arm": arm, "pair": pair, "seed": max(0, pair) % 6, "kind": "full", "device": "cpu",
        "threads": 2, "status": status, "reason": reason,
        "recipe": recipe(arm).model_dump(mode="json"), "started": "2026-11-20T12:00:00.000+00:00",
    }  # fmt: skip
    return Measurement.model_validate({**facts, **changes})


def pairs(
    arm: str,
    candidate: Callable[[int], Measurement],
    first: int = 0,
    count: int = 6,
    **changes: Any,
) -> list[Measurement]:
    """Return pairs of the baseline and a candidate, numbered from `first` on."""
    numbers = range(first, first + count)
    return [t for n in numbers for t in (trial(BASELINE, n, **changes), candidate(n))]


def control(first: int = 0, count: int = 6, **changes: Any) -> list[Measurement]:
    """Return the pairs of the A/A control."""
    return pairs(CONTROL, lambda n: trial(CONTROL, n, **changes), first, count, **changes)


def write(
    path: Path, head: Header, trials: Sequence[Measurement], probes: Sequence[Measurement] = ()
) -> Path:
    """Write a run's folder and return it."""
    path.mkdir(parents=True)
    (path / "run.json").write_text(head.model_dump_json(indent=1), encoding="utf-8")
    for name, records in (("trials", trials), ("probes", probes)):
        lines = "".join(record.model_dump_json() + "\n" for record in records)
        (path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return path


def baseline_only(path: Path) -> Path:
    """Write a run of the baseline alone, three pairs, with a notice."""
    check = FlopsCheck(ours=14_748_672, fvcore=14_748_672, thop=None)
    first, *others = control(count=3)
    trials = [first.model_copy(update={"flops_check": check}), *others]
    notice = "no data folder given: UnitTest, an excerpt of Chinatown, is used"
    return write(path, header("baseline-only", repeats=3, notices=(notice,)), trials)


def every_verdict(path: Path) -> Path:
    """Write a test with each of the six verdicts, and single trials that failed."""
    arms = ("mixed-precision", "compile", "pruning", "early-stopping", "channels-last", "broken")
    model: dict[str, Any] = {
        "work": "other mathematics",
        "effect": "model",
        "model_bytes": 1_274_496,
    }
    less: dict[str, Any] = {"work": "less work", "effect": "learning"}
    raised = "ValueError: a\nb (x.py, line 3)"
    wobble = (0.8, 1.9, 1.1, 0.7, 1.6, 1.2)
    trials = [
        *pairs("mixed-precision", lambda n: trial("mixed-precision", n, 1.4, 0.9, 0.001)),
        *pairs("compile", lambda n: trial("compile", n, compiled=True), 6),
        *pairs("pruning", lambda n: trial("pruning", n, 1.3, 1.5, 0.05, **model), 12),
        *pairs("early-stopping", lambda n: trial("early-stopping", n, wobble[n - 18], **less), 18),
        lost("channels-last", -1, Status.NOT_APPLICABLE, "the model has no convolution | `Conv2d`"),
        *pairs("broken", lambda n: lost("broken", n, Status.FAILED, raised), 24),
        *control(30),
    ]  # fmt: skip
    reason = "the process was killed (signal 9)"
    trials[15] = lost("compile", 7, Status.OUT_OF_MEMORY, reason)
    return write(path, header("test", arms), trials)


def searched(path: Path) -> Path:
    """Write a full optimisation with probes, a confirmed combination and an exported recipe."""
    arms, both = ("mixed-precision", "adaptive-batch"), "mixed-precision+adaptive-batch"
    larger = recipe("adaptive-batch", batch_size=16).model_dump(mode="json")
    wide: dict[str, Any] = {"recipe": larger, "work": "other mathematics", "effect": "learning"}
    wide["items"] = 1520
    whole = recipe(both, batch_size=16).model_dump(mode="json")
    mixed: dict[str, Any] = {**wide, "recipe": whole, "stage": "confirm"}
    trials = [
        *pairs("mixed-precision", lambda n: trial("mixed-precision", n, 1.2)),
        *pairs("adaptive-batch", lambda n: trial("adaptive-batch", n, 1.5, 0.8, **wide), 6),
        *control(12),
        *pairs(both, lambda n: trial(both, n, 1.7, 0.8, **mixed), 18, stage="confirm"),
        *control(24, stage="confirm"),
    ]
    for n in range(30, 34):
        apart: dict[str, Any] = {**wide, "stage": "attribute"}
        trials += [
            trial(BASELINE, n, stage="attribute"),
            trial("mixed-precision", n, 1.2, stage="attribute"),
            trial("adaptive-batch", n, 1.5, 0.8, **apart),
            trial(both, n, 1.7, 0.8, **{**apart, "recipe": whole}),
        ]
    probes = [_probe(0, 8, 1.0), _probe(1, 16, 1.8), _probe(2, 32, 1.5)]
    reason = "RuntimeError: DefaultCPUAllocator: can't allocate memory"
    probes.append(lost("adaptive-batch", 3, Status.OUT_OF_MEMORY, reason, wall_seconds=0.4,
                       recipe=recipe(BASELINE, batch_size=64).model_dump(mode="json")))  # fmt: skip
    write(
        path,
        header("full-optimization", arms, command=("bench", "--full-optimization")),
        trials,
        probes,
    )
    (path / "optimized.json").write_text(json.dumps({}), encoding="utf-8")
    return path


def interrupted(path: Path) -> Path:
    """Write a test that was cut off in its second round, in the middle of a line."""
    trials = [*pairs("mixed-precision", lambda n: trial("mixed-precision", n, 1.4), 0, 1),
              *control(1, 1), trial(BASELINE, 2)]  # fmt: skip
    write(path, header("test", ("mixed-precision", "compile"), budget_seconds=900.0), trials)
    with (path / "trials.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"format": 1, "arm": "mixed-pre')
    return path


def verified(path: Path) -> Path:
    """Write a verification whose memory is not what was claimed."""
    claim = Claim(
        verdict="win", work="same work", pairs=6, time_ratio=(1.36, 1.4, 1.44),
        time_basis="step", memory_ratio=(1.94, 2.0, 2.06), metric_name="accuracy",
        metric=(0.977, 0.98, 0.983), margin=0.01, data_sha256=DATA.sha256, environment={}, seed=0,
        repeats=6,
    )  # fmt: skip
    trials = [*pairs("mixed-precision", lambda n: trial("mixed-precision", n, 1.4)), *control(6)]
    arm = Arm(recipe_file="results/earlier/optimized.json")
    head = header("verify", seed=6, command=("bench", "verify", arm.recipe_file))
    return write(path, head.model_copy(update={"arms": (arm,), "claim": claim}), trials)


def _probe(pair: int, batch: int, gain: float) -> Measurement:
    settings = recipe(BASELINE, batch_size=batch).model_dump(mode="json")
    return trial("adaptive-batch", pair, gain, recipe=settings, kind="step", wall_seconds=0.9)


RUNS: dict[str, Callable[[Path], Path]] = {
    "baseline_only": baseline_only,
    "every_verdict": every_verdict,
    "searched": searched,
    "interrupted": interrupted,
    "verified": verified,
}
