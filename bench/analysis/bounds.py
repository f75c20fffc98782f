"""Bound what a technique can gain, before any trial of it: what it doesn't touch stays (Amdahl).

A technique declares all that it can make cheaper (`bench.technique.Part`). One profiled trial of
the baseline says what share of its time and memory that is; of it at most everything can go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bench.analysis.aims import used
from bench.analysis.objectives import (
    BY_NAME,
    DEPLOYED,
    MEMORY,
    OBJECTIVES,
    TIME,
    Objective,
    Sought,
)
from bench.analysis.results import Aims, ArmResult, Bound
from bench.analysis.sequential import WORTH_FINDING
from bench.records.measurement import BASELINE, Measurement
from bench.records.profile import Profile
from bench.technique import Effect, Part

DOUBT = 2.0
"""How many times what one trial showed, of the touched share or beside a limit, is allowed for."""
PHASES = frozenset({Part.DATA_WAIT, Part.FORWARD, Part.BACKWARD, Part.UPDATE, Part.SCHEDULE})
UNMARKED = frozenset({"other", "stop"})
"""Seconds that no phase claims: they count as touched by whatever touches any phase."""
HELD = frozenset({Part.ACTIVATIONS, Part.OPTIMIZER_STATE, Part.DATA, Part.UPDATE})
"""Parts that are, or need, memory."""
AFTER_BACKWARD = frozenset({Part.OPTIMIZER_STATE, Part.UPDATE})
OTHER_COURSE = frozenset({Effect.LEARNING, Effect.MODEL})
"""Effects under which a training goes another way, and may end at another time."""
SAME_MODEL = "it deploys the model that is trained"
NOTHING = "it takes none away"
WORDS = {Part.DATA_WAIT: "data wait", Part.OPTIMIZER_STATE: "the optimizer's state"}


def bounds_of(
    baseline: Measurement, touches: Collection[str] | None, effect: str, profile: Profile | None,
    aims: Aims | None = None,
) -> dict[str, Bound | None]:  # fmt: skip
    """Return the bound in each objective that a gain may be one in; None: what it can't be told of.

    `baseline` is a trial of it, `profile` what else was seen of it, or is to be assumed.
    """
    sought = _sought(baseline, aims or Aims())
    wanted = [row for row in OBJECTIVES if sought.counts(row) and sought.wanted(row)]
    asked = [row for row in wanted if _counts(row, baseline)]
    rows = [row for row in asked if effect in row.effects]
    if not rows:
        return {row.name: Bound(row.name, 1.0, SAME_MODEL) for row in asked}
    if touches is None or profile is None or not {*touches} <= {*Part}:
        return {row.name: None for row in rows}
    parts = frozenset(map(Part, touches))
    return {row.name: _bound(row, baseline, parts, effect, profile) for row in rows}


def profiled(probes: Sequence[Measurement]) -> Measurement | None:
    """Return the trial of the baseline that was looked into, if there was one."""
    return next((p for p in probes if p.arm == BASELINE and p.ok and p.profile), None)


def bounds_of_arm(baseline: Measurement | None, trials: Sequence[Measurement]) -> tuple[Bound, ...]:
    """Return what bounds an arm, by what its own trials declare."""
    said = next((trial for trial in trials if trial.touches is not None), None)
    if baseline is None or said is None or said.effect is None:
        return ()
    found = bounds_of(baseline, said.touches, said.effect, baseline.profile)
    return tuple(bound for bound in found.values() if bound is not None)


def out_of_reach(found: Mapping[str, Bound | None]) -> str | None:
    """Say why no gain worth finding is possible; None where one may be, in any objective."""
    known = [bound for bound in found.values() if bound is not None]
    if not known or len(known) < len(found):
        return None
    if any(bound.ratio >= WORTH_FINDING for bound in known):
        return None
    return ", ".join(_grouped(known))


def _grouped(bounds: Sequence[Bound]) -> list[str]:
    """Return bounds in words, those that are equal for one reason together."""
    alike: dict[tuple[float, str], list[str]] = {}
    for bound in bounds:
        alike.setdefault((bound.ratio, bound.why), []).append(bound.objective)
    return [f"at most {ratio:.3f}x in {_and(names)} ({why})"
            for (ratio, why), names in alike.items()]  # fmt: skip


def broken(arms: Sequence[ArmResult]) -> list[str]:
    """Return, in a sentence each, what arms have surely gained beyond their bounds.

    Any is a mistake in what a technique declares: it would have been missed where it wasn't raced.
    """
    found = []
    for result in arms:
        shown = {"time": result.time_ratio, "memory": result.memory_ratio}
        for bound in result.bounds:
            ratio = shown.get(bound.objective)
            if ratio and ratio.low is not None and ratio.low > bound.ratio:
                found.append(
                    f"{result.arm} gained at least {ratio.low:.3f}x in {bound.objective}, beyond "
                    f"its bound of {bound.ratio:.3f}x: it declares to touch too little."
                )
    return found


def missed(
    arms: Sequence[ArmResult], trials: Sequence[Measurement],
    declared: Mapping[str, tuple[Collection[str] | None, str]],
) -> list[str]:  # fmt: skip
    """Return the winners of any run that would not have been raced, by their declarations.

    `declared` gives by technique what it touches, and its effect. Where the run's baseline was not
    profiled, whatever bounds the most is assumed.
    """
    baseline = next((t for t in trials if t.arm == BASELINE and t.ok), None)
    if baseline is None:
        return []
    profile = baseline.profile or Profile()
    return [
        f"{result.arm}: {why}"
        for result in arms
        if result.gains and result.arm in declared
        if (why := out_of_reach(bounds_of(baseline, *declared[result.arm], profile)))
    ]


def _counts(row: Objective, baseline: Measurement) -> bool:
    """Tell whether it counts here: a step's trial doesn't time inference, a full one would."""
    return row.effects == DEPLOYED or row.of_step(baseline) is not None


def _sought(baseline: Measurement, aims: Aims) -> Sought:
    """Return in what a gain may be one: in what is limited, unless one trial is far within that."""
    near = [
        name
        for name, most in aims.limits.items()
        if (taken := used(BY_NAME[name], baseline)) is None or DOUBT * taken > most
    ]
    return aims.sought([*near, *(name for name, most in aims.times_baseline.items() if most < 1)])


def _bound(
    row: Objective, baseline: Measurement, parts: frozenset[Part], effect: str, profile: Profile
) -> Bound | None:
    if row is TIME:
        return _time(baseline, parts & PHASES, effect, profile)
    if row is MEMORY:
        return _memory(baseline, parts & HELD, profile)
    if row.effects == DEPLOYED:
        own = {"inference time": Part.INFERENCE, "file size": Part.FILE}.get(row.name)
        return None if own is None or own in parts else Bound(row.name, 1.0, NOTHING)
    return None if parts else Bound(row.name, 1.0, NOTHING)


def _time(
    baseline: Measurement, phases: frozenset[Part], effect: str, profile: Profile
) -> Bound | None:
    """Bound the time by the phases: of the steady state or with warm-up, whichever is more."""
    if effect in OTHER_COURSE and profile.stops:
        return None
    if not phases:
        return Bound("time", 1.0, NOTHING)
    if profile.own_step and phases != {Part.DATA_WAIT}:
        return None
    shares = [
        share
        for seconds in (baseline.phase_seconds, profile.phase_seconds)
        if (share := _share(seconds, phases)) is not None
    ]
    if not shares:
        return None
    return _at_most("time", max(shares), f"{_listed(phases)} {_are(phases)} {{}} of a step")


def _share(seconds: Mapping[str, float], phases: frozenset[Part]) -> float | None:
    inside = {name: s for name, s in seconds.items() if name not in ("evaluate", "finish")}
    whole = sum(inside.values())
    touched = sum(s for name, s in inside.items() if name in phases or name in UNMARKED)
    return touched / whole if whole > 0 else None


def _memory(baseline: Measurement, held: frozenset[Part], profile: Profile) -> Bound | None:
    """Bound the memory by what stays: tensors that are counted, or a peak before it acts."""
    peak = baseline.peak_memory_bytes
    if not held:
        return Bound("memory", 1.0, NOTHING)
    if not peak or peak <= 0:
        return None
    stays = max(_counted(held, profile), _seen(held, peak, profile))
    share = 1 - min(1.0, stays / peak)
    return _at_most("memory", share, f"{_listed(held)} {_are(held)} at most {{}} of the peak")


def _counted(held: frozenset[Part], profile: Profile) -> float:
    """Return the bytes of tensors that an update needs side by side, without those touched."""
    weights = (profile.parameter_bytes or 0) + (profile.gradient_bytes or 0)
    state = 0 if Part.OPTIMIZER_STATE in held else profile.optimizer_state_bytes or 0
    return weights + state


def _seen(held: frozenset[Part], peak: float, profile: Profile) -> float:
    """Return what was reached before the first update, or beside all that building left."""
    if held <= AFTER_BACKWARD:
        return profile.backward_peak_bytes or 0
    built, before = profile.built_bytes, profile.built_peak_bytes
    if held == {Part.DATA} and built is not None and before is not None and before < peak:
        return max(0.0, peak - built)
    return 0.0


def _at_most(objective: str, share: float, why: str) -> Bound | None:
    left = 1 - DOUBT * share
    said = f"{100 * share:.1f} %"
    if left <= 0:
        return None
    return Bound(objective, 1 / left, f"{why.format(said)}, allowed for twice")


def _listed(parts: frozenset[Part]) -> str:
    return _and([WORDS.get(part, str(part)) for part in Part if part in parts])


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _are(parts: frozenset[Part]) -> str:
    return "are" if len(parts) > 1 or Part.ACTIVATIONS in parts else "is"
