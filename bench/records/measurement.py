"""The raw facts of one trial, as they stand in a line of ``trials.jsonl``.

Nothing here is averaged or formatted; what is unknown is None.
"""

from __future__ import annotations

from enum import StrEnum
from statistics import median
from typing import Any, Literal

from bench.data_card import DataCard
from bench.records.schema import Record

BASELINE = "baseline"
CONTROL = "baseline#2"
"""The arm of the A/A control: the baseline once more, under another name."""


class Status(StrEnum):
    """How a trial ended."""

    OK = "ok"
    NOT_APPLICABLE = "not_applicable"
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


class Parameters(Record):
    """Counts of numbers in the trained model; a parameter used twice counts once."""

    trainable: int
    frozen: int
    buffers: int


class Evaluation(Record):
    """Metrics at one point of training; `train_seconds` excludes evaluation itself."""

    epoch: int
    step: int
    train_seconds: float
    values: dict[str, float]


class Inference(Record):
    """Forward passes of the deployed model in eval mode, seconds each."""

    items: int
    """How many the inputs held."""
    asked: int | None = None
    """How many were asked for, where that was recorded: there may be fewer."""
    seconds: tuple[float, ...]
    fresh: bool = True
    """By a copy that had seen no other size; False where something in the model can't be copied."""


Purpose = Literal["test", "confirm"]
"""Confirming trials are fresh pairs of what a screening chose; only they judge it."""

Work = Literal["same work", "other mathematics", "less work"]
"""What a gain would come from."""


class FlopsCheck(Record):
    """Forward FLOPs of one item by three counters; None where a counter can't tell."""

    ours: int
    fvcore: int | None
    thop: int | None
    unknown: dict[str, str] = {}
    """Why a counter can't tell, by its name."""


class Measurement(Record):
    """One recipe, one seed, one fresh process."""

    format: Literal[1] = 1
    arm: str
    pair: int
    seed: int
    kind: Literal["step", "full", "build"]
    stage: Purpose = "test"
    device: str
    threads: int
    status: Status
    reason: str | None = None
    recipe: dict[str, Any]
    effect: str | None = None
    """The strongest effect among the recipe's techniques; "exact" for the baseline."""
    work: Work | None = None
    started: str
    """UTC, ISO 8601."""
    wall_seconds: float | None = None
    """Of the trial's process, from its request to its end."""
    startup_seconds: float | None = None
    """From the request for the trial to its first line of code in the new process."""
    build_seconds: float | None = None
    """Reading data, building the job, applying the techniques."""

    metric: float | None = None
    metrics: tuple[Evaluation, ...] = ()
    losses: tuple[float, ...] = ()
    """Training loss of every step."""
    epochs: int = 0
    """Epochs finished."""
    planned_epochs: int | None = None
    epoch_items: int | None = None
    """Items that an epoch trains on, where it ends before all of the training part was drawn."""

    warmup_step_seconds: tuple[float, ...] = ()
    step_seconds: tuple[float, ...] = ()
    """Of every optimiser update after warm-up, data wait included."""
    window_seconds: float | None = None
    """Wall time after warm-up, without evaluation: the steps and what lies between them."""
    train_seconds: float | None = None
    """Wall time of the whole training, warm-up and what follows the last step (fine-tuning,
    conversion) included, evaluation not."""
    cpu_seconds: float | None = None
    """CPU time of the process, all threads, within the window."""
    items: int = 0
    """Items trained on within the window."""
    items_seen: int | None = None
    """Items trained on in all, warm-up included; an item counts each time."""
    phase_seconds: dict[str, float] = {}

    base_rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    end_anonymous_bytes: int | None = None
    """RssAnon at the end of training, less what it was at the start."""
    end_file_bytes: int | None = None
    """RssFile + RssShmem at the end of training, less what they were at the start."""
    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None

    model_flops_per_step: int | None = None
    forward_flops_per_item: int | None = None
    """Of the deployed model, where a technique makes it from the trained one."""
    flops_coverage: float | None = None
    flops_uncounted: tuple[str, ...] = ()
    flops_check: FlopsCheck | None = None
    parameters: Parameters | None = None
    model_bytes: int | None = None
    """Size of the file that `bench train` writes of the deployed model; None where its state is
    not of tensors alone."""
    inference: tuple[Inference, ...] = ()
    unknown: dict[str, str] = {}
    """What could not be told of facts that only advise, by their names, and why."""
    compiled: bool = False

    load_average: float | None = None
    """One-minute load when the trial ended."""
    cpu_pressure: float | None = None
    """Share of the trial's wall time in which some task waited for a CPU (Linux PSI)."""
    energy_joules: float | None = None
    data: DataCard | None = None

    @property
    def key(self) -> tuple[int, str]:
        """Return what identifies a trial within its run."""
        return self.pair, self.arm

    @property
    def ok(self) -> bool:
        """Return whether the trial gave its measurement."""
        return self.status is Status.OK

    def inference_of(self, asked: int) -> Inference | None:
        """Return the timing for which so many items were asked."""
        return next((i for i in self.inference if (i.asked or i.items) == asked), None)

    @property
    def seconds_per_item(self) -> float | None:
        """Return wall seconds per item over the whole window."""
        if self.window_seconds is None or not self.items:
            return None
        return self.window_seconds / self.items

    @property
    def items_an_epoch(self) -> int | None:
        """Return how many items an epoch trains on."""
        return self.epoch_items or (self.data.train_items if self.data else None)

    @property
    def peak_memory_bytes(self) -> int | None:
        """Return allocated bytes on CUDA, else the RSS above the process's own start."""
        if self.peak_allocated_bytes is not None:
            return self.peak_allocated_bytes
        if self.peak_rss_bytes is None or self.base_rss_bytes is None:
            return None
        return self.peak_rss_bytes - self.base_rss_bytes

    @property
    def setup_seconds(self) -> float | None:
        """Return what the first steps cost above the usual: compilation, autotuning, caches."""
        if not self.step_seconds:
            return None
        usual = median(self.step_seconds) * len(self.warmup_step_seconds)
        return max(0.0, sum(self.warmup_step_seconds) - usual)

    def seconds_to(self, target: float, metric: str) -> float | None:
        """Return training seconds until `metric` first reached `target`; None is censored."""
        for evaluation in self.metrics:
            if evaluation.values.get(metric, float("-inf")) >= target:
                return evaluation.train_seconds
        return None
