"""Search a baseline's settings for the best metric: try many, confirm the best in fresh pairs.

Settings are chosen by items held out of training. The test part judges what was chosen, once, on
seeds that no try has seen.
"""

from __future__ import annotations

from dataclasses import replace

from bench.analysis.levels import rule_of
from bench.analysis.pairs import Pair
from bench.analysis.tries import Tried, yardstick
from bench.errors import BenchError
from bench.recipes.assembly import settings_dump
from bench.recipes.registry import make_settings
from bench.records.header import Header
from bench.records.measurement import Measurement
from bench.records.ranges import TUNED
from bench.records.recipe import Recipe
from bench.run.forecast import PlanOnly, timed
from bench.run.plan import BLOCK, Contrast
from bench.run.rehearsing import check_baseline
from bench.run.sampler import Sampler, Settings
from bench.run.search_forecast import SearchForecast
from bench.run.session import Session
from bench.run.tuning import FINALISTS, FINALS, Search

BLOCKS = 10
"""Of three tries each, where no budget says how many."""
MOST_BLOCKS = 100
"""However much time there is."""
SHARES = (0.5, 0.6)
"""Of a budget, when no more is tried, and no longer the best again: the rest confirms it."""


def best_settings(session: Session) -> None:
    """Search the ranges of the baseline, then measure the best settings against its own."""
    check_baseline(session)
    if session.dry_run:
        raise PlanOnly(_foreseen(session))
    best = _searched(session)
    if best is None:
        session.show.note("no settings are found that are better than the baseline's own")
        session.measure([], "confirm")
        return
    session.measure([Contrast(TUNED, best.recipe, session.recipe, "full")], "confirm")


def _foreseen(session: Session) -> SearchForecast:
    """Return what would be tried, for which the baseline is trained once."""
    header, baseline = session.header, timed(session, "full")
    check_chosen_by(header, baseline)
    return SearchForecast(
        ranges=header.ranges,
        trial_seconds=baseline.wall_seconds or 0.0,
        tries_a_block=BLOCK,
        most_blocks=BLOCKS if header.budget_seconds is None else MOST_BLOCKS,
        finals=FINALS * (FINALISTS + 1),
        rule=rule_of(header, "confirm"),
        share=SHARES[0],
        kept=1 - SHARES[1],
        budget_seconds=header.budget_seconds,
    )


def _searched(session: Session) -> Tried | None:
    """Return the best settings by what is held out; None where none are better, and can be had."""
    header, by = session.header, yardstick(session.header)

    def told(pair: Pair) -> float | None:
        check_chosen_by(header, pair[0])
        return by.gain(pair)

    search = Search(
        session, Sampler(header.ranges, header.seed), lambda found: _recipe(session, found),
        replace(by, gain=told), "full",
        BLOCKS if header.budget_seconds is None else MOST_BLOCKS, SHARES,
    )  # fmt: skip
    search.sampler.know({name: session.recipe.settings[name] for name in header.ranges}, 0.0)
    search.run()
    chosen = [one.recipe for one in _fitting(search)][:FINALISTS]
    search.finals(chosen)
    again = {recipe.id for recipe in chosen}
    best = next((one for one in _fitting(search) if one.recipe.id in again), None)
    return best if best is not None and best.gain > 0 else None


def _fitting(search: Search) -> list[Tried]:
    """Return what can be had of what was tried, without the baseline's own settings."""
    own = search.session.recipe.id
    return [one for one in search.found() if one.fits and one.recipe.id != own]


def _recipe(session: Session, found: Settings) -> Recipe:
    """Return the baseline with other settings; raise `BenchError` where it refuses them."""
    settings = make_settings(session.baseline, {**session.recipe.settings, **found})
    return session.recipe.model_copy(update={"settings": settings_dump(settings)})


def check_chosen_by(header: Header, baseline: Measurement) -> None:
    """Raise `BenchError` where the baseline doesn't tell the metric that settings are chosen by."""
    name = header.chosen_by
    told = baseline.metrics[-1].values if baseline.metrics else {}
    if name not in told:
        raise BenchError(
            f"settings are to be chosen by {name}, which evaluate doesn't give: it gives "
            f"{', '.join(told) or 'nothing'}"
        )
