"""Confirm what a search has chosen, by fresh pairs that only judge it; attribute what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.analysis.aims import best, best_screened
from bench.analysis.comparison import compare_run
from bench.analysis.levels import rule_of
from bench.analysis.results import Comparison
from bench.records.recipe import Recipe
from bench.run.arm_names import Used
from bench.run.attributing import attribute
from bench.run.combining import Combination, alike, judged_by, lessened
from bench.run.plan import BLOCK, Contrast
from bench.run.session import Session


def confirm(
    session: Session, comparison: Comparison, by_name: Mapping[str, Used],
    screened: Sequence[Contrast], combined: Sequence[Combination],
) -> None:  # fmt: skip
    """Measure the combination and the best single technique in fresh pairs; attribute the gain.

    Of a combination that wins the technique is a part: then it need not be measured. One that turns
    out to lose too much is measured without what it loses that with.
    """
    chosen = [combination.whole for combination in combined]
    alone = best_alone(comparison, chosen[0].arm if chosen else None, screened)
    judged = [replace(c, kind=judged_by(by_name[c.arm], comparison.aims)) for c in alone]
    if not chosen and not judged:
        return
    several = [one for one in combined if len(one.parts) > 1 and _tells_parts(session, one)]
    session.folder.race("confirm", len(chosen) + len(judged) + len(several), BLOCK)
    spared = [one for one in judged if _is_spared(session, one, chosen)]
    session.measure([*chosen, *(one for one in judged if one not in spared)], "confirm")
    lesser = _measure_instead(session, several, [*chosen, *judged], spared)
    winner = best(compare_run(session.header, session.so_far, session.probed))
    for combination in (*combined, *lesser):
        if winner is not None and winner.arm == combination.whole.arm:
            attribute(session, combination)


def _measure_instead(
    session: Session, several: Sequence[Combination], known: Sequence[Contrast],
    spared: Sequence[Contrast],
) -> list[Combination]:  # fmt: skip
    """Measure what may win where nothing that was confirmed does, nor may yet; return combinations.

    That is what was spared, and what is left of those that lose too much. Pairs have their numbers
    whether they are made or not: those after them don't depend on it.
    """
    most = rule_of(session.header, "confirm").most
    numbered = session.numbered + most * (len(spared) + len(several) + 1)
    found = compare_run(session.header, session.so_far, session.probed)
    lesser: list[Combination] = []
    if best(found) is None and not any(arm.confirmed and arm.goes_on for arm in found.arms):
        arms = {one.arm for one in known}
        for one in (lessened(session, combination) for combination in several):
            if one.whole.arm not in arms:  # one of each name: the tuned may leave the same
                arms.add(one.whole.arm)
                lesser.append(one)
        if instead := [*(one.whole for one in lesser), *spared]:
            session.measure(instead, "confirm")
    session.numbered = numbered
    return lesser


def _tells_parts(session: Session, combination: Combination) -> bool:
    """Tell whether the pairs that confirm a combination are held against those of its parts.

    Parts that steps have chosen tell nothing beside whole trainings.
    """
    (own,) = session.of_one_kind([combination.whole])
    return all(one.kind == own.kind for one in alike(session, combination, [own]))


def _is_spared(session: Session, alone: Contrast, chosen: Sequence[Contrast]) -> bool:
    """Tell whether a single technique is no better recipe where a combination that has it wins.

    Rounds have to have held that against its parts: of one that is only put together it is half
    expected that it fails.
    """
    if len(session.header.objectives) > 1:  # it may be the better one in the other
        return False
    seen = [trial.recipe for trial in session.so_far if trial.stage == "combine"]
    return any(
        is_in(whole.recipe, alone.recipe) and whole.recipe.model_dump(mode="json") in seen
        for whole in chosen
    )


def is_in(whole: Recipe, part: Recipe) -> bool:
    """Tell whether a recipe's techniques are those of a part of another: of one name, the same."""
    return all(use in whole.techniques for use in part.techniques)


def best_alone(
    comparison: Comparison, chosen: str | None, screened: Sequence[Contrast]
) -> list[Contrast]:
    """Return the contrast of the best single technique, unless it is what is `chosen` already."""
    winner = best_screened(comparison)
    if winner is None or winner.arm == chosen:
        return []
    return [contrast for contrast in screened if contrast.arm == winner.arm]
