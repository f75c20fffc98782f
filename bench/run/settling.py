"""Tune the settings of techniques that have won together, in what a budget leaves of its time.

What is found is exchanged for what is there only where it is shown to be better beside it, on seeds
that no try had; and it wins only by the fresh pairs that confirm it against the baseline.
"""

from __future__ import annotations

import math
from dataclasses import replace

from pydantic import BaseModel

from bench.analysis.margin import as_screened
from bench.analysis.tries import Tried, yardstick
from bench.errors import NotApplicable
from bench.recipes.ranges import ranges_of
from bench.recipes.registry import make_technique
from bench.recipes.resolve import with_techniques, with_uses
from bench.records.measurement import Measurement
from bench.records.ranges import Range
from bench.records.recipe import Recipe
from bench.records.schema import plain_text
from bench.run import arm_names
from bench.run.arm_names import Used
from bench.run.combining import Combination, raced_by
from bench.run.kinds import only_kind
from bench.run.sampler import Sampler, Settings, is_installed
from bench.run.session import Session
from bench.run.tuning import FINALISTS, Search
from bench.technique import Technique

MOST_BLOCKS = 10
SHARES = (0.65, 0.7)
"""Of a budget, when no more is tried, and no longer the best again."""
ROUNDS, ROUNDS_SHARE = 12, 0.85
"""Rounds of the best beside what it is to take the place of, at most, and when they are over."""
DOT = "."


def in_better_settings(session: Session, combination: Combination) -> Combination | None:
    """Return a combination in settings that are shown to be better; None where none are."""
    ranges = ranges_in(_tunable(session, combination.techniques))
    if session.header.budget_seconds is None or not ranges:
        return None
    if not is_installed():
        session.show.note("settings of what won are not tuned: that needs optuna; pip install "
                          "'trainpairs[search]'")  # fmt: skip
        return None
    session.folder.search(ranges)
    search = _search(session, combination, ranges)
    before = combination.whole.recipe
    best = _searched(search, before)
    if best is None or not search.is_better(before, best.recipe, ROUNDS, ROUNDS_SHARE):
        session.show.note(f"{combination.whole.arm} is not shown to be better in other settings")
        return None
    return _with(session, combination, best.recipe)


def _search(session: Session, combination: Combination, ranges: dict[str, Range]) -> Search:
    """Return the search, which begins with the settings that are there."""
    kind = only_kind(
        session.header, session.baseline, session.recipe, session.rehearsed
    ) or raced_by(combination.techniques, combination.aims)
    sampler = Sampler(ranges, session.header.seed)
    sampler.begin_with(_own(combination.techniques, ranges))
    return Search(
        session, sampler, lambda found: _recipe(session, combination, found),
        yardstick(as_screened(session.header, session.so_far)), kind, _blocks(ranges), SHARES,
        combination.whole.deploys,
    )  # fmt: skip


def _blocks(ranges: dict[str, Range]) -> int:
    """Return how many blocks are tried at most: no more than there are settings to choose from."""
    choices = [len(one.values) for one in ranges.values()]
    return min(MOST_BLOCKS, math.prod(choices) or MOST_BLOCKS)


def ranges_in(used: Used) -> dict[str, Range]:
    """Return the ranges that techniques name for their settings, as ``technique.setting``."""
    found = {}
    for _, technique in used:
        own = technique.model_dump(mode="json")
        for name, one in ranges_of(type(technique), f"technique {technique.name}").items():
            found[f"{technique.name}{DOT}{name}"] = one.beside(own[name])
    return found


def _tunable(session: Session, used: Used) -> Used:
    """Return what can be tuned: where one of them has probed, what changes no setting itself.

    What was found by probes fits the others as they are; it is not looked for anew at each try.
    """
    if not any(session.probes.get(technique.name) for _, technique in used):
        return used
    return [(r, t) for r, t in used if type(t).configure is Technique.configure]


def _own(used: Used, ranges: dict[str, Range]) -> Settings:
    """Return the present values."""
    return {
        name: value
        for _, technique in used
        for key, value in technique.model_dump(mode="json").items()
        if (name := f"{technique.name}{DOT}{key}") in ranges
    }


def _recipe(session: Session, combination: Combination, found: Settings) -> Recipe:
    """Return the combination's recipe in other settings; raise `BenchError` where they don't do."""
    used = [(r, _resettled(session, r, t, found)) for r, t in combination.techniques]
    if _tunable(session, used) != used:
        return with_uses(combination.whole.recipe, used, session.places)
    return with_techniques(
        session.recipe, session.baseline, used, lambda technique: _no_probe, session.places
    )


def _resettled(
    session: Session, reference: str, technique: Technique, found: Settings
) -> Technique:
    before = technique.model_dump(mode="json")
    own = {key: found.get(f"{technique.name}{DOT}{key}", value) for key, value in before.items()}
    return make_technique(reference, own, session.code)


def _no_probe(settings: BaseModel, memory_limit_bytes: int | None = None) -> Measurement:
    raise NotApplicable("a try of other settings makes no probes")


def _searched(search: Search, before: Recipe) -> Tried | None:
    """Return the settings that seem the best; None where that are the present ones."""
    search.run()
    others = [one for one in search.found() if one.fits and one.recipe.id != before.id]
    chosen = [one.recipe for one in others][:FINALISTS]
    search.finals(chosen)
    again = {recipe.id for recipe in chosen}
    found = search.found()
    best = next((one for one in found if one.fits and one.recipe.id in again), None)
    own = next((one for one in found if one.recipe.id == before.id), None)
    if best is None or (own is not None and own.fits and best.gain <= own.gain):
        return None
    return best


def _with(session: Session, combination: Combination, recipe: Recipe) -> Combination:
    """Return the combination in other settings, named by those that changed."""
    used = [
        (reference, make_technique(reference, use.settings, session.code))
        for (reference, _), use in zip(combination.techniques, recipe.techniques, strict=True)
    ]
    names = [
        _named(before, after)
        for (_, before), (_, after) in zip(combination.techniques, used, strict=True)
    ]
    whole = replace(combination.whole, arm=arm_names.join(names), recipe=recipe)
    return replace(combination, whole=whole, techniques=used)


def _named(before: Technique, after: Technique) -> str:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    changed = [f"{key}={plain_text(value)}" for key, value in new.items() if old[key] != value]
    return f"{after.name}:{','.join(changed)}" if changed else after.name
