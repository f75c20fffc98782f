"""The raw facts of one trial, a line of ``trials.jsonl``: not averaged, None where unknown."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from statistics import median
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bench.data_card import DataCard
from bench.records.item_scores import ByItem
from bench.records.node import Placed
from bench.records.profile import Profiled
from bench.records.ranks import Ranks
from bench.records.recipe import Recipe
from bench.records.schema import Amount, Count, Instant, Json, Number, Record, Share, Text, Whole

BASELINE = "baseline"
CONTROL = "baseline#2"  # the A/A control: the baseline once more, under another name


def _of_recipe(content: Json) -> Json:
    """Return a recipe's content; raise `ValueError` where it is none."""
    Recipe.model_validate(content)
    return content


Name = Annotated[Text, Field(min_length=1)]
RecipeContent = Annotated[Json, AfterValidator(_of_recipe)]


class Status(StrEnum):
    """How a trial ended."""

    OK = "ok"
    NOT_APPLICABLE = "not_applicable"
    BOUNDED = "bounded"  # not tried: what it could gain at most is not worth finding
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


UNTRIED = frozenset({Status.NOT_APPLICABLE, Status.BOUNDED})


class Parameters(Record):
    """Counts of numbers in the trained model; a parameter used twice counts once."""

    trainable: Count
    frozen: Count
    buffers: Count


class Evaluation(Record):
    """Metrics at one point of training; `train_seconds` excludes evaluation itself."""

    epoch: Count
    step: Count
    train_seconds: Amount
    values: dict[Text, Number]
    items: Count | None = None
    """Trained on until then; an item counts each time. None: it was not recorded."""


class Inference(Record):
    """Forward passes of the deployed model in eval mode, seconds each."""

    items: Count
    """How many the inputs held."""
    asked: Count | None = None
    """How many were asked for, where that was recorded: there may be fewer."""
    seconds: tuple[Amount, ...]
    fresh: bool = True
    """By a copy that had seen no other size; False where something in the model can't be copied."""


class Surroundings(Record):
    """What else went on while a trial trained; None where the system doesn't tell."""

    waited_seconds: Amount | None
    """That the training's thread was ready to run and had to wait for a CPU."""
    foreign_cores: Amount | None
    """CPU seconds that others used, for each second."""
    throttled_seconds: Amount | None
    """That the quota of the process's group held it back."""
    clock_gap_seconds: Amount
    """By how much its clocks disagree about how long it took: the time was set, or it slept."""


Purpose = Literal["test", "combine", "tune", "confirm", "attribute"]
"""Confirming trials are fresh pairs of what a screening chose; only they judge it. Combining ones
tell which techniques of a combination add nothing, tuning ones which settings are best, attributing
ones what each technique adds: they judge no arm."""
JUDGING = frozenset[Purpose]({"test", "confirm"})

Work = Literal["same work", "other mathematics", "less work"]
"""What a gain would come from."""


class FlopsCheck(Record):
    """Forward FLOPs of one item by three counters; None where a counter can't tell."""

    ours: Count
    fvcore: Count | None
    thop: Count | None
    unknown: dict[Text, Text] = {}
    """Why a counter can't tell, by its name."""


class Identity(Placed):
    """Which trial of a run this is, and on what it ran."""

    arm: Name
    pair: Annotated[int, Field(ge=-1, le=2**31)]
    """-1: no pair; the record says why an arm was not tried."""
    seed: Whole
    kind: Literal["step", "full", "build"]
    stage: Purpose = "test"
    device: Text
    threads: Count
    recipe: RecipeContent


class Ending(Record):
    """How a trial ended, and when."""

    status: Status
    reason: Text | None = None
    started: Instant  # UTC
    wall_seconds: Amount | None = None
    """Of the trial's process, from its request to its end."""
    startup_seconds: Amount | None = None
    """From the request for the trial to its first line of code in the new process."""
    load_average: Amount | None = None
    """One-minute load when the trial ended."""
    cpu_pressure: Share | None = None
    """Share of the trial's wall time in which some task waited for a CPU (Linux PSI)."""
    attempt: Count = 0
    """How often this trial had been run before, and was disturbed."""
    disturbed: Text | None = None
    """What disturbed it. One that was run again failed; the last of its runs counts, marked."""
    stopped_seconds: Amount = 0.0
    """How long the trial's process stood still (a signal, a suspended machine), to about 0.3 s."""
    left_processes: tuple[Text, ...] = ()
    """What it left running, which was ended, by command line."""
    reused_from: Text | None = None
    """The run that made it, where it was taken from an earlier one."""


class Preparation(Record):
    """What was built, and from what."""

    effect: Text | None = None
    rounding: Amount | None = None
    """How far its arithmetic may move the losses of the first steps, relatively."""
    work: Work | None = None
    touches: tuple[Text, ...] | None = None
    """What its techniques can make cheaper, as they declare it; None: anything."""
    build_seconds: Amount | None = None
    """Reading data, building the job, applying the techniques."""
    planned_epochs: Count | None = None
    epoch_items: Count | None = None
    """Items that an epoch trains on, where it ends before all of the training part was drawn."""
    base_rss_bytes: Count | None = None
    data: DataCard | None = None


class Training(Record):
    """What training took and gave."""

    metric: Number | None = None
    metrics: tuple[Evaluation, ...] = ()
    losses: tuple[Number, ...] = ()
    """Training loss of every step."""
    epochs: Count = 0
    """Epochs finished."""
    warmup_step_seconds: tuple[Amount, ...] = ()
    step_seconds: tuple[Amount, ...] = ()
    """Of every optimiser update after warm-up, data wait included."""
    window_seconds: Amount | None = None
    """Wall time after warm-up, without evaluation: the steps and what lies between them."""
    train_seconds: Amount | None = None
    """Wall time of all, with warm-up and what follows the last step, without evaluation."""
    cpu_seconds: Amount | None = None
    """CPU time of the process, all threads, within the window."""
    items: Count = 0
    """Items trained on within the window."""
    largest_batch: Count | None = None
    """Items of the step that trained on the most."""
    items_seen: Count | None = None
    """Items trained on in all, warm-up included; an item counts each time."""
    phase_seconds: dict[Text, Amount] = {}
    compiled: bool = False


class Usage(Record):
    """What training used of the machine."""

    peak_rss_bytes: Count | None = None
    end_anonymous_bytes: Whole | None = None
    """RssAnon at the end of training, less what it was at the start."""
    end_file_bytes: Whole | None = None
    """RssFile + RssShmem at the end of training, less what they were at the start."""
    peak_allocated_bytes: Count | None = None
    peak_reserved_bytes: Count | None = None
    energy_joules: Amount | None = None
    surroundings: Surroundings | None = None


class Advice(Record):
    """What is known of the model and its deployment, beside what is judged."""

    model_flops_per_step: Count | None = None
    forward_flops_per_item: Count | None = None
    """Of the deployed model, where a technique makes it from the trained one."""
    flops_coverage: Share | None = None
    flops_uncounted: tuple[Text, ...] = ()
    flops_check: FlopsCheck | None = None
    parameters: Parameters | None = None
    model_bytes: Count | None = None
    """Size of the file that `bench train` writes of the deployed model; None where its state is
    not of tensors alone."""
    validation_loss: Number | None = None  # of the deployed model; told of what a search tries
    inference: tuple[Inference, ...] = ()
    unknown: dict[Text, Text] = {}
    """What could not be told of facts that only advise, by their names, and why."""


class Measurement(ByItem, Profiled, Advice, Ranks, Usage, Training, Preparation, Ending, Identity):
    """One recipe, one seed, one fresh process: all parts, side by side in one line."""

    format: Literal[1] = 1

    @classmethod
    def of(cls, *parts: Record) -> Measurement:
        """Return the measurement that these parts make; of two that say the same, the later."""
        return cls(
            **{name: getattr(part, name) for part in parts for name in part.model_fields_set}
        )

    @property
    def key(self) -> tuple[int, str]:
        """Return what identifies a trial within its run."""
        return self.pair, self.arm

    @property
    def set_aside(self) -> bool:
        """Tell whether it was disturbed and run again: it is kept, and counts for nothing."""
        return self.disturbed is not None and self.status is Status.FAILED

    @property
    def ok(self) -> bool:
        """Return whether the trial gave its measurement."""
        return self.status is Status.OK

    def inference_of(self, asked: int) -> Inference | None:
        """Return the timing for which so many items were asked."""
        return next((i for i in self.inference if (i.asked or i.items) == asked), None)

    @property
    def judges(self) -> bool:
        """Return whether an arm may be judged by the trial."""
        return self.stage in JUDGING

    @property
    def seconds_per_item(self) -> float | None:
        """Return wall seconds per item over the whole window."""
        if self.window_seconds is None or not self.items:
            return None
        return self.window_seconds / self.items

    @property
    def items_an_epoch(self) -> int | None:
        """Return how many items an epoch trains on; None: not known, as of a stream."""
        return self.epoch_items or (self.data.train_items if self.data else 0) or None

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


def counting(records: Iterable[Measurement]) -> list[Measurement]:
    """Return the trials that count: without those that were disturbed and run again."""
    return [record for record in records if not record.set_aside]
