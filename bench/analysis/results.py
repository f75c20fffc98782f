"""What a comparison found: frozen values that every report reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from bench.analysis.attribution import Attribution
from bench.analysis.intervals import Interval
from bench.analysis.items import JudgedBy
from bench.analysis.levels import Rule
from bench.analysis.objectives import QUALITY, Basis, Gain, Objective, Sought
from bench.analysis.verdict import Verdict
from bench.records.measurement import Work
from bench.records.schema import Record


class Aims(Record):
    """In which objectives a gain counts, and what no arm may exceed, both by name."""

    objectives: tuple[str, ...] = ()
    """One, or two side by side; none: any cost counts, time before memory."""
    limits: dict[str, float] = {}
    """In the objective's own unit."""
    times_baseline: dict[str, float] = {}
    """Limits as multiples of what the baseline takes."""

    @property
    def quality(self) -> bool:
        """Tell whether it is the metric that is to be better."""
        return QUALITY.name in self.objectives

    def counts(self, objective: Objective) -> bool:
        """Tell whether a gain in an objective may be one: so is one in what is limited."""
        if self.quality or objective is QUALITY:
            return self.quality and objective is QUALITY
        limited = objective.name in {*self.limits, *self.times_baseline}
        return not self.objectives or objective.name in self.objectives or limited

    def sought(self, over: Collection[str]) -> Sought:
        """Return in what gains are looked for, of a baseline that is `over` these limits.

        What is limited alone has its share of the error whatever trials show, but a gain in it is
        one only where the baseline is over its limit: then what has it gets under that.
        """
        wanted = {*self.objectives, *over}
        return Sought(
            self.counts, lambda row: not self.objectives or row.name in wanted,
            named=bool(self.objectives),
        )  # fmt: skip


class Bound(NamedTuple):
    """The most that a technique can gain in one objective."""

    objective: str
    ratio: float
    why: str


class ArmResult(Record):
    """A candidate against the baseline; ratios are baseline / candidate, above 1 is better."""

    arm: str
    verdict: Verdict
    reason: str
    gains: tuple[Gain, ...] = ()
    work: Work | None = None
    pairs: int = 0
    more_pairs: int | None = None
    """About how many more pairs would decide; None when decided, or when that can't be told."""
    needed_margin: float | None = None
    """With which margin the metric would be found kept, where that is what is open."""
    goes_on: bool = False
    """Whether another pair is worth making: it is open, and not hopeless."""
    time_basis: Basis = "step"
    """Whether time is seconds per item in the steady state, or the whole training's seconds."""
    time_ratio: Interval | None = None
    cpu_ratio: Interval | None = None
    """Of CPU seconds an item: where it disagrees with time, something else used the machine."""
    memory_ratio: Interval | None = None
    energy_ratio: Interval | None = None
    deployed_ratios: dict[str, Interval] = {}
    """Of the objectives that are the deployed model's, by name."""
    time_median: float | None = None
    memory_median: float | None = None
    """Of the paired ratios, beside their mean."""
    metric: Interval | None = None
    metric_difference: Interval | None = None
    """Candidate - baseline, paired by seed."""
    quality_gain: Interval | None = None
    """By how much the metric is better, where that is what the run is after."""
    judged_by: JudgedBy = "seeds"
    """By what the difference is known."""
    test_items: int | None = None
    """On how many it was judged."""
    difference_is_relative: bool = False
    """Whether that is a share of the baseline's."""
    other_differences: dict[str, Interval] = {}
    """The same of each metric that stands beside the judged one, by its name."""
    same_losses: bool | None = None
    """Whether every loss was bit-equal to the paired baseline's; None: over too few steps."""
    losses_agree: bool = False
    """Whether that is why its quality counts as kept: they agree as its effect promises; beside a
    baseline that doesn't repeat, in half of the pairs or more."""
    loss_steps: int = 0
    """Over how many steps the losses of every pair were compared."""
    flops_ratio: float | None = None
    size_ratio: float | None = None
    latency_ratio: float | None = None  # of one item; throughput: of 32 at once
    throughput_ratio: float | None = None
    inference_flops_ratio: float | None = None
    setup_seconds: float | None = None
    """What the first steps cost above the usual in the first trial of its recipe, less the
    baseline's."""
    warm_setup_seconds: float | None = None
    """The same in the later trials, whose caches are warm."""
    setup_is_sure: bool = False
    """Whether that is beyond what the baseline's own set-ups differ by."""
    payback_steps: int | None = None
    planned_steps: int | None = None
    seconds_to_target: float | None = None
    reached: tuple[int, int] | None = None
    """How many whole trainings reached the target, and of how many: the others are censored."""
    target_ratio: float | None = None
    """The median of the paired ratios of time to target, those that never got there included."""
    statuses: dict[str, int] = {}
    search_seconds: float | None = None
    """What finding the recipe cost: the probes of its techniques."""
    search_payback_epochs: int | None = None
    bounds: tuple[Bound, ...] = ()
    """The most that it can gain, in the objectives in which that can be told beforehand."""
    confirmed: bool = False
    """Whether the pairs are fresh ones, made after a screening had chosen the arm."""

    def ratio(self, objective: str) -> Interval | None:
        """Return the ratio in an objective; None where it is unknown."""
        own = {"time": self.time_ratio, "memory": self.memory_ratio, "energy": self.energy_ratio}
        return own.get(objective) or self.deployed_ratios.get(objective)


class Control(Record):
    """The baseline against itself."""

    pairs: int
    time_ratio: Interval | None
    cpu_ratio: Interval | None
    memory_ratio: Interval | None
    same_losses: bool | None


class Comparison(Record):
    """Everything that a report says, apart from the records themselves."""

    margin: float
    margin_is_relative: bool = False
    """Whether it is a share of the baseline's metric."""
    baseline_metric: Interval | None
    baseline_seconds_to_target: float | None
    baseline_reached: tuple[int, int] | None = None
    control: Control | None
    smallest_visible_effect: float | None
    """The relative gain in time that `visible_pairs` pairs find four times in five."""
    visible_pairs: int
    arms: tuple[ArmResult, ...]
    aims: Aims = Aims()
    baseline_over: str | None = None
    """What of the baseline itself is over a limit."""
    complete: bool
    """False when every trial of some arm failed."""
    rule: Rule = Rule()
    """How arms are looked at, and among how many the allowed error is shared out."""
    attribution: Attribution | None = None
    """What each technique of the confirmed combination adds, where that was measured."""
