"""The sequential verdict: after every round, is an arm decided, worth going on with, or hopeless?

Bounds are latched: what one look has shown stays shown. The errors (see `Rule`) hold however often
anybody looks, and wherever the pairs end. Everything works along the last axis, pair by pair, NaN
where a value is unknown; leading axes are runs of their own, as simulations have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bench.analysis.estimate import (
    RATIO_FLOOR,
    Counts,
    Estimate,
    Flags,
    Marks,
    Values,
    bounds,
    counted,
    estimate,
)
from bench.analysis.items import Items, JudgedBy, by_items
from bench.analysis.levels import Rule
from bench.analysis.nodes import Labels, by_nodes

LEAST_GAIN = 1.01
"""A gain must be larger than this ratio: what is smaller is not worth a change of config."""
WORTH_FINDING = 1.05
"""Where every bound excludes gains of this size, the answer is "no gain"."""
LEAST, WORTH = math.log(LEAST_GAIN), math.log(WORTH_FINDING)
FAILED_COUNT, FAILED_SHARE = 2, 0.2
"""So many failed trainings, at least this share of the pairs that tell, are a loss of quality."""


class Answer(IntEnum):
    """What the pairs so far say of an arm."""

    OPEN = 0
    WIN = 1
    NO_GAIN = 2
    LOSS = 3
    UNSAFE = 4
    """It would have won, but some of its trainings failed where the baseline's did not."""


@dataclass(frozen=True)
class Objective:
    """What one objective gave: logarithms of baseline / candidate, or differences of a metric;
    above 0 is better."""

    name: str
    logs: Values
    deterministic: bool = False
    """The same in every trial: compared exactly, with no share of the allowed error."""
    least: float = LEAST
    """A gain must be larger."""
    worth: float = WORTH
    """Where a gain of this size is excluded, there is none worth finding."""
    floor: float = RATIO_FLOOR
    """The least standard deviation believed."""
    ratios: bool = True
    """Whether these are ratios of which outliers are clipped."""
    nodes: Labels | None = None
    """On which node each pair was measured, where these are several."""
    wanted: bool = True
    """Whether a gain in it is one. Else it only has its share of the error."""


@dataclass(frozen=True)
class Quality:
    """What is known of the metric: candidate - baseline, and whether losses agree."""

    differences: Values
    margin: float
    floor: float = 0.0
    """The least standard deviation believed of a difference: half a test item's share."""
    agree: Marks | None = None
    """Whether the losses of a pair agree as the effect promises, unknown where a trial of it gave
    none; None: nothing is promised."""
    exact: bool = False
    """Losses that are equal bit for bit settle the metric: it can't be lost."""
    items: Items | None = None
    """What is known of the single test items; None: nothing, or not of every pair."""
    half: bool = False
    """Half of the pairs that tell are to agree, not all: equal trainings of the baseline differ,
    too."""

    @property
    def judged_by(self) -> JudgedBy:
        """Return by what the metric's difference is known."""
        if self.items is None:
            return "seeds"
        return "items" if self.items.way == "converted" else "seeds and items"

    def agreed(self, pairs: int) -> Flags:
        """Return where the losses of the first pairs agree, of those that tell."""
        if self.agree is None:
            return np.zeros(self.differences.shape[:-1], bool)
        agree, told = counted(self.agree, pairs)
        return np.asarray((told > 0) & ((2 if self.half else 1) * agree >= told))

    def estimate(self, pairs: int) -> Estimate:
        """Return the mean difference of the first pairs, with its error."""
        seen = self.differences[..., :pairs]
        if self.items is None:
            return estimate(seen, self.floor)
        items = self.items._replace(squares=self.items.squares[..., :pairs])
        return by_items(seen, self.floor, self.margin, items)


@dataclass(frozen=True)
class Look:
    """Everything that the first `pairs` pairs and the looks before have shown."""

    pairs: int
    estimates: tuple[Estimate, ...]
    metric: Estimate
    gained: Flags
    """(objectives, ...)"""
    flat: Flags
    """(objectives, ...), a gain worth finding excluded; so, for the time being, where nothing is
    known."""
    kept: Flags
    lost: Flags
    failed: Counts
    told: Counts
    """Of how many pairs it is known whether the candidate alone failed."""
    wanted: Flags
    """(objectives,), those of which a gain is one."""

    @property
    def excluded(self) -> Flags:
        """Tell where all gains worth finding are excluded; so where nothing is known."""
        none = ~self.gained[self.wanted].any(0) & self.flat[self.wanted].all(0)
        return np.asarray(none)

    @property
    def answer(self) -> Counts:
        """Return the `Answer` of each run."""
        many = many_failed(self.failed, self.told)
        gained = self.gained[self.wanted].any(0)
        wanted = (e for e, own in zip(self.estimates, self.wanted, strict=True) if own)
        known = sum((e.known for e in wanted), np.int64(0)) > 0
        return np.select(
            [self.lost | many, gained & self.kept & (self.failed > 0), gained & self.kept,
             self.excluded & known],
            [Answer.LOSS, Answer.UNSAFE, Answer.WIN, Answer.NO_GAIN], Answer.OPEN,
        )  # fmt: skip


def many_failed(failed: Counts, told: Counts) -> Flags:
    """Tell where so many trainings failed, of those that tell, that this is a loss of quality."""
    return np.asarray((failed >= FAILED_COUNT) & (failed >= FAILED_SHARE * told))


def look(
    objectives: Sequence[Objective], quality: Quality, rule: Rule, failed: Marks | None = None
) -> Iterator[Look]:
    """Yield what is known at every look; `failed` marks pairs whose candidate alone failed."""
    marks = np.zeros(quality.differences.shape, bool) if failed is None else failed
    pairs = quality.differences.shape[-1]
    shape = (len(objectives), *quality.differences.shape[:-1])
    gained, flat, unknown = (np.zeros(shape, bool) for _ in range(3))
    kept, lost = np.zeros(shape[1:], bool), np.zeros(shape[1:], bool)
    total = rule.of_gain(sum(not o.deterministic for o in objectives))
    wanted = np.array([o.wanted for o in objectives], bool)
    for n in rule.looks(pairs):
        found = [_estimate(o, n) for o in objectives]
        for j, (objective, one) in enumerate(zip(objectives, found, strict=True)):
            more, less = _crossed(objective, n, one, rule, total)
            gained[j] |= more
            flat[j] |= less
            unknown[j] = one.known == 0
        metric = quality.estimate(n)
        low, high = bounds(metric, rule.alpha, rule)
        kept = kept | (~lost & (low >= -quality.margin))
        lost = lost | (~kept & (high < -quality.margin))
        agreed = quality.agreed(n)
        settled = agreed & quality.exact
        yield Look(
            n, tuple(found), metric, gained.copy(), flat | unknown,
            settled | (kept | agreed) & ~lost, lost & ~settled, *counted(marks, n), wanted,
        )  # fmt: skip


def answers(
    objectives: Sequence[Objective], quality: Quality, rule: Rule, failed: Marks | None = None
) -> tuple[Counts, Counts]:
    """Return the first answer of each run, and after how many pairs it stood."""
    shape = quality.differences.shape[:-1]
    given, after = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for seen in look(objectives, quality, rule, failed):
        still = given == Answer.OPEN
        given = np.where(still, seen.answer, given)
        after = np.where(still, seen.pairs, after)
        if (given != Answer.OPEN).all():
            break
    return given, after


def last_look(
    objectives: Sequence[Objective], quality: Quality, rule: Rule, failed: Marks | None = None
) -> Look | None:
    """Return the look of one run at which it was answered, else its last; None before the first."""
    seen = None
    for seen in look(objectives, quality, rule, failed):
        if seen.answer != Answer.OPEN:
            break
    return seen


def _estimate(objective: Objective, pairs: int) -> Estimate:
    """Return the mean of one objective over the first pairs."""
    seen = objective.logs[..., :pairs]
    if objective.deterministic:
        return estimate(seen)
    nodes = None if objective.nodes is None else objective.nodes[:pairs]
    return by_nodes(seen, nodes, objective.floor, objective.ratios)


def _crossed(
    objective: Objective, pairs: int, found: Estimate, rule: Rule, total: float
) -> tuple[Flags, Flags]:
    """Return where a gain is shown, and where one worth finding is excluded."""
    if objective.deterministic:
        known = found.known > 0
        seen = objective.logs[..., :pairs]
        least = np.where(np.isfinite(seen), seen, np.inf).min(-1)
        most = np.where(np.isfinite(seen), seen, -np.inf).max(-1)
        return known & (least > objective.least), known & (most < objective.worth)
    return (
        bounds(found, total, rule)[0] > objective.least,
        bounds(found, rule.alpha, rule)[1] < objective.worth,
    )
