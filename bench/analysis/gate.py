"""Fail CI where a run regressed against another (`bench compare`)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bench.analysis.arm_settings import settings_of, unlike_settings
from bench.analysis.comparable import check_comparable, check_same_data, new_settings
from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.lost_trainings import lost_of, more_lost
from bench.analysis.metric import target_of
from bench.analysis.metric_fall import fall, shown, shown_limit
from bench.analysis.noise import unequal
from bench.analysis.objectives import Value, memory_of, time_of
from bench.analysis.pairs import pairs_of, ratios
from bench.analysis.ratio_of_ratios import change
from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status, counting
from bench.records.run_folder import read_run
from bench.records.text import SMALL

LEVEL = 0.95
"""One-sided: of code that didn't change, at most one row in twenty fails by chance."""
WHATS = ("time", "memory", "accuracy")
Mark = Literal["ok", "FAIL", "?", "-"]
DRIFTS = "is not compared between runs, as the machine's speed drifts; the ratios of arms are"
DEFAULT = ("time=5%", "memory=10%", "accuracy")
"""Rules where none is given."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Fail when `what` became worse by more than `limit` (a share; for accuracy, its own unit)."""

    what: str
    limit: float


class Row(NamedTuple):
    """One line: ok, FAIL, or what could not be told ("?") or is no question here ("-")."""

    mark: Mark
    arm: str
    said: str
    about: str = ""
    """What it is about, where that is not the first word said."""

    @property
    def what(self) -> str:
        """Return in a word what it is about: the same in every comparison."""
        return self.about or self.said.partition(" ")[0]

    @property
    def text(self) -> str:
        """Return arm and sentence."""
        return f"{self.arm}: {self.said}"


class Finding(NamedTuple):
    """What the gate says of two runs, a row for each arm and rule."""

    before: str
    after: str
    rows: tuple[Row, ...]

    @property
    def text(self) -> str:
        """Return a line a row."""
        return "\n".join(f"{row.mark}  {row.text}" for row in self.rows)

    @property
    def failed(self) -> bool:
        """Tell whether an arm became worse beyond chance and beyond its limit."""
        return any(row.mark == "FAIL" for row in self.rows)

    @property
    def unknown(self) -> bool:
        """Tell whether something that was asked could not be told."""
        return any(row.mark == "?" for row in self.rows)


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
    check_comparable(old_header, new_header, across_machines)
    check_same_data(old_header, old, new_header, new)
    old, new = ([t for t in counting(own) if t.judges] for own in (old, new))
    arms = [a for a in _arms(old) if a in _arms(new)]
    if not arms:
        raise BenchError(f"{before} and {after} have no measured arm in common")
    sides = Sides(old_header, old, new, across_machines)
    others = {arm: said for arm in arms if (said := _other_settings(arm, sides))}
    arms = [arm for arm in arms if arm not in others]
    rows = [_judge(arm, rule, _alike(arm, sides)) for arm in arms for rule in rules]
    rows += [Row("?", arm, said, "settings") for arm, said in others.items()]
    if arms == [BASELINE]:  # nothing else answers what was asked of time
        rows = [row._replace(mark="?") if row.mark == "-" else row for row in rows]
    rows += [row for arm in arms if (row := _lost_more(arm, sides))]
    rows += [_lost_row(trial) for trial in _lost(_arms(old), new)]
    rows += _newly_measured(_arms(new), old)
    noise = (unequal(old_header, old), unequal(new_header, new))
    rows += [Row("-", "noise", said, "noise") for said in noise if said]
    rows += [*_one_sided(_arms(old), new, f"only in {old_header.run}"),
             *_one_sided(_arms(new), old, f"only in {new_header.run}")]  # fmt: skip
    if added := new_settings(old_header, new_header):
        rows.append(
            Row("-", "settings", f"only one of the runs knows {', '.join(added)}", "settings")
        )
    return Finding(old_header.run, new_header.run, tuple(rows))


class Sides(NamedTuple):
    """The two runs that are compared."""

    header: Header
    """Of the old one: a change must not loosen its own gate."""
    old: Sequence[Measurement]
    new: Sequence[Measurement]
    across_machines: bool


def _other_settings(arm: str, sides: Sides) -> str | None:
    """Say in what an arm of either run is another, for all that their names are the same."""
    unlike = unlike_settings(*(settings_of(own, arm) for own in (sides.old, sides.new)))
    return f"is not compared: its settings differ ({'; '.join(unlike)})" if unlike else None


def _alike(arm: str, sides: Sides) -> Sides:
    """Return the trials of a kind that both runs made of an arm: whole trainings, where they did.

    These need other memory than a few steps do, which need no evaluation.
    """
    names = (BASELINE, CONTROL) if arm == BASELINE else (arm,)
    old, new = ({t.kind for t in own if t.ok and t.arm in names} for own in (sides.old, sides.new))
    both = old & new & {"full"} or old & new
    return sides._replace(
        old=[t for t in sides.old if t.kind in both], new=[t for t in sides.new if t.kind in both]
    )


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


def _arms(trials: Sequence[Measurement]) -> list[str]:
    own = [t for t in trials if t.ok and t.arm != CONTROL]
    return list(dict.fromkeys(t.arm for t in own))


def _lost(arms: Sequence[str], new: Sequence[Measurement]) -> list[Measurement]:
    """Return a failed trial of each arm that the old run measured and the new one couldn't."""
    tried = {t.arm: t for t in new if not t.ok}
    return [tried[arm] for arm in arms if arm in tried and arm not in _arms(new)]


def _lost_row(trial: Measurement) -> Row:
    """Return a row that fails, but where a profile alone spoke against measuring it."""
    mark: Mark = "?" if trial.status is Status.BOUNDED else "FAIL"
    return Row(mark, trial.arm, f"no longer measured: {_how(trial)}", "measured")


def _how(trial: Measurement) -> str:
    return f"{str(trial.status).replace('_', ' ')}: {trial.reason}"


def _one_sided(arms: Sequence[str], other: Sequence[Measurement], said: str) -> list[Row]:
    """Return a row for each arm that the other run did not even try."""
    tried = {trial.arm for trial in other}
    return [Row("-", arm, said, "measured") for arm in arms if arm not in tried]


def _newly_measured(arms: Sequence[str], old: Sequence[Measurement]) -> list[Row]:
    """Return a row for each arm that the old run tried in vain."""
    before = {trial.arm: trial for trial in old if not trial.ok and trial.arm not in _arms(old)}
    return [Row("-", arm, f"not measured before: {_how(before[arm])}", "measured")
            for arm in arms if arm in before]  # fmt: skip


def _lost_more(arm: str, sides: Sides) -> Row | None:
    """Return a row where more trainings of an arm are lost than were before."""
    before, after = lost_of(sides.old, arm), lost_of(sides.new, arm)
    more = more_lost(before, after)
    if more is False:
        return None
    said = f"{after.words} trainings failed or ran out of time, {before.words} before"
    told = said if more else f"{said}: this can't tell from chance"
    return Row("FAIL" if more else "?", arm, told, "trainings")


def _judge(arm: str, rule: Rule, sides: Sides) -> Row:
    if arm == BASELINE and rule.what == "time":
        return Row("-", arm, f"time {DRIFTS}")
    if not sides.old:
        said = "trained whole in one run and by a few steps in the other"
        return Row("?", arm, f"{rule.what} can't be told: it was {said}")
    if rule.what == "accuracy":
        return _metric_row(arm, rule, sides)
    if arm != BASELINE:
        return _ratio_row(arm, rule, sides)
    if sides.across_machines:
        return Row("-", arm, "memory is not compared across machines")
    old, new = (_logs(own, memory_of) for own in (sides.old, sides.new))
    return _change_row(arm, rule, old, new)


def _ratio_row(arm: str, rule: Rule, sides: Sides) -> Row:
    """Compare the ratios of an arm to its own baseline in either run."""
    pairs = [pairs_of(own, arm) for own in (sides.old, sides.new)]
    works = {own[0][1].work for own in pairs if own}
    time = time_of("step" if works == {"same work"} else "training")
    value: Value = time if rule.what == "time" else memory_of
    old, new = ([-math.log(ratio) for ratio in ratios(own, value)] for own in pairs)
    return _change_row(arm, rule, old, new)


def _change_row(arm: str, rule: Rule, old: Sequence[float], new: Sequence[float]) -> Row:
    """Judge logarithms of which more is worse."""
    found = change(old, new, LEVEL, RATIO_FLOOR)
    if found is None or found.low is None or found.high is None:
        return _unknown(arm, rule.what, len(old), len(new))
    least, middle, most = (math.expm1(end) for end in (found.low, found.middle, found.high))
    mark, why = _told(found.low, found.high, math.log1p(rule.limit))
    shows = math.expm1(math.log1p(rule.limit) + found.high - found.middle)
    why = f"; {why} {shows:+.1%} would have shown" if why else ""
    within = f"between {least:+.1%} and {most:+.1%}"
    limit = f"limit +{100 * rule.limit:g}%"
    return Row(mark, arm, f"{rule.what} {middle:+.1%} ({within}; {limit}){why}")


def _told(low: float, high: float, limit: float) -> tuple[Mark, str]:
    """Return whether a change is beyond a limit, within it, or can't be told from chance."""
    if low > limit:
        return "FAIL", ""
    return ("ok", "") if high <= limit else ("?", "can't be told:")


def _metric_row(arm: str, rule: Rule, sides: Sides) -> Row:
    """Compare the metric seed by seed: equal seeds are no replicates."""
    name = sides.header.metric
    if sides.across_machines and arm == BASELINE:
        return Row("-", arm, f"{name} is not compared across machines")
    target = target_of(sides.header)
    limit = sides.header.margin if rule.limit < 0 else rule.limit
    found, untold = fall(sides.old, sides.new, arm, target, LEVEL, sides.across_machines)
    if found is None or found.low is None or found.high is None:
        return Row("?", arm, f"{name} can't be told{untold}")
    sign = 1 if target.lower else -1
    mark, why = _told(found.low, found.high, limit)
    fine = not target.relative and limit < SMALL
    shows = shown(sign * (limit + found.high - found.middle), target, fine)
    why = f"; {why} {shows} would have shown" if why else ""
    ends = sorted((sign * found.low, sign * found.high))
    within = " and ".join(shown(end, target, fine) for end in ends)
    said = f"{name} {shown(sign * found.middle, target, fine)} (between {within}; "
    return Row(mark, arm, f"{said}limit {shown_limit(sign * limit, target)}){why}")


def _logs(trials: Sequence[Measurement], value: Value) -> list[float]:
    found = [value(t) for t in trials if t.ok and t.arm in (BASELINE, CONTROL)]
    return [math.log(known) for known in found if known is not None and known > 0]


def _unknown(arm: str, what: str, old: int, new: int) -> Row:
    few = f"{old} and {new} values; two on each side give a bound"
    return Row("?", arm, f"{what} can't be told from {few}")
