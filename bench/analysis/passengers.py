"""Find what a combination gains nothing by: from rounds of it with each part and without. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import RATIO_FLOOR, Values
from bench.analysis.moderated import Bounds, Spread, first_known, steadied
from bench.analysis.objectives import TIME, Basis, Gain, LogRatio, basis_of, gained, log_ratio_of
from bench.analysis.screening import by_round
from bench.analysis.sequential import LEAST, WORTH
from bench.analysis.subsets import Gains, Subset, gains_by_round, largest, techniques_of
from bench.records.measurement import Measurement

ROUNDS = 2
"""So many at least tell what a part adds, unless the first shows it by time and by CPU time."""
ADDS = WORTH / 2
"""Of what the last round leaves open, a part stays that has added more, on average: it is nearer to
what is worth finding than to nothing."""

AGAIN = 2
"""So many trials of one combination, beside the first of each round, tell how far they differ by
chance."""


class Step(NamedTuple):
    """A combination with a part and without it, and by what the part won alone."""

    more: Subset
    less: Subset
    gains: Sequence[Gain] = (TIME.gain,)


class Seen(NamedTuple):
    """What rounds tell: by what a combination gains nothing, the worst first, and what is open."""

    idle: tuple[Subset, ...]
    open: tuple[Subset, ...]


Steps = Mapping[Subset, Step]
"""By the part."""


def look(
    trials: Sequence[Measurement], steps: Steps, equal: Sequence[Values] = (), timed: bool = True,
    last: bool = False, joining: bool = False,
) -> Seen:  # fmt: skip
    """Return what is told of each part; the last look leaves nothing open.

    A part adds where time shows it, and doesn't where no gain is likely that is worth finding. What
    won by something else than time, too, is only left before the last look where it costs time.
    Where the run isn't after time (not `timed`), the last look tells everything, by that else.
    What is `joining` has to show its gain: what the last look leaves open doesn't join.
    `equal` are samples of the baseline's trials, which differ by chance alone, as logarithms of
    their time.
    """
    if not trials:
        return Seen((), tuple(steps))
    basis = basis_of(largest(trials))
    times = _differences(trials, steps, TIME.log_ratio(basis)) if timed else {}
    cpu = _differences(trials, steps, log_ratio_of(_cpu_seconds))
    alike = [np.array(one) for one in times.values()]
    idle, open_ = dict[Subset, float](), list[Subset]()
    for part, step in steps.items():
        own = np.array(times.get(part, []))
        beside = Spread.of(first_known(one, own.size) for one in alike)
        chance = _by_chance(trials, step, basis, equal) if joining else equal
        at = steadied(own, RATIO_FLOOR, beside, own.size, chance)
        adds, middle = _adds(at, own.size, cpu[part], step), at.middle
        if adds is None and joining:
            adds = _joins(at, own.size, trials, step, timed, last)
        elif adds is None and last and (found := _added(trials, basis, step, timed)) is not None:
            adds, middle = found > ADDS, found
        if adds is None:
            open_.append(part)
        elif not adds:
            idle[part] = middle
    return Seen(tuple(sorted(idle, key=lambda part: (idle[part], sorted(part)))), tuple(open_))


def _by_chance(
    trials: Sequence[Measurement], step: Step, basis: Basis, equal: Sequence[Values]
) -> list[Values]:
    """Return samples of trials that differ by chance alone as much as a step's two do.

    Those are their own where a round has them more than once; else the baseline's, as if they were
    as short: what disturbs a trial adds up along it, so that its share falls with the square root.
    """
    value = TIME.value(basis)
    own = [
        sample
        for side in step[:2]
        for sample in by_round((t for t in trials if frozenset(techniques_of(t)) == side), value)
    ]
    if sum(sample.size - 1 for sample in own) >= AGAIN:
        return own
    rounds = gains_by_round(trials, TIME.log_ratio(basis))
    known = [each[side] for each in rounds for side in step[:2] if side in each]
    gain = math.fsum(known) / len(known) if known else 0.0
    return [math.exp(max(0.0, gain) / 2) * sample for sample in equal]


def _joins(
    at: Bounds, pairs: int, trials: Sequence[Measurement], step: Step, timed: bool, last: bool
) -> bool | None:
    """Tell whether a part of which time tells nothing joins; None where it is open.

    What won by time alone is given up as soon as the gain so far is not worth finding.
    """
    if timed and set(step.gains) <= {TIME.gain}:
        return False if last or (pairs >= ROUNDS and at.middle < WORTH) else None
    return _shows_else(trials, step, timed) if last else None


def _shows_else(trials: Sequence[Measurement], step: Step, timed: bool) -> bool:
    """Tell whether a part likely gains in what else it won by, and costs no time in a run after it.

    Where the run isn't after time, that is all it won by.
    """
    basis = basis_of(largest(trials))
    time = _mean(trials, step, TIME.log_ratio(basis))
    if timed and (time is None or time < -LEAST):
        return False
    rows = [row for row in gained(step.gains) if not timed or row is not TIME]
    alone = {step.more: step}
    known = [_differences(trials, alone, row.log_ratio(basis))[step.more] for row in rows]
    each = [np.array(own) for own in known]
    return any(steadied(own, RATIO_FLOOR, Spread.of([own]), own.size).low > LEAST for own in each)


def _adds(at: Bounds, pairs: int, cpu: Sequence[float], step: Step) -> bool | None:
    """Tell whether a part likely adds; None where that is open.

    One pair tells it where CPU time agrees: a burst beside one trial takes none of it.
    """
    if pairs < ROUNDS:
        if at.low > WORTH and cpu and min(cpu) > LEAST:
            return True
        return False if at.high < -WORTH and cpu and max(cpu) < -LEAST else None
    if at.low > LEAST:
        return True
    only_time = set(step.gains) <= {TIME.gain}
    return False if at.high < (WORTH if only_time else -LEAST) else None


def _added(trials: Sequence[Measurement], basis: Basis, step: Step, timed: bool) -> float | None:
    """Return the largest mean log gain by a part in what it may add; None where it is unknown.

    That is time, or what else the part won by, as long as it costs no such time. Where the run
    isn't after time, only what the part won by.
    """
    won = {row: _mean(trials, step, row.log_ratio(basis)) for row in gained(step.gains)}
    known = [value for value in won.values() if value is not None]
    if not timed:
        return max(known, default=None)
    time = _mean(trials, step, TIME.log_ratio(basis))
    if time is None or time < -LEAST:
        return time
    return max(time, *known) if known else None


def _mean(trials: Sequence[Measurement], step: Step, ratio: LogRatio) -> float | None:
    """Return by how much the combination gains more with a part, over the rounds that tell."""
    (known,) = _differences(trials, {step.more: step}, ratio).values()
    return math.fsum(known) / len(known) if known else None


def _differences(
    trials: Sequence[Measurement], steps: Steps, ratio: LogRatio
) -> dict[Subset, list[float]]:
    """Return what each part adds, round by round."""
    rounds = gains_by_round(trials, ratio)
    return {part: [r[step.more] - r[step.less] for r in rounds if _has(r, step)]
            for part, step in steps.items()}  # fmt: skip


def _has(gains: Gains, step: Step) -> bool:
    return step.more in gains and step.less in gains


def _cpu_seconds(trial: Measurement) -> float | None:
    return trial.cpu_seconds
