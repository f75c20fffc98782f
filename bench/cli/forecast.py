"""``--dry-run``: say what a run would make, and about how long it takes; nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.cli.course import shown

if TYPE_CHECKING:
    from bench.cli.progress import NoProgress
    from bench.records.run_folder import Folder
    from bench.run.forecast import Forecast
    from bench.run.request import Request

KINDS = {"full": "a whole training", "step": "a trial of steps alone"}


def planned(asked: Request, quiet: bool) -> str:
    """Rehearse every arm, time the baseline, and return the plan."""
    from bench.cli import progress
    from bench.run.forecast import PlanOnly
    from bench.run.modes import MODES
    from bench.run.opening import opened

    with (
        TemporaryDirectory(prefix="bench-plan-") as folder,
        progress.choose(quiet) as display,
        opened(replace(asked, output=Path(folder)), Unplaced(display)) as session,
    ):
        session.dry_run = True
        try:
            MODES[session.header.mode](session)
        except PlanOnly as plan:
            refused = [record.arm for record in session.records if record.pair < 0]
            return as_text(plan.forecast, refused, session.header.mode)
    raise AssertionError("every mode measures something")


class Unplaced:
    """Shows what is rehearsed, and not where: that folder goes again, and never holds a report."""

    def __init__(self, display: NoProgress) -> None:
        self.expect, self.begin = display.expect, display.begin
        self.done, self.note = display.done, display.note

    def opened(self, folder: Folder) -> None:
        """Say nothing."""


def as_text(found: Forecast, refused: list[str], mode: str) -> str:
    """Return a forecast for a person."""
    return "\n".join(_lines(found, refused, mode))


def _lines(found: Forecast, refused: list[str], mode: str) -> Iterator[str]:
    rule, each, seconds = found.rule, found.trials_a_round, found.seconds_a_round
    yield f"{_count(found.arms, 'arm')} would be measured"
    if refused:
        yield f"{len(refused)} would not, as they don't apply or can't gain: {', '.join(refused)}"
    for kind, took in found.trial_seconds.items():
        yield f"{KINDS[kind]} of the baseline took {took:.3g} s; an arm's is counted as long"
    first, most = rule.first, rule.most
    if first == most:
        yield f"{most} pairs each: {each * most} trials, about {shown(seconds * most)}"
    else:
        until, whole = (f"{each * n} trials, about {shown(seconds * n)}" for n in (first, most))
        yield f"until the first look, after {first} pairs: {until}"
        yield f"at most, in {most} pairs: {whole}; decided arms stop before"
    if mode == "full-optimization":
        yield "what is chosen is then combined, and confirmed in fresh pairs"
    if found.budget_seconds is not None:
        yield f"the budget of {shown(found.budget_seconds)} {_paid(found)}"


def _paid(found: Forecast) -> str:
    if found.arms_paid is not None:
        arms = _count(found.arms_paid, "arm")
        return f"brings about {arms} to a first look: give more, or ask for fewer"
    rounds = found.rounds_paid or 0
    if rounds >= found.rule.most:
        return "pays for all of it"
    return f"pays for about {_count(rounds, 'pair')} of every arm"


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"
