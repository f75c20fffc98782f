"""Measure what each technique of a confirmed combination adds to its gain: it judges none."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.attribution import lacking, orders_of, subsets_of
from bench.analysis.comparison import compare_run
from bench.analysis.failing import fails_again
from bench.analysis.levels import FIRST
from bench.analysis.subsets import TELLING, pairs_known
from bench.run.combining import Combination, alike, names_in, one_round, told_by, trains
from bench.run.plan import BLOCK, Contrast
from bench.run.session import Session

ATTRIBUTED_FROM = 20_000
"""After a run's first seed: what parts add is told on seeds that nothing else has, nor `verify`."""


def attribute(session: Session, combination: Combination) -> None:
    """Measure those subsets of a combination that tell what each technique adds, and are missing.

    Rounds end as soon as of each technique it is told whether it helps, or gains less than what is
    worth finding.
    """
    if len(combination.parts) < 2:
        return
    orders = orders_of([use.name for use in combination.whole.recipe.techniques])
    every = [
        combination.of([p for p in combination.parts if names_in(p.recipe) <= subset]).whole
        for subset in subsets_of(orders)
    ]
    contrasts = alike(session, combination, every)
    missing = _lacking(session, combination, contrasts, orders)
    broken = [contrast.arm for contrast in missing if not trains(session, contrast)]
    if _say_untold(session, combination, broken, "doesn't train"):
        return
    first_seed = session.header.seed + ATTRIBUTED_FROM
    for number in range(FIRST):
        if not (missing := _lacking(session, combination, contrasts, orders)):
            break
        if _say_untold(session, combination, _failing(session, missing), "fails"):
            break
        if not one_round(session, missing, first_seed + number, "attribute", number):
            break


def _failing(session: Session, contrasts: Sequence[Contrast]) -> list[str]:
    """Return the arms of which trials that tell parts have failed for good."""
    own = [trial for trial in session.so_far if trial.stage in TELLING]
    return [contrast.arm for contrast in contrasts if fails_again(own, contrast.arm)]


def _say_untold(session: Session, combination: Combination, arms: Sequence[str], why: str) -> bool:
    """Say of which arms it can't be told what techniques add; tell whether there are any."""
    if arms:
        session.show.note(
            f"what each technique of {combination.whole.arm} adds can't be told: "
            f"{', '.join(arms)} {why}"
        )
    return bool(arms)


def _lacking(
    session: Session, combination: Combination, contrasts: Sequence[Contrast],
    orders: Sequence[Sequence[str]],
) -> list[Contrast]:  # fmt: skip
    """Return the contrasts to measure next, so that of each technique it is told what it adds."""
    found = compare_run(session.header, session.so_far, ()).attribution
    pairs = pairs_known(told_by(session, combination, contrasts[0].kind))
    wanted = lacking(orders, pairs, found, BLOCK)
    return [one for one in contrasts if names_in(one.recipe) in wanted]
