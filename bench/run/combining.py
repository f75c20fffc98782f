"""Combine what won: drop the parts that add nothing, and measure what each of the others adds.

Neither judges an arm: a combination is judged by its own fresh pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from bench.analysis.attribution import Subset, orders_of, subsets_of
from bench.analysis.levels import FIRST
from bench.analysis.objectives import TIME, Gain
from bench.analysis.passengers import passengers, tells
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

    The combination and its neighbours with one part left out are measured in rounds of their own,
    the parts that add nothing are dropped, and so on: of several the best stays to be measured
    without the others. `gains` says by what each arm won alone.
    """
    while len(combination.parts) > 1:
        parts = {names_in(part.recipe): gains.get(part.arm, ()) for part in combination.parts}
        neighbours = {part: combination.without(part).whole for part in parts}
        tried = {p: c for p, c in neighbours.items() if _trains(session, c)}
        rounds = min(FIRST, session.header.repeats)
        enough = partial(tells, parts=[*tried], timed=timed(session.header))
        trials = _side(session, combination, tried.values(), rounds, 0, "combine", enough)
        idle = passengers(trials, parts, timed(session.header)) if trials else []
        if not idle:
            break
        dropped = [part.arm for part in combination.parts if names_in(part.recipe) in idle]
        out = "it is" if len(dropped) == 1 else "they are"
        session.show.note(
            f"{combination.whole.arm} gains nothing by {', '.join(dropped)}: {out} left out"
        )
        combination = combination.without(*idle)
    return combination


def attribute(session: Session, combination: Combination) -> None:
    """Measure the subsets of a combination that tell what each technique adds."""
    if len(combination.parts) < 2:
        return
    names = [use.name for use in combination.whole.recipe.techniques]
    subsets = [
        combination.of([p for p in combination.parts if names_in(p.recipe) <= subset]).whole
        for subset in subsets_of(orders_of(names))
        if len(subset) < len(names)
    ]
    broken = [contrast.arm for contrast in subsets if not _trains(session, contrast)]
    if broken:
        session.show.note(
            f"what each technique of {combination.whole.arm} adds can't be told: "
            f"{', '.join(broken)} doesn't train"
        )
        return
    _side(session, combination, subsets, FIRST, 2 * session.header.repeats, "attribute")


def _side(
    session: Session, combination: Combination, others: Iterable[Contrast], rounds: int,
    seeds_after: int, stage: Literal["combine", "attribute"],
    enough: Callable[[Sequence[Measurement]], bool] = lambda trials: False,
) -> Sequence[Measurement]:  # fmt: skip
    """Measure a combination and parts of it by trials of one kind, until that is enough."""
    kind = raced_by(combination.techniques)
    contrasts = [replace(contrast, kind=kind) for contrast in (combination.whole, *others)]
    return session.side(contrasts, rounds, session.header.seed + seeds_after, stage, enough)


def _trains(session: Session, contrast: Contrast) -> bool:
    """Tell whether a recipe was measured, or makes its first steps."""
    recipe = contrast.recipe.model_dump(mode="json")
    if any(record.ok and record.recipe == recipe for record in session.records):
        return True
    try:
        return session.rehearse(contrast.arm, contrast.recipe).status is Status.OK
    except BenchError:
        return False
