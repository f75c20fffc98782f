"""What every technique gives on the baseline where it should help most, by `bench` itself.

Run by hand: ``python -m tests.benchmarks.bench_techniques [--repeats 4] [--output DIR] [ROW ...]``,
on an idle machine; other options go to `bench` (``--threads=1``). Every row is one run of `bench`,
whose report stays in DIR: interleaved pairs in fresh processes, full trainings with the quality.
Targets, on two cores: pruning at 0.5 at least 2x less FLOPs and 1.5x faster inference, quantization
a 3x smaller file and 2x faster inference, both with the accuracy within the margin of 0.02;
mixed-precision 1.5x; gradient-checkpointing 40 % less peak memory, where freed memory is returned.
The other techniques have no target: their rows show what they give here, which may be nothing. A
test holds that each technique has a row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BENCH = Path(sys.executable).parent / "bench"
NETS = Path(__file__).with_name("nets.py")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MARGIN = 0.02
SHOWN = {
    "time": "time_ratio", "memory": "memory_ratio", "step FLOPs": "flops_ratio",
    "inference FLOPs": "inference_flops_ratio", "file": "size_ratio", "latency": "latency_ratio",
    "throughput": "throughput_ratio",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A baseline, techniques to test on it, and the least ratio of what each promises."""

    baseline: str
    techniques: tuple[str, ...]
    targets: dict[str, dict[str, float]] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    mode: str = "--test"
    data: str | None = None
    """The folder among the data sets, where the baseline has to be told."""


RESNET, DEEP, WIDE = (f"{NETS}:{name}" for name in ("ResNet", "DeepNet", "WideNet"))
ROWS = {
    "conv": Row(
        RESNET,
        ("quantization", "mixed-precision"),
        {
            "quantization": {"file": 3.0, "latency": 2.0, "throughput": 2.0},
            "mixed-precision": {"time": 1.5},
        },
        ("--set", "pixels=64"),  # at 32 a step is bound by calls
    ),
    "pruned": Row(
        RESNET,
        ("pruning:after=0.25",),
        {"pruning": {"inference FLOPs": 2.0, "throughput": 1.5, "latency": 1.5}},
    ),
    "deep": Row(
        DEEP,
        ("gradient-checkpointing", "allocator:policy=return"),
        {"gradient-checkpointing+allocator": {"memory": 1 / 0.6}},
        ("--set", "pixels=64"),
        mode="--combine",  # the C library would keep what recomputation frees
    ),
    "layout": Row(
        "xray",
        ("channels-last",),
        settings=(
            *("--dataset", "pneumonia", "--set", "preset=after"),
            *("epochs=1", "steps_per_epoch=20"),
        ),
        data="xray",
    ),
    "converted": Row(RESNET, ("compile", "quantization:mode=bf16")),
    "wide": Row(WIDE, ("fused-optimizer", "adafactor", "low-rank")),
    "pictures": Row(RESNET, ("label-smoothing", "mixup", "cutmix", "progressive-resizing", "ema")),
    "items": Row(RESNET, ("selective-backprop", "curriculum-learning")),
    "small-batch": Row(
        DEEP,
        ("gradient-accumulation",),
        settings=("--set", "pixels=32", "train_items=128", "--batch-size", "16"),
    ),
    "distilled": Row(
        RESNET, ('knowledge-distillation:teacher={"width":32}',), settings=("--set", "width=8")
    ),
    "series": Row(
        "timehut",
        (
            "early-stopping",
            "sequence-reduction",
            "adaptive-batch",
            "scale-model",
            "allocator",
            "thread-tuning",
            "temperature-schedule",
        ),
        settings=("--dataset", "Chinatown", "--epochs", "50"),
        data="ucr",
    ),
    "encoder": Row(
        "s4-ecg",
        ("freeze-encoder", "dynamic-lr"),
        settings=("--dataset", "ptbxl", "--epochs", "3", "--set", "kernel=s4d"),
        data="ptbxl",
    ),
    "features": Row(
        "s4-ecg",
        ("cached-features",),
        settings=("--dataset", "ptbxl", "--epochs", "5", "--set", "frozen=true", "kernel=s4d"),
        data="ptbxl",
    ),
    "records": Row(
        "ecg-cnn",
        ("lazy-loading", "memory-efficient-loading", "oversampling", "weighted-sampling"),
        settings=("--dataset", "cinc2020", "--epochs", "3", "--set", "length=5000"),
        data="cinc2020",
    ),
    "attention": Row(
        "ecg-cnn",
        ("memory-efficient-attention",),
        settings=("--dataset", "cinc2020", "--epochs", "1", "--set", "attention=true"),
        data="cinc2020",
    ),
    "shortcuts": Row(
        "xray",
        (
            "limit-steps",
            "smaller-input",
            "minimal-augmentation",
            'lighter-architecture:also={"width":0.5}',
        ),
        settings=(
            "--dataset",
            "pneumonia",
            "--epochs",
            "2",
            "--set",
            "augmentation=heavy",
            "architecture=mobilenetv2",
            "steps_per_epoch=40",
        ),
        data="xray",
    ),
    "deployed": Row(
        "murmur",
        ("tta", "ensemble"),
        settings=("--dataset", "circor", "--epochs", "5"),
        data="circor",
    ),
}
NOT_HERE = {"cuda-optimizations"}
"""Techniques for a GPU alone."""


def measure(row: Row, repeats: int, output: Path, data: Path, options: list[str]) -> dict[str, Any]:
    """Run `bench` once; return what it says of each arm."""
    command = [
        str(BENCH), "--baseline", row.baseline, row.mode, *row.techniques, "--repeats",
        str(repeats), "--margin", str(MARGIN), "--output", str(output), "--json",
        *row.settings, *(["--data-dir", str(data / row.data)] if row.data else []),
        *options,
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    arms: dict[str, Any] = json.loads(done.stdout)["arms"]
    return arms


def shown(found: dict[str, Any]) -> dict[str, float]:
    """Return the middle of each ratio, baseline / candidate, that is known."""
    ratios = {name: found.get(key) for name, key in SHOWN.items()}
    middles = {name: r[1] if isinstance(r, list) else r for name, r in ratios.items()}
    return {name: value for name, value in middles.items() if value is not None}


def line(arm: str, found: dict[str, Any], targets: dict[str, float]) -> str:
    """Return what an arm gave, and which of its targets it misses by how much."""
    ratios = shown(found)
    figures = ", ".join(f"{name} {value:.2f}x" for name, value in ratios.items())
    change = found.get("metric_difference")
    quality = f"metric {change[1]:+.4f} [{change[0]:+.4f}, {change[2]:+.4f}]" if change else ""
    missed = [
        f"{name} {ratios.get(name, 0):.2f}x < {least:.2f}x"
        for name, least in targets.items()
        if ratios.get(name, 0) < least
    ]
    verdict = f"MISSED: {'; '.join(missed)}" if missed else "targets met" if targets else "-"
    return f"{arm}: {found['verdict']}; {figures}; {quality}; {verdict}"


def main() -> None:
    """Print a line for each technique."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of all data sets")
    asked, options = parser.parse_known_args()
    for name in asked.rows:
        row = ROWS[name]
        for arm, found in measure(row, asked.repeats, asked.output, asked.data, options).items():
            targets = row.targets.get(arm.partition(":")[0], {})
            print(line(arm, found, targets), flush=True)


if __name__ == "__main__":
    main()
