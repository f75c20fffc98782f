"""The baselines that every registered technique is held to its promises on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.recipes import registry
from bench.testing import CPU as CPU
from bench.testing import STEPS as STEPS
from bench.testing import Case as Case
from bench.testing import effect_of as effect_of
from bench.testing import global_state as global_state
from bench.testing import made_up_probe as probe_for
from bench.testing import plain_state as plain_state
from bench.testing import stepped as stepped

JOBS = Path(__file__).resolve().parents[1] / "jobs.py"
SMALL: dict[str, dict[str, Any]] = {
    "timehut": {
        "dataset": "UnitTest", "epochs": 4, "batch_size": 4, "hidden": 8, "depth": 2, "output": 8,
    },
    "s4-ecg": {
        "dataset": "synthetic", "synthetic_records": 30, "epochs": 3, "batch_size": 8,
        "layers": 2, "residual": 4, "skip": 8, "kernel": "s4d",
    },
    "ecg-cnn": {
        "dataset": "synthetic", "synthetic_records": 40, "synthetic_samples": 500, "length": 400,
        "epochs": 8, "batch_size": 8, "lr": 3e-3, "width": 4, "attention": True, "residual": True,
    },
    "xray": {
        "dataset": "synthetic", "synthetic_images": 40, "epochs": 3, "batch_size": 8, "lr": 0.01,
        "lr_decay": "none", "width": 0.1, "image_size": 32, "hidden": 8,
    },
    "murmur": {
        "dataset": "synthetic", "synthetic_patients": 30, "synthetic_seconds": 3.0, "epochs": 4,
        "mels": 24, "hop_ms": 40, "seconds": 1.5, "stretches": 1, "batch_size": 8, "width": 0.1,
        "hidden": 64, "lr": 1e-3, "dropout": 0.0,
    },
}  # fmt: skip
"""Settings that make a registered baseline small; one that isn't here is used as it is."""
TECHNIQUES = registry.names(registry.TECHNIQUES)
REGISTERED = registry.names(registry.BASELINES)
OTHERS = ("template", "conv-net", "pictures")
"""Baselines in files, which train in a moment."""
EXTRA = ("s4-ecg-frozen",)
"""Baselines that are here for what few techniques need."""
SLOW = {"compile"}
AT_ONCE = {"early-stopping": "early-stopping:patience=1,every=1,min_delta=9"}
"""How to ask for what waits, so that a short training sees it."""
CONV_NET = Case(f"{JOBS}:ConvNet", {})
PICTURES = Case(f"{JOBS.with_name('pictures.py')}:Pictures", {})
"""Small and cheap, with something in it for every technique."""
S4_FROZEN = Case("s4-ecg", {**SMALL["s4-ecg"], "frozen": True})
TINY = [
    Case(PICTURES.baseline, {"epochs": 2}),
    Case(PICTURES.baseline, {"epochs": 2, "augmentation": "noise"}),
    Case(PICTURES.baseline, {"epochs": 2, "frozen": True}),
    Case(CONV_NET.baseline, {"epochs": 2}),
    Case("timehut", SMALL["timehut"] | {"epochs": 2}),
]
"""One of these has what a technique, or nearly any two, need; none takes long."""
QUICK = [
    "smaller-input:multiple=4" if name == "smaller-input" else name  # of 8 pixels, not to 32
    for name in TECHNIQUES
    if name not in SLOW
]
"""Techniques to try on `TINY`."""

__all__ = [
    "AT_ONCE",
    "CONV_NET",
    "CPU",
    "EXTRA",
    "JOBS",
    "OTHERS",
    "PICTURES",
    "QUICK",
    "REGISTERED",
    "S4_FROZEN",
    "SLOW",
    "SMALL",
    "STEPS",
    "TECHNIQUES",
    "TINY",
    "Case",
    "effect_of",
    "global_state",
    "plain_state",
    "probe_for",
    "stepped",
]  # fmt: skip
