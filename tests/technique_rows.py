"""Where each technique should help most: what `tests.benchmarks.bench_techniques` runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

NETS = Path(__file__).parent / "benchmarks" / "nets.py"


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
NOT_HERE = {"cuda-optimizations", "data-parallel", "script-arguments"}
"""Techniques for a GPU, or for a script, alone."""
