"""What an arm's pair may take and gain, by rehearsals and the baseline's profile, before any pair.

Where a budget doesn't pay for a pair of every arm, this chooses which are measured first; it judges
none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.analysis.bounds import HELD, PHASES, profiled
from bench.analysis.payback import planned_seconds
from bench.recipes.script import LEAST_SECONDS, LEAST_STEPS, ScriptSettings, is_script
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, Purpose
from bench.records.recipe import Recipe
from bench.run.plan import BLOCK, Contrast, Kind

SURE = 5.0
"""Times as fast, or as slow, that a rehearsed step may be to be taken at its word."""
CHANCE, REMOTE = 0.2, 0.02
"""Log gain that is allowed for what a rehearsal doesn't show; of an arm that takes nothing away,
which may only end at another time."""


class Prospect(NamedTuple):
    """What is to be expected of an arm."""

    seconds: float
    """Of a pair, with its share of the baseline's trial."""
    promise: float
    """Log gain that may be found, a second."""


UNKNOWN = Prospect(0.0, 0.0)


def prospects(
    header: Header, stage: Purpose, contrasts: Sequence[Contrast],
    rehearsed: Sequence[Measurement], probed: Sequence[Measurement],
) -> dict[str, Prospect]:  # fmt: skip
    """Return what is to be expected of arms; nothing where nothing tells how long a trial takes.

    Nor where there is no budget to choose for, or the arms were chosen before.
    """
    if header.budget_seconds is None or stage != "test":
        return {}
    profile, known = profiled(probed), {one.arm: one for one in rehearsed}
    baseline = known.get(BASELINE)
    if baseline is None:
        return {}
    whole = planned_seconds(profile) if profile else _by_rehearsal(baseline)
    stepped = (profile or baseline).wall_seconds or 0.0
    if profile is None and is_script(Recipe.model_validate(baseline.recipe)):
        stepped += _stepping(baseline)
    kinds = {one.arm: one.kind for one in contrasts}
    if whole is None and "full" in kinds.values():
        return {}

    def trial(own: Measurement, kind: Kind, faster: float) -> float:
        if whole is None or kind == "step":
            return stepped / faster
        return whole / faster + (own.wall_seconds or 0.0)  # its rehearsal built and evaluated

    found = {}
    for arm, kind in kinds.items():
        if arm not in known:
            continue
        own, faster = known[arm], _faster(baseline, known[arm])
        less = _less_work(baseline, own) if kind == "full" else 1.0
        seconds = trial(own, kind, faster * less) + trial(baseline, kind, 1.0) / BLOCK
        found[arm] = Prospect(seconds, _gain(own, faster * less) / seconds if seconds else 0.0)
    if found:
        again = trial(baseline, kinds.get(CONTROL, "full"), 1.0)
        found[CONTROL] = Prospect(again + again / BLOCK, math.inf)
    return found


def ranked(arms: Iterable[str], expected: Mapping[str, Prospect]) -> list[str]:
    """Return arms, those that promise most first, beside the A/A control; none: nothing is known.

    Those that a budget pays for so share trials of the baseline with each other.
    """
    if not expected:
        return []
    known = {**expected, CONTROL: Prospect(0.0, math.inf)}
    return sorted(arms, key=lambda arm: -known.get(arm, UNKNOWN).promise)


def _stepping(rehearsed: Measurement) -> float:
    """Return how long a script's trial steps beyond its rehearsal, at least."""
    settings = ScriptSettings.model_validate(rehearsed.recipe["settings"])
    step = min(rehearsed.step_seconds, default=0.0)
    if settings.steps is not None:
        return settings.steps * step
    return max(LEAST_SECONDS, LEAST_STEPS * step)


def _by_rehearsal(baseline: Measurement) -> float | None:
    """Return about how long a whole training steps, by the fastest rehearsed step."""
    size, items = baseline.recipe["settings"].get("batch_size"), baseline.items_an_epoch
    if not isinstance(size, int) or size < 1 or not (items and baseline.step_seconds):
        return None
    return (baseline.planned_epochs or 0) * math.ceil(items / size) * min(baseline.step_seconds)


def _faster(baseline: Measurement, own: Measurement) -> float:
    """Return how many times as fast the fastest rehearsed step is; 1 where that isn't known."""
    if not baseline.step_seconds or not own.step_seconds or min(own.step_seconds) <= 0:
        return 1.0
    ratio = min(baseline.step_seconds) / min(own.step_seconds)
    return min(max(ratio, 1 / SURE), SURE)


def _less_work(baseline: Measurement, own: Measurement) -> float:
    """Return how many times as few steps a whole training plans; 1 where that isn't known."""
    before, after = ((one.planned_epochs or 0) * (one.items_an_epoch or 0)
                     for one in (baseline, own))  # fmt: skip
    sizes = [one.recipe["settings"].get("batch_size") for one in (baseline, own)]
    batch = sizes[1] / sizes[0] if all(isinstance(size, int) for size in sizes) else 1.0
    return batch * before / after if before and after else 1.0


def _gain(own: Measurement, faster: float) -> float:
    if own.touches is not None and not {*own.touches} & {*map(str, PHASES | HELD)}:
        return REMOTE
    return max(0.0, math.log(faster)) + CHANCE
