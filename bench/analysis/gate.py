"""Fail CI where a run regressed against another (`bench compare`)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.analysis.intervals import standard_error, t_quantile
from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.run_folder import read_run

LEVEL = 0.95


VALUES: dict[str, Callable[[Measurement], float | None]] = {
    "time": lambda m: m.seconds_per_item if m.work == "same work" else m.train_seconds,
    "memory": lambda m: m.peak_memory_bytes,
    "accuracy": lambda m: m.metric,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Fail when `what` became worse by more than `limit` (a share; for accuracy, its own unit)."""

    what: str
    limit: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What the gate says, a line for each arm and rule."""

    text: str
    failed: bool


def parse_rules(texts: Sequence[str]) -> list[Rule]:
    """Return the rules of ``time=5%``, ``memory=10%``, ``accuracy`` or ``accuracy=0.02``."""
    rules = [_rule(part) for text in texts for part in text.split()]
    if not rules:
        raise BenchError("there is no rule; write time=5%, memory=10%, accuracy or accuracy=0.02")
    return rules


def check(before: Path, after: Path, rules: Sequence[Rule]) -> Finding:
    """Compare every arm that both runs measured; a regression must be beyond chance to fail."""
    old_header, old, _ = read_run(before)
    new_header, new, _ = read_run(after)
    _comparable(old_header, new_header)
    arms = [a for a in _arms(old) if a in _arms(new)]
    if not arms:
        raise BenchError(f"{before} and {after} have no measured arm in common")
    rows = [
        _judge(arm, rule, _own(old, arm), _own(new, arm), new_header)
        for arm in arms
        for rule in rules
    ]
    rows += [_lost_row(trial) for trial in _lost(_arms(old), new)]
    return Finding("\n".join(text for text, _ in rows), any(failed for _, failed in rows))


def _rule(text: str) -> Rule:
    found = re.fullmatch(r"(\w+)(?:=(\d+(?:\.\d+)?)(%?))?", text)
    if not found or found[1] not in VALUES:
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


def _comparable(old: Header, new: Header) -> None:
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


def _arms(trials: Sequence[Measurement]) -> list[str]:
    return list(dict.fromkeys(t.arm for t in trials if t.ok and t.arm != CONTROL))


def _own(trials: Sequence[Measurement], arm: str) -> list[Measurement]:
    names = (BASELINE, CONTROL) if arm == BASELINE else (arm,)
    return [t for t in trials if t.ok and t.arm in names]


def _lost(arms: Sequence[str], new: Sequence[Measurement]) -> list[Measurement]:
    """Return a failed trial of each arm that the old run measured and the new one couldn't."""
    tried = {t.arm: t for t in new if not t.ok}
    return [tried[arm] for arm in arms if arm in tried and arm not in _arms(new)]


def _lost_row(trial: Measurement) -> tuple[str, bool]:
    how = str(trial.status).replace("_", " ")
    return f"FAIL  {trial.arm}: no longer measured: {how}: {trial.reason}", True


def _judge(
    arm: str, rule: Rule, old: Sequence[Measurement], new: Sequence[Measurement], header: Header
) -> tuple[str, bool]:
    value = VALUES[rule.what]
    before = [v for t in old if (v := value(t)) is not None]
    after = [v for t in new if (v := value(t)) is not None]
    if before and after and rule.what == "accuracy":
        return _metric_row(arm, rule, before, after, header)
    if not before or not after or min(*before, *after) <= 0:  # no memory added: no ratio
        return f"{arm}: {rule.what} unknown", False
    change = [math.log(v) for v in after]
    base = [math.log(v) for v in before]
    least = math.exp(_lower(base, change)) - 1
    middle = median(after) / median(before) - 1
    failed = least > rule.limit
    sign = "FAIL" if failed else "ok"
    return (
        f"{sign}  {arm}: {rule.what} {middle:+.1%} (at least {least:+.1%}; limit +{rule.limit:.0%})"
    ), failed


def _metric_row(
    arm: str, rule: Rule, before: Sequence[float], after: Sequence[float], header: Header
) -> tuple[str, bool]:
    limit = header.margin if rule.limit < 0 else rule.limit
    fall = _lower([-v for v in before], [-v for v in after])
    middle = sum(after) / len(after) - sum(before) / len(before)
    failed = fall > limit
    sign = "FAIL" if failed else "ok"
    return f"{sign}  {arm}: {header.metric} {middle:+.4f} (limit -{limit:g})", failed


def _lower(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the one-sided lower bound of mean(after) - mean(before) (Welch's t).

    With one value on a side no bound can be told: the difference itself is taken.
    """
    difference = sum(after) / len(after) - sum(before) / len(before)
    if len(before) < 2 or len(after) < 2:
        return difference
    a, b = standard_error(before) ** 2, standard_error(after) ** 2
    if a + b == 0:
        return difference
    freedom = (a + b) ** 2 / (a**2 / (len(before) - 1) + b**2 / (len(after) - 1))
    return difference - t_quantile(LEVEL, max(1, int(freedom))) * math.sqrt(a + b)
