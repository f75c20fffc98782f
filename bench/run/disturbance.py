"""Whether something outside disturbed a trial so that its times are not its own.

Told by what went on around it, never by its times, and by the same rule for every arm: what stood
still, and bursts, by what is usual in the same run. A machine that is always busy is no burst.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from statistics import median

from bench.records.measurement import Measurement, Status, Surroundings
from bench.records.node import Node
from bench.records.run_folder import Folder
from bench.run.following import Following
from bench.run.observer import Observer
from bench.trial.spec import Outcome

REPEATS = 2
"""Times that a disturbed trial is run again; its last run counts, disturbed or not."""
MOST_SHARE = 0.25
"""Of a run's trials, so many (and at least `REPEATS`) are run again."""
STILL_SECONDS = 0.5
GAP_SECONDS, GAP_SHARE = 0.1, 0.02
"""How far a trial's clocks may differ: network time is slewed by less."""
LEAST_EARLIER = 3
"""Trials before which nothing is usual yet."""
LEAST_TRAINING_SECONDS = 1.0
"""Shorter trainings wait too little for a share to mean anything."""
WAITING_ABOVE_USUAL = 0.25
THROTTLED_ABOVE_USUAL = 0.1
CORES_ABOVE_USUAL = 0.5


Rate = Callable[[Surroundings, float], float | None]


class Usual(Following):
    """What goes on around a run's trials, on each node: of those that nothing disturbed."""

    def __init__(self, trials: Sequence[Measurement]) -> None:
        super().__init__(trials)
        self._known: dict[Node | None, int] = {}
        self._rates: dict[tuple[Node | None, Rate], list[float]] = {}
        """In order of size."""

    def known(self, node: Node | None) -> int:
        """Return how many trials tell what is usual on a node."""
        self.follow()
        return self._known.get(node, 0)

    def middle(self, node: Node | None, rate: Rate) -> float | None:
        """Return the median of a rate on a node; None where no trial tells it."""
        self.follow()
        found = self._rates.get((node, rate))
        return median(found) if found else None

    def learn(self, trial: Measurement) -> None:
        """Keep the rates of a trial that nothing disturbed."""
        if not trial.ok or trial.surroundings is None or trial.disturbed:
            return
        self._known[trial.node] = self._known.get(trial.node, 0) + 1
        for rate in (_waiting, _throttled, _cores):
            if (found := _rate(trial, rate)) is not None:
                insort(self._rates.setdefault((trial.node, rate), []), found)


def disturbance_of(record: Measurement, usual: Usual) -> str | None:
    """Say what disturbed a trial, beside those of its run before it; None if nothing did."""
    if not record.ok:
        return None
    if record.stopped_seconds >= STILL_SECONDS:
        return f"its process stood still for {record.stopped_seconds:.1f} s"
    around, seconds = record.surroundings, record.train_seconds or 0.0
    if around is None:
        return None
    if around.clock_gap_seconds > GAP_SECONDS + GAP_SHARE * seconds:
        return (
            f"its clocks differ by {around.clock_gap_seconds:.1f} s: the time was set, or the "
            "machine slept"
        )
    if seconds < LEAST_TRAINING_SECONDS or usual.known(record.node) < LEAST_EARLIER:
        return None
    return _burst(record, usual)


def undisturbed(
    once: Callable[[], Outcome], attempt: int, usual: Usual, folder: Folder, show: Observer
) -> Outcome:
    """Run a trial, and again as long as it is disturbed and may be; the last run counts."""
    while True:
        outcome = once()
        record = outcome.measurement.model_copy(update={"attempt": attempt})
        if reason := disturbance_of(record, usual):
            record = record.model_copy(update={"disturbed": reason})
        if not reason or not may_repeat(record, folder.trials.records):
            return outcome.model_copy(update={"measurement": record})
        _set_aside(folder, show, record, reason)
        attempt += 1


def may_repeat(record: Measurement, records: Sequence[Measurement]) -> bool:
    """Tell whether a trial that was disturbed is run again: where it ran, or not at all.

    Of a pair that a node has measured no trial is made anew by another.
    """
    if record.node is not None:
        return False
    repeated = sum(1 for record in records if record.set_aside)
    most = max(REPEATS, int(MOST_SHARE * len(records)))
    return record.attempt < REPEATS and repeated < most


def _set_aside(folder: Folder, show: Observer, record: Measurement, reason: str) -> None:
    """Keep a disturbed trial, with its reason, as one that gave no measurement."""
    kept = record.model_copy(
        update={"status": Status.FAILED, "reason": f"disturbed, and run again: {reason}"}
    )
    folder.trials.append(kept)
    show.note(f"{record.arm}, pair {record.pair}: {reason}; it is run again")


def _burst(record: Measurement, usual: Usual) -> str | None:
    waiting, throttled = _above(record, usual, _waiting), _above(record, usual, _throttled)
    cores = _above(record, usual, _cores)
    if waiting > WAITING_ABOVE_USUAL and cores > CORES_ABOVE_USUAL:
        return (
            f"others used {cores:.1f} more cores than is usual in this run, and it waited for a "
            f"CPU {waiting:.0%} more of the time".replace("%", " %")
        )
    if throttled > THROTTLED_ABOVE_USUAL:
        return f"it was throttled {throttled:.0%} more of the time than is usual".replace("%", " %")
    return None


def _above(record: Measurement, usual: Usual, rate: Rate) -> float:
    """Return by how much a rate exceeds its median; 0 where the system doesn't tell it."""
    own, middle = _rate(record, rate), usual.middle(record.node, rate)
    return own - middle if own is not None and middle is not None else 0.0


def _rate(record: Measurement, rate: Rate) -> float | None:
    if record.surroundings is None or not record.train_seconds:
        return None
    return rate(record.surroundings, record.train_seconds)


def _waiting(around: Surroundings, seconds: float) -> float | None:
    return None if around.waited_seconds is None else around.waited_seconds / seconds


def _throttled(around: Surroundings, seconds: float) -> float | None:
    return None if around.throttled_seconds is None else around.throttled_seconds / seconds


def _cores(around: Surroundings, seconds: float) -> float | None:
    return around.foreign_cores
