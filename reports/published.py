"""The report's JSON: what stands in it, and what each entry means.

Ratios are baseline / arm, above 1 is better; ``[low, middle, high]`` holds null for a bound that is
not known. Unknown is null.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from bench.analysis.items import JudgedBy
from bench.analysis.proof import Proof
from bench.analysis.revised import Answer

Number = float | None
Triple = tuple[Number, Number, Number] | None
"""An interval."""


class Pair(TypedDict):
    """One pair behind an arm's intervals."""

    pair: int
    seed: int
    time_ratio: Number
    cpu_ratio: Number
    memory_ratio: Number
    gain: Number
    """By how much the metric is better."""


class Figures(TypedDict):
    """An arm in absolute figures, in seconds, bytes, joules: medians over its whole trainings that
    ended well, or, where it has none, over its trials of steps alone."""

    trials: int
    whole_trainings: int
    step_seconds: Number
    slow_step_seconds: Number
    cpu_seconds_per_step: Number
    items_per_second: Number
    train_seconds: Number
    epochs: Number
    items_seen: Number
    energy_joules: Number
    memory_bytes: dict[str, Number]
    model: dict[str, Any]
    setup_seconds: dict[str, Number]
    step_spread_seconds: list[float]
    """That 5, 25, 50, 75 and 95 % of all steps do not exceed."""
    phase_seconds: dict[str, float]
    """Of a step."""
    outside_seconds: dict[str, Number]
    """Of a whole training, outside of its steps."""
    metrics: dict[str, float]
    """Of the last evaluations."""


class Scaling(TypedDict):
    """How an arm scales that trains in several processes, the baseline in one."""

    processes: int
    threads: int
    """Of each."""
    efficiency: Triple
    """Time of one process / (processes x time of all)."""
    window_seconds: list[Number]
    """By process: what its timed steps took in all."""
    memory_bytes: list[Number]
    """By process: its peak."""
    memory_together_bytes: Number


Counted = tuple[int, int]


class Arm(TypedDict):
    """One arm against the baseline."""

    verdict: str
    gains: list[str]
    work: str | None
    time_ratio: Triple
    time_basis: Literal["step", "training"]
    cpu_ratio: Triple
    energy_ratio: Triple
    time_median: Number
    memory_ratio: Triple
    memory_median: Number
    metric: Triple
    metric_difference: Triple
    quality_gain: Triple
    """By how much the metric is better, where that is what the run is after."""
    judged_by: JudgedBy
    """By what the difference is known: how it varies over seeds, over test items, or both."""
    test_items: int | None
    other_differences: dict[str, Triple]
    pairs: int
    more_pairs: int | None
    more_seconds: Number
    """That these would take."""
    needed_margin: Number
    open: bool
    reason: str
    at_most: dict[str, Number]
    confirmed: bool
    same_losses: bool | None
    loss_steps: int
    flops_ratio: Number
    size_ratio: Number
    latency_ratio: Number
    throughput_ratio: Number
    inference_flops_ratio: Number
    setup_seconds: Number
    payback_steps: int | None
    search_seconds: Number
    search_payback_epochs: int | None
    seconds_to_target: Number
    reached: Counted | None
    """How many whole trainings reached the target, and of how many."""
    target_ratio: Number
    """The median of the paired ratios of time to target."""
    statuses: dict[str, int]
    scaling: Scaling | None
    """Null: it trains in one process."""
    recipe_id: str | None
    figures: Figures | None
    single_pairs: list[Pair]


class Claim(TypedDict):
    """The claim that is verified, and what the measurements say of it."""

    answer: Proof | None
    holds: bool | None
    problems: list[str]
    time_ratio: Triple
    time_basis: Literal["step", "training"]
    memory_ratio: Triple
    metric: Triple


class Revision(TypedDict):
    """One side of a comparison of two revisions."""

    given: str
    commit: str | None
    versions: dict[str, str]
    """Of packages that it has in another version, by name."""


class Worse(TypedDict):
    """One question about a change: shares, or what is lost of the metric in its own unit."""

    answer: Answer
    worse: Triple
    limit: float
    smallest_visible: float | None
    """The smallest regression that so many pairs find four times in five."""


class Revisions(TypedDict):
    """What is said of a change: `head` beside `base`, the run's baseline."""

    answer: Answer
    base: Revision
    head: Revision
    pairs: int
    confirmed: bool
    reason: str | None
    worse: dict[str, Worse]


class Try(TypedDict):
    """Settings that a search tried, with what all trials of them gave."""

    settings: dict[str, Any]
    tries: int
    gain: Number
    """In the metric that settings are chosen by, or of the logarithm of a ratio."""
    time_ratio: Number
    fits: bool
    """Whether every trial trained, and no limit was exceeded."""


class Search(TypedDict):
    """What settings were searched over, and what was found, the best first."""

    ranges: dict[str, dict[str, Any]]
    chosen_by: str | None
    tries: list[Try]


class Attribution(TypedDict):
    """What each technique of the confirmed combination adds, and each two together."""

    arm: str
    objective: str
    rounds: int
    subsets: int
    orders: int
    contributions: dict[str, Triple]
    interactions: dict[str, Triple]


class Rule(TypedDict):
    """When arms were looked at, and among how many the error was shared out."""

    first: int
    most: int
    alpha: float
    arms: int


class Control(TypedDict):
    """The baseline against itself."""

    pairs: int
    time_ratio: Triple
    memory_ratio: Triple
    same_losses: bool | None


class Report(TypedDict):
    """What ``bench report RUN --format json`` and ``bench show RUN --json`` print."""

    format: Literal[1]
    run: str
    mode: str
    baseline: str
    verdict: str
    claim: Claim | None
    revisions: Revisions | None
    winner: str | None
    arms: dict[str, Arm]
    attribution: Attribution | None
    smallest_visible_effect: Number
    visible_pairs: int
    rule: Rule
    control: Control | None
    objectives: list[str]
    limits: dict[str, float]
    times_baseline: dict[str, float]
    """Limits as multiples of what the baseline takes."""
    search: Search | None
    front: list[str]
    metric_name: str
    metric_direction: Literal["higher", "lower"]
    margin: float
    margin_is_relative: bool
    target: Number
    baseline_metric: Triple
    baseline_seconds_to_target: Number
    baseline_reached: Counted | None
    baseline_figures: Figures | None
    baseline_recipe_id: str | None
    statuses: dict[str, int]
    complete: bool
    finished: bool
    exported: bool
    too_noisy: bool
    """Whether the machine was too noisy for the ratios of time to be trusted."""
    warnings: list[str]
    started: str
    command: list[str]
    commit: str | None
    device: str
    threads: int
    seed: int
    unit: str
    """What is counted in items a second."""
    settings: dict[str, Any]
    environment: dict[str, Any]
