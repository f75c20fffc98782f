"""Turn what was seen of a script into steps: seconds, items and losses of each. Pure.

A step is a round of the optimizers. What lies between the end of a step and the last evaluation
after it is evaluation, and in no step.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.interception.events import Event, Kind, LossRecorder
from bench.trial.script_rounds import asides, rounds_of
from bench.trial.timing import StepTime, Timeline

DURING = {
    Kind.DRAWING: "data_wait", Kind.CALLING: "forward", Kind.BACKING: "backward",
    Kind.STEPPING: "update", Kind.EVALUATING: "evaluate",
}  # fmt: skip
"""The phase that begins with an event."""
BEGINS = frozenset({Kind.CALLING, Kind.BACKING, Kind.STEPPING})
"""What a step of training begins with, but for its batch."""
ENDS = (Kind.STEPPING, Kind.STEP)


@dataclass
class Course:
    """A script's training, step by step."""

    timeline: Timeline = field(default_factory=Timeline)
    losses: list[float] = field(default_factory=list)
    """Of each step; empty where some step's can't be told."""
    evaluate_seconds: float = 0.0
    items_known: bool = True
    """Of each step; where they aren't, steps are counted in their place."""
    closures: bool = False
    """Whether an optimizer asks for the loss within its step: then that is no phase of its own."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is told of a script's training that nobody measured."""

    steps: int
    losses: list[float]
    """Of each step; empty where some step's can't be told."""


def learnt(recorder: LossRecorder) -> Learnt:
    """Return the steps of a script by what was kept of its losses alone."""
    values = recorder.values()
    found = [_loss(step, values) for step in rounds_of(recorder)]
    losses = [loss for loss in found if loss is not None]
    return Learnt(len(found), losses if len(losses) == len(found) else [])


def course_of(events: Sequence[Event], losses: Sequence[float]) -> Course:
    """Return the steps of a script; `losses` by the numbers that backward passes have."""
    course = Course()
    found: list[float | None] = []
    drawn: list[list[int]] = []
    backs: list[int] = []
    rounds = list(rounds_of(events))
    begins = asides(rounds)
    for number, (step, begin) in enumerate(zip(rounds, begins, strict=True)):
        own, away = _training_part(step, begin, 0 if number else _usual_draws(rounds, begins))
        course.evaluate_seconds += away
        course.closures = course.closures or _asks(own)
        wall, cpu = own[-1].at - own[0].at, own[-1].cpu - _cpu(own)
        course.timeline.steps.append(StepTime(wall, max(0.0, cpu), _items(own), _phases(own)))
        found.append(_loss(own, losses))
        drawn.append([e.number for e in own if e.kind is Kind.DRAW and e.number])
        backs.append(max(1, sum(e.kind is Kind.BACKING for e in own)))
    seen = _with_first([step.items for step in course.timeline.steps])
    course.items_known = all(seen)
    counted = _where_trained(seen, drawn, backs) if course.items_known else [1] * len(seen)
    course.timeline.steps = [
        replace(step, items=items)
        for step, items in zip(course.timeline.steps, counted, strict=True)
    ]
    if None not in found:
        course.losses = [loss for loss in found if loss is not None]
    return course


def _usual_draws(rounds: Sequence[list[Event]], begins: Sequence[int]) -> int:
    """Return how many batches the second round draws, at least 1: as many belong to the first."""
    second = _training_part(rounds[1], begins[1], 0)[0] if len(rounds) > 1 else []
    return max(1, sum(event.kind is Kind.DRAWING for event in second))


def _training_part(step: list[Event], begin: int, draws: int) -> tuple[list[Event], float]:
    """Return a round without the evaluation before it, and how long that took.

    Of the first one, where `draws` is more than 0, what lies before so many batches is neither.
    """
    begun = next((i for i in range(begin, len(step)) if step[i].kind in BEGINS), 0)
    last = max((i for i in range(begun) if step[i].kind is Kind.EVALUATION), default=0)
    last = max(last, begin)
    away = step[last].at - step[0].at
    if not draws:
        return _own(step, last), away
    drawn = [i for i in range(last, begun) if step[i].kind is Kind.DRAWING]
    return _own(step, drawn[-draws:][0] if drawn else begun), 0.0


def _own(step: list[Event], begin: int) -> list[Event]:
    """Return a round from an event on, which nothing of it is but its time."""
    first = step[begin]
    if first.kind is Kind.CALL:
        first = first._replace(kind=Kind.EVALUATION, number=0)
    return [first, *(event for event in step[begin + 1 :] if event.kind is not Kind.ASKED)]


def _with_first(items: list[int]) -> list[int]:
    """Return the items of steps, those of a first one too that wasn't seen, if all others agree.

    The first call of a model in evaluation mode may be of no step.
    """
    first, others = items[:1], items[1:]
    return others[:1] + others if first == [0] and len({*others}) == 1 else items


def _where_trained(items: list[int], drawn: list[list[int]], backs: list[int]) -> list[int]:
    """Return the items of steps, those that a loader read ahead counted where they are trained on.

    Such a loader gives a batch more than a step takes as an epoch begins, and none at its end.
    """
    found, spare, begun, ahead = [*items], None, False, False
    for at, own in enumerate(drawn):
        begun = begun or bool(own)
        if len(own) > backs[at]:
            spare = at
        elif not own and begun:
            ahead = True
            if spare is not None:
                found[at] = drawn[spare][-1]
                found[spare] -= found[at]
                spare = None
    if ahead and spare is not None:  # the last one that was drawn is not trained on
        found[spare] -= drawn[spare][-1]
    return found


def _items(step: Sequence[Event]) -> int:
    """Return the items drawn from loaders; where none were, those of the largest calls."""
    if drawn := sum(event.number for event in step if event.kind is Kind.DRAW):
        return drawn
    backs = max(1, _passes(step))
    calls = [event.number for event in step if event.kind is Kind.CALL]
    return max(calls, default=0) * min(backs, len(calls))


def _passes(step: Sequence[Event]) -> int:
    """Return how many backward passes on items of their own the steps of one optimizer follow.

    Of several optimizers (a GAN's), each follows passes on the same items; and one that asks for
    the loss within its step asks for that of the same items again and again.
    """
    found, waiting, stepping = defaultdict[int, int](int), 0, False
    for event in step:
        if event.kind is Kind.BACKING:
            waiting = max(waiting, 1) if stepping else waiting + 1
        elif event.kind is Kind.STEPPING:
            stepping = True
        elif event.kind is Kind.STEP:
            found[event.number] += waiting
            waiting, stepping = 0, False
    return max(found.values(), default=0)


def _asks(step: Sequence[Event]) -> bool:
    """Tell whether a backward pass lies within an optimizer's step."""
    pairs = itertools.pairwise(e.kind for e in step if e.kind in (*ENDS, Kind.BACKING))
    return (Kind.STEPPING, Kind.BACKING) in pairs


def _cpu(step: Sequence[Event]) -> float:
    return next((event.cpu for event in step if event.cpu), 0.0)


def _loss(step: Sequence[Event], losses: Sequence[float]) -> float | None:
    """Return the sum of a step's losses; within an optimizer's step, that of its first try."""
    total, seen, stepping, tried = 0.0, False, False, False
    for event in step:
        if event.kind is Kind.STEPPING:
            stepping, tried = True, False
        elif event.kind is Kind.STEP:
            stepping = False
        elif event.kind is Kind.BACKWARD and not (stepping and tried):
            if event.number < 0:
                return None
            total, seen, tried = total + losses[event.number], True, stepping
    return total if seen else None


def _phases(step: Sequence[Event]) -> dict[str, float]:
    """Return the seconds of each phase; the loss belongs to the forward pass.

    Of a step within which the loss is asked for (L-BFGS, Lightning), what is no pass is the update.
    """
    phases: defaultdict[str, float] = defaultdict(float)
    stepping = False
    for before, after in itertools.pairwise(step):
        phase = DURING.get(before.kind, "other")
        if before.kind is Kind.CALL and after.kind in (Kind.BACKING, Kind.CALLING):
            phase = "forward"
        elif before.kind is Kind.BACKWARD and after.kind is Kind.STEPPING:
            phase = "update"  # clipping, too
        if before.kind is Kind.STEPPING:
            stepping = True
        if before.kind is Kind.STEP:
            stepping = False
        within = stepping and phase not in ("forward", "backward")
        phases["update" if within else phase] += after.at - before.at
    return dict(phases)
