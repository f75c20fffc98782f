"""Combine what won: drop the parts that add nothing, and measure what each of the others adds.

Neither judges an arm: a combination is judged by its own fresh pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.analysis.attribution import orders_of, subsets_of, told
from bench.analysis.comparison import compare_run
from bench.analysis.levels import FIRST
from bench.analysis.objectives import TIME, Gain
from bench.analysis.passengers import ROUNDS, passengers, surely_idle, tells
from bench.analysis.subsets import Subset, techniques_of, told_of
from bench.errors import BenchError
from bench.recipes.combination import SAME_WORK, effect_of
from bench.recipes.parts import part_of
from bench.recipes.references import relative
from bench.records.header import Header
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe
from bench.run import arm_names
from bench.run.arm_names import Used
from bench.run.plan import Contrast, Kind
from bench.run.session import Session
from bench.technique import Effect


@dataclass(frozen=True, slots=True)
class Combination:
    """A combination of arms that won, and each of these alone."""

    whole: Contrast
    techniques: Used
    parts: tuple[Contrast, ...]

    def of(self, parts: Sequence[Contrast]) -> Combination:
        """Return the combination of some of the parts, in the settings of the whole."""
        if len(parts) == len(self.parts):
            return self
        recipes = [part.recipe for part in parts]
        recipe = part_of(self.whole.recipe, self.whole.baseline, recipes)
        names = names_in(recipe)
        own = [(reference, t) for reference, t in self.techniques if relative(reference) in names]
        arm = parts[0].arm if len(parts) == 1 else arm_names.join([t.name for _, t in own])
        deploys = effect_of(t for _, t in own) is Effect.MODEL
        made = Contrast(arm, recipe, self.whole.baseline, judged_by(own), deploys)
        return Combination(made, own, tuple(parts))

    def without(self, *parts: Subset) -> Combination:
        """Return the combination of the other parts."""
        return self.of([other for other in self.parts if names_in(other.recipe) not in parts])


def names_in(recipe: Recipe) -> Subset:
    """Return the techniques of a recipe."""
    return frozenset(use.name for use in recipe.techniques)


def judged_by(used: Used) -> Kind:
    """Return what trials judge techniques: steps alone, where they change nothing but the costs."""
    return "step" if effect_of(t for _, t in used) is Effect.EXACT else "full"


def raced_by(used: Used) -> Kind:
    """Return what trials choose among techniques: steps tell enough of other roundings too."""
    return "step" if effect_of(t for _, t in used) in SAME_WORK else "full"


def timed(header: Header) -> bool:
    """Tell whether a run is after time, among others or alone."""
    return not header.objectives or TIME.name in header.objectives


def without_passengers(
    session: Session, combination: Combination, gains: Mapping[str, Sequence[Gain]]
) -> Combination:
    """Return the shortest combination that is not worse, found from the whole backwards.

    The combination and its neighbours with one part left out are measured in rounds of their own
    until what some part adds is told, the parts that add nothing are dropped, and so on: of several
    the best stays to be measured without the others. `gains` says by what each arm won alone.
    """
    while len(combination.parts) > 1:
        parts = {names_in(part.recipe): gains.get(part.arm, ()) for part in combination.parts}
        neighbours = {part: combination.without(part).whole for part in parts}
        tried = {p: c for p, c in neighbours.items() if _trains(session, c)}
        idle = _idle(session, combination, tried, parts)
        if not idle:
            break
        dropped = [part.arm for part in combination.parts if names_in(part.recipe) in idle]
        out = "it is" if len(dropped) == 1 else "they are"
        session.show.note(
            f"{combination.whole.arm} gains nothing by {', '.join(dropped)}: {out} left out"
        )
        combination = combination.without(*idle)
    return combination


def _idle(
    session: Session, combination: Combination, tried: Mapping[Subset, Contrast],
    parts: Mapping[Subset, Sequence[Gain]],
) -> list[Subset]:  # fmt: skip
    """Return what a combination gains nothing by, as soon as that is told of some part.

    What an earlier round has measured, of a larger combination without a part, is not run again.
    """
    if not tried:
        return []
    after_time = timed(session.header)
    contrasts = _alike(session, combination, (combination.whole, *tried.values()))
    trials: list[Measurement] = []
    for number in range(min(FIRST, session.header.repeats)):
        seed = session.header.seed + number
        known = {
            frozenset(techniques_of(t))
            for t in _told(session, combination, contrasts[0].kind)
            if t.seed == seed
        }
        missing = [one for one in contrasts if names_in(one.recipe) not in known]
        if not _round(session, missing, seed, "combine", number):
            break
        trials = _told(session, combination, contrasts[0].kind)
        if idle := surely_idle(trials, parts, after_time):
            return idle
        if tells(trials, parts, after_time):
            break
    return passengers(trials, parts, after_time) if trials else []


def attribute(session: Session, combination: Combination) -> None:
    """Measure those subsets of a combination that tell what each technique adds, and are missing.

    Rounds end as soon as of each technique it is told whether it helps.
    """
    if len(combination.parts) < 2:
        return
    orders = orders_of([use.name for use in combination.whole.recipe.techniques])
    every = [
        combination.of([p for p in combination.parts if names_in(p.recipe) <= subset]).whole
        for subset in subsets_of(orders)
    ]
    contrasts = _alike(session, combination, every)
    fewest = _with_fewest_pairs(session, combination, contrasts)
    broken = [contrast.arm for contrast in fewest if not _trains(session, contrast)]
    if broken:
        session.show.note(
            f"what each technique of {combination.whole.arm} adds can't be told: "
            f"{', '.join(broken)} doesn't train"
        )
        return
    first_seed = session.header.seed + 2 * session.header.repeats
    for number in range(FIRST):
        found = compare_run(session.header, session.so_far, ()).attribution
        if found is not None and found.rounds >= ROUNDS and told(found):
            break
        fewest = _with_fewest_pairs(session, combination, contrasts)
        if not _round(session, fewest, first_seed + number, "attribute", number):
            break


def _with_fewest_pairs(
    session: Session, combination: Combination, contrasts: Sequence[Contrast]
) -> list[Contrast]:
    """Return the contrasts of which the fewest pairs are known, of as many as tell enough."""
    known = _told(session, combination, contrasts[0].kind)
    pairs = Counter(frozenset(techniques_of(trial)) for trial in known)
    counts = [pairs[names_in(one.recipe)] for one in contrasts]
    return [one for one, n in zip(contrasts, counts, strict=True) if n == min(counts) < FIRST]


def _alike(
    session: Session, combination: Combination, contrasts: Iterable[Contrast]
) -> Sequence[Contrast]:
    """Return contrasts as trials of one kind: that by which the combination's parts are chosen."""
    kind = raced_by(combination.techniques)
    return session.in_steps([replace(contrast, kind=kind) for contrast in contrasts])


def _told(session: Session, combination: Combination, kind: Kind) -> list[Measurement]:
    """Return the trials so far that tell what parts of a combination gain."""
    uses = combination.whole.recipe.model_dump(mode="json")["techniques"]
    return told_of(session.so_far, uses, kind)


def _round(
    session: Session, contrasts: Sequence[Contrast], seed: int,
    stage: Literal["combine", "attribute"], number: int,
) -> bool:  # fmt: skip
    """Measure contrasts once; tell whether the budget paid for it."""
    if not contrasts or session.side(contrasts, seed, stage):
        return True
    session.show.note(f"the budget is spent after {number} rounds of {stage}")
    return False


def _trains(session: Session, contrast: Contrast) -> bool:
    """Tell whether a recipe was measured, or makes its first steps."""
    recipe = contrast.recipe.model_dump(mode="json")
    if any(record.ok and record.recipe == recipe for record in session.records):
        return True
    try:
        return session.rehearse(contrast.arm, contrast.recipe).status is Status.OK
    except BenchError:
        return False
