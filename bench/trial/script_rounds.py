"""Part what was seen of a script into rounds, and find what is aside of their training. Pure.

A round ends with the last step of an optimizer before the one that leads steps again. The one that
stepped first leads, until another takes its place: one that begins to step when that has made its
last step (the next fold, what follows a pretraining, an optimizer that is made anew).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from bench.interception.events import Event, Kind, LossRecorder

Collected = Sequence[Event] | LossRecorder
"""Events that can be gone through again."""


def rounds_of(events: Collected) -> Iterator[list[Event]]:
    """Yield the events of each round, the last event of the one before it first."""
    leads = iter(_leads([event.number for event in events if event.kind is Kind.STEP]))
    next(leads, None)
    found: list[Event] = []
    for event in events:
        found.append(event)
        if event.kind is Kind.STEP and next(leads, True):
            yield found
            found = [event]


def _leads(numbers: Sequence[int]) -> list[bool]:
    """Tell of each step whether it is of the optimizer that leads."""
    last = {number: at for at, number in enumerate(numbers)}
    made, seen, found = Counter(numbers), set[int](), list[bool]()
    lead = numbers[0] if numbers else 0
    for at, number in enumerate(numbers):
        if number not in seen and at > last[lead] and made[number] > 1:
            lead = number
        seen.add(number)
        found.append(number == lead)
    return found


def asides(rounds: Sequence[Sequence[Event]]) -> list[int]:
    """Return of each round where its training begins: the event that ends what is aside, or 0.

    What rounds usually do before their first backward pass (a teacher that is asked) is training.
    """
    found = [_answers(one) for one in rounds]
    usual = statistics.median_low([len(ends) for ends in found[1:]] or [0])
    return [ends[-usual - 1] if len(ends) > usual else 0 for ends in found]


def _answers(step: Sequence[Event]) -> list[int]:
    """Return where answers end that may be no part of training: without or for no gradient.

    They come before the call whose answer is followed backwards, which is the first after the last
    batch was drawn: in training mode, where one is.
    """
    kinds = (Kind.BACKING, Kind.STEPPING)
    back = next((i for i, event in enumerate(step) if event.kind in kinds), len(step))
    calls = [i for i in range(back) if step[i].kind is Kind.CALLING]
    drawn = max((i for i in range(back) if step[i].kind is Kind.DRAWING), default=-1)
    later = [i for i in calls if i > drawn]
    trained = next((i for i in later if not step[i].number), min(later, default=back))
    first = next((i for i in range(back) if step[i].kind is Kind.DRAW and step[i].number), back)
    return [i for i in range(trained) if _is_aside(step[i], i > first)]


def _is_aside(event: Event, drawn: bool) -> bool:
    """Tell whether an answer may be aside; in training mode, only one to a batch that was drawn."""
    return event.kind is Kind.CALL or (event.kind is Kind.ASKED and (drawn or not event.number))
