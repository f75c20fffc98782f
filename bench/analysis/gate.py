"""Fail CI where a run regressed against another (`bench compare`)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.evidence import items_of_shares
from bench.analysis.intervals import Interval, mean_interval
from bench.analysis.metric import target_of
from bench.analysis.objectives import Value, memory_of, time_of
from bench.analysis.pairs import failed, matched, pairs_of, ratios
from bench.analysis.quality import grid_floor
from bench.analysis.ratio_of_ratios import by_seed, change
from bench.analysis.sequential import FAILED_COUNT, FAILED_SHARE
from bench.baseline import Target
from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, counting
from bench.records.run_folder import read_run
from bench.records.schema import Json

LEVEL = 0.95
"""One-sided: of code that didn't change, at most one row in twenty fails by chance."""
WHATS = ("time", "memory", "accuracy")
DRIFTS = "is not compared between runs, as the machine's speed drifts; the ratios of arms are"
OF_MACHINE = ("cpu", "cores", "gpus")
"""Facts of the environment that make another machine."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Fail when `what` became worse by more than `limit` (a share; for accuracy, its own unit)."""

    what: str
    limit: float


class Finding(NamedTuple):
    """What the gate says, a line for each arm and rule."""

    text: str
    failed: bool
    unknown: bool = False
    """Whether something that was asked could not be told."""


class Row(NamedTuple):
    """One line: ok, FAIL, or what could not be told ("?") or is no question here ("-")."""

    mark: str
    text: str


def parse_rules(texts: Sequence[str]) -> list[Rule]:
    """Return the rules of ``time=5%``, ``memory=10%``, ``accuracy`` or ``accuracy=0.02``."""
    rules = [_rule(part) for text in texts for part in text.split()]
    if not rules:
        raise BenchError("there is no rule; write time=5%, memory=10%, accuracy or accuracy=0.02")
    return rules


def check(
    before: Path, after: Path, rules: Sequence[Rule], across_machines: bool = False
) -> Finding:
    """Compare every arm that both runs measured; a regression must be beyond chance to fail.

    Time is compared by each run's ratios to its own baseline: the machine's speed drifts by more
    between two runs than a gate may allow. Limits that a rule leaves open are those of `before`.
    """
    old_header, old, _ = read_run(before)
    new_header, new, _ = read_run(after)
    _comparable(old_header, new_header, across_machines)
    old, new = counting(old), counting(new)
    arms = [a for a in _arms(old) if a in _arms(new)]
    if not arms:
        raise BenchError(f"{before} and {after} have no measured arm in common")
    sides = Sides(old_header, old, new, across_machines)
    rows = [_judge(arm, rule, sides) for arm in arms for rule in rules]
    if arms == [BASELINE]:  # nothing else answers what was asked of time
        rows = [Row("?", row.text) if row.mark == "-" else row for row in rows]
    rows += [row for arm in arms if (row := _failing(arm, sides))]
    rows += [_lost_row(trial) for trial in _lost(_arms(old), new)]
    return Finding(
        "\n".join(f"{row.mark}  {row.text}" for row in rows),
        any(row.mark == "FAIL" for row in rows), any(row.mark == "?" for row in rows),
    )  # fmt: skip


class Sides(NamedTuple):
    """The two runs that are compared."""

    header: Header
    """Of the old one: a change must not loosen its own gate."""
    old: Sequence[Measurement]
    new: Sequence[Measurement]
    across_machines: bool


def _rule(text: str) -> Rule:
    found = re.fullmatch(r"(\w+)(?:=(\d+(?:\.\d+)?)(%?))?", text)
    if not found or found[1] not in WHATS:
        raise BenchError(
            f'"{text}" is no rule; write time=5%, memory=10%, accuracy or accuracy=0.02'
        )
    what, number, percent = found.groups()
    if number is None:
        if what != "accuracy":
            raise BenchError(f"{what} needs a limit, as in {what}=5%")
        return Rule(what, -1.0)
    if what != "accuracy" and not percent:
        raise BenchError(f"{what}={number} has no percent sign; write {what}={number}%")
    return Rule(what, float(number) / 100 if percent else float(number))


def _comparable(old: Header, new: Header, across_machines: bool) -> None:
    keys = [k for k in {**old.settings, **new.settings} if k != "data_dir"]
    changed = [k for k in keys if old.settings.get(k) != new.settings.get(k)]
    for what, one, other in (
        ("baseline", old.baseline, new.baseline),
        ("device", old.device, new.device),
        ("number of threads", old.threads, new.threads),
        ("setting " + ", ".join(changed), True, not changed),
    ):
        if one != other:
            raise BenchError(f"{old.run} and {new.run} differ in their {what}: nothing to compare")
    if not across_machines and (unlike := _unlike(old.environment, new.environment)):
        raise BenchError(
            f"{old.run} and {new.run} ran on unlike machines: {'; '.join(unlike)}; repeat one, or "
            "give --across-machines to compare ratios alone"
        )


def _unlike(old: Json, new: Json) -> list[str]:
    """Return in what two machines differ, as far as both are known."""
    facts = [(key, old.get(key), new.get(key)) for key in OF_MACHINE]
    torch = ("torch", *((side.get("packages") or {}).get("torch") for side in (old, new)))
    return [
        f"{key} {one} and {other}"
        for key, one, other in [*facts, torch]
        if one != other and one is not None and other is not None
    ]


def _arms(trials: Sequence[Measurement]) -> list[str]:
    own = [t for t in trials if t.ok and t.judges and t.arm != CONTROL]
    return list(dict.fromkeys(t.arm for t in own))


def _lost(arms: Sequence[str], new: Sequence[Measurement]) -> list[Measurement]:
    """Return a failed trial of each arm that the old run measured and the new one couldn't."""
    tried = {t.arm: t for t in new if not t.ok}
    return [tried[arm] for arm in arms if arm in tried and arm not in _arms(new)]


def _lost_row(trial: Measurement) -> Row:
    how = str(trial.status).replace("_", " ")
    return Row("FAIL", f"{trial.arm}: no longer measured: {how}: {trial.reason}")


def _failing(arm: str, sides: Sides) -> Row | None:
    """Return a row where trainings of an arm fail that did not fail before."""
    before, after = (sum(map(failed, matched(own, arm))) for own in (sides.old, sides.new))
    pairs = len(matched(sides.new, arm))
    if before or after < FAILED_COUNT or after < FAILED_SHARE * pairs:
        return None
    return Row("FAIL", f"{arm}: {after} of {pairs} trainings failed, none before")


def _judge(arm: str, rule: Rule, sides: Sides) -> Row:
    if rule.what == "accuracy":
        return _metric_row(arm, rule, sides)
    if arm != BASELINE:
        return _ratio_row(arm, rule, sides)
    if rule.what == "time":
        return Row("-", f"{arm}: time {DRIFTS}")
    if sides.across_machines:
        return Row("-", f"{arm}: memory is not compared across machines")
    old, new = (_logs(own, memory_of) for own in (sides.old, sides.new))
    return _change_row(arm, rule, old, new)


def _ratio_row(arm: str, rule: Rule, sides: Sides) -> Row:
    """Compare the ratios of an arm to its own baseline in either run."""
    pairs = [pairs_of(own, arm) for own in (sides.old, sides.new)]
    work = pairs[0][0][1].work if pairs[0] else None
    time = time_of("step" if work == "same work" else "training")
    value: Value = time if rule.what == "time" else memory_of
    old, new = ([-math.log(ratio) for ratio in ratios(own, value)] for own in pairs)
    return _change_row(arm, rule, old, new)


def _change_row(arm: str, rule: Rule, old: Sequence[float], new: Sequence[float]) -> Row:
    """Judge logarithms of which more is worse."""
    found = change(old, new, LEVEL, RATIO_FLOOR)
    if found is None or found.low is None:
        return _unknown(arm, rule.what, old, new)
    least, middle = math.expm1(found.low), math.expm1(found.middle)
    text = f"{arm}: {rule.what} {middle:+.1%} (at least {least:+.1%}; limit +{rule.limit:.0%})"
    return Row("FAIL" if least > rule.limit else "ok", text)


def _metric_row(arm: str, rule: Rule, sides: Sides) -> Row:
    """Compare the metric seed by seed: equal seeds are no replicates."""
    if sides.across_machines and arm == BASELINE:
        return Row("-", f"{arm}: {sides.header.metric} is not compared across machines")
    target = target_of(sides.header)
    limit = sides.header.margin if rule.limit < 0 else rule.limit
    old, new = (_metrics(own, arm, sides.across_machines, target) for own in (sides.old, sides.new))
    items = None if target.relative else items_of_shares([*sides.old, *sides.new])
    found = _fall(old, new, grid_floor(items))
    if found is None or found.low is None:
        return _unknown(arm, sides.header.metric, old, new)
    sign, worse = (1, "higher") if target.lower else (-1, "lower")
    text = (
        f"{arm}: {sides.header.metric} {_amount(sign * found.middle, target):s} "
        f"(at least {_amount(found.low, target).lstrip('+')} {worse}; "
        f"limit {_amount(sign * limit, target, 'g')})"
    )
    return Row("FAIL" if found.low > limit else "ok", text)


def _amount(change: float, target: Target, form: str = ".4f") -> str:
    """Return a change of the metric with its sign: a share where margins are shares."""
    return f"{100 * change:+{form}} %" if target.relative else f"{change:+{form}}"


def _fall(
    old: Sequence[tuple[int, float]], new: Sequence[tuple[int, float]], floor: float
) -> Interval | None:
    """Return how much worse a metric is: over the seeds of both, else over each one's own."""
    falls = [-gain for gain in by_seed(old, new)]
    if len(falls) >= 2:
        return mean_interval(falls, 2 * LEVEL - 1, floor=floor)
    once = [[-value for value in dict(own).values()] for own in (old, new)]
    return change(once[0], once[1], LEVEL, floor)


def _metrics(
    trials: Sequence[Measurement], arm: str, beside_baseline: bool, target: Target
) -> list[tuple[int, float]]:
    """Return (seed, how good) of an arm's trials, or by how much it is better than its baseline.

    Higher is better. Where margins are shares, these are logarithms: their differences are shares.
    """
    if beside_baseline:
        return [
            (c.seed, target.gain(b.metric, c.metric))
            for b, c in pairs_of(trials, arm)
            if b.metric is not None and c.metric is not None
        ]
    names = (BASELINE, CONTROL) if arm == BASELINE else (arm,)
    own = [t for t in trials if t.ok and t.arm in names]
    return [(t.seed, _goodness(t.metric, target)) for t in own if t.metric is not None]


def _goodness(metric: float, target: Target) -> float:
    size = (
        math.log(abs(metric)) * math.copysign(1, metric) if target.relative and metric else metric
    )
    return -size if target.lower else size


def _logs(trials: Sequence[Measurement], value: Value) -> list[float]:
    found = [value(t) for t in trials if t.ok and t.arm in (BASELINE, CONTROL)]
    return [math.log(known) for known in found if known is not None and known > 0]


def _unknown(arm: str, what: str, old: Sequence[object], new: Sequence[object]) -> Row:
    few = f"{len(old)} and {len(new)} values; two on each side give a bound"
    return Row("?", f"{arm}: {what} can't be told from {few}")
