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
    from bench.run.search_forecast import SearchForecast
    from bench.run.session import Session

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
            return as_text(plan.forecast, _refused(session), session.header.mode)
        return f"nothing would be measured: {', '.join(_refused(session))} would not apply"


def _refused(session: Session) -> list[str]:
    return [record.arm for record in session.records if record.pair < 0]


class Unplaced:
    """Shows what is rehearsed, and not where: that folder goes again, and never holds a report."""

    def __init__(self, display: NoProgress) -> None:
        self.expect, self.begin = display.expect, display.begin
        self.done, self.note = display.done, display.note

    def opened(self, folder: Folder) -> None:
        """Say nothing."""


def as_text(found: Forecast | SearchForecast, refused: list[str], mode: str) -> str:
    """Return a forecast for a person."""
    from bench.run.forecast import Forecast

    if isinstance(found, Forecast):
        return "\n".join(_lines(found, refused, mode))
    return "\n".join(_of_search(found))


def _lines(found: Forecast, refused: list[str], mode: str) -> Iterator[str]:
    each, seconds = found.trials_a_round, found.seconds_a_round
    yield f"{_count(found.arms, 'arm')} would be measured"
    if refused:
        yield f"{len(refused)} would not, as they don't apply or can't gain: {', '.join(refused)}"
    for kind, took in found.trial_seconds.items():
        yield f"{KINDS[kind]} of the baseline took {took:.3g} s; an arm's is counted as long"
    first, most = found.looks
    if first == most:
        yield f"{_count(most, 'pair')} each: {each * most} trials, about {shown(seconds * most)}"
    else:
        until, whole = (f"{each * n} trials, about {shown(seconds * n)}" for n in (first, most))
        yield f"until the first look, after {_count(first, 'pair')}: {until}"
        yield f"at most, in {most} pairs: {whole}; decided arms stop before"
    if mode == "full-optimization":
        yield "what is chosen is then combined, and confirmed in fresh pairs"
    if found.budget_seconds is not None:
        yield f"the budget of {shown(found.budget_seconds)} {_paid(found)}"


def _of_search(found: SearchForecast) -> Iterator[str]:
    from reports.searched import drawn_from

    many = found.combinations
    choices = "" if many is None else f" of {_count(many, 'combination')}"
    yield f"{_count(len(found.ranges), 'setting')}{choices} would be searched:"
    for name, one in found.ranges.items():
        yield f"  {name}: {drawn_from(one)}"
    took = f"{found.trial_seconds:.3g} s"
    yield f"{KINDS['full']} of the baseline took {took}; a try is counted as long"
    yield from _tries(found)


def _tries(found: SearchForecast) -> Iterator[str]:
    """Say what is tried, within a budget or without, and what then confirms the best."""
    rule, budget = found.rule, found.budget_seconds
    pairs = f"{rule.first} to {rule.most}" if rule.first < rule.most else f"{rule.most}"
    tries = f"{found.tries} tries, {found.tries_a_block} beside each training of the baseline"
    finals = f"the best are tried again in up to {_count(found.finals, 'training')}"
    confirmed = f"what is best is confirmed in {pairs} fresh pairs"
    if budget is None:
        yield f"{tries}; {finals}: about {shown(found.seconds)} in all"
        yield confirmed
        return
    part = f"{_percent(found.share)} of the budget of {shown(budget)}"
    if not found.blocks:
        least = f"{found.tries_a_block} tries beside a training of the baseline"
        yield f"{part} does not pay for {least}, {shown(found.block_seconds)}: give more"
        return
    yield f"{part} pays for about {tries}; {finals}"
    yield f"{_percent(found.kept)}, {shown(found.kept * budget)}, is kept for the end: {confirmed}"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


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
