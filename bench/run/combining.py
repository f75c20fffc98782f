"""Combine what won: drop the parts that add nothing, or with which it loses more than it may.

That judges no arm: a combination is judged by its own fresh pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bench.analysis.aims import told_by_steps
from bench.analysis.estimate import Values
from bench.analysis.levels import FIRST
from bench.analysis.margin import as_screened
from bench.analysis.objectives import TIME, Gain, basis_of
from bench.analysis.overdone import exceeding, overdone
from bench.analysis.passengers import Seen, Step, look
from bench.analysis.results import Aims
from bench.analysis.screening import equal_trials
from bench.analysis.subsets import Subset, largest, told_of
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

NOTHING, TOO_MUCH = "gains nothing by", "loses too much with"
"""Why a combination is better without some part."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A combination of arms that won, and each of these alone."""

    whole: Contrast
    techniques: Used
    parts: tuple[Contrast, ...]
    aims: Aims = field(default_factory=Aims)
    """Of the run: what they limit decides, too, by what trials it is measured."""

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
        made = Contrast(arm, recipe, self.whole.baseline, judged_by(own, self.aims), deploys)
        return Combination(made, own, tuple(parts), self.aims)

    def without(self, part: Subset) -> Combination:
        """Return the combination of the other parts."""
        return self.of([other for other in self.parts if names_in(other.recipe) != part])


Beside = Mapping[Subset, tuple[Contrast, Contrast]]
"""By the part a combination with it, and the same without it."""


Parts = Mapping[Subset, Sequence[Gain]]
"""By what each part won alone."""


def names_in(recipe: Recipe) -> Subset:
    """Return the techniques of a recipe."""
    return frozenset(use.name for use in recipe.techniques)


def judged_by(used: Used, aims: Aims) -> Kind:
    """Return what trials judge techniques: steps alone, where they change nothing but the costs.

    Of what is limited, too, steps have to tell all.
    """
    exact = effect_of(t for _, t in used) is Effect.EXACT
    return "step" if exact and told_by_steps(aims) else "full"


def raced_by(used: Used, aims: Aims) -> Kind:
    """Return what trials choose among techniques: steps tell enough of other roundings too."""
    same = effect_of(t for _, t in used) in SAME_WORK
    return "step" if same and told_by_steps(aims) else "full"


def timed(header: Header) -> bool:
    """Tell whether a run is after time, among others or alone."""
    return not header.objectives or TIME.name in header.objectives


def without_passengers(
    session: Session, combination: Combination, gains: Mapping[str, Sequence[Gain]],
    doubtful: Collection[str] = (),
) -> Combination:  # fmt: skip
    """Return the shortest combination that is not worse.

    `gains` says by what each arm won alone. The `doubtful` of them, of which the screening is not
    sure that they gain what is worth finding, join the others last, if they show that these gain by
    it.
    """
    parts = combination.parts
    sure = [part for part in parts if part.arm not in doubtful] or [_first(combination)]
    won = {names_in(part.recipe): gains.get(part.arm, ()) for part in parts}
    core = _shortest(session, combination.of(sure), sure, won)
    joining = _joining(session, combination, core, [p for p in parts if p not in sure], won)
    found = combination.of([part for part in parts if part in (*core.parts, *joining)])
    return _shortest(session, found, joining, won) if len(joining) > 1 else found


def _first(combination: Combination) -> Contrast:
    """Return the part that has the first technique, the one that gains most."""
    first = relative(combination.techniques[0][0])
    return next(part for part in combination.parts if first in names_in(part.recipe))


def _shortest(
    session: Session, combination: Combination, tried: Collection[Contrast], won: Parts
) -> Combination:
    """Leave out parts, of those `tried`, as long as that costs nothing, from the whole backwards.

    The combination and its neighbours with one part left out are measured in rounds of their own
    until some part is seen to add nothing, and so on with the rest. Of several such parts the worst
    is left out: without it another may add again, as one of two that do the same, or fight. Before
    that, one is left out as long as together they lose more than they may.
    """
    while len(combination.parts) > 1:
        names = [names_in(part.recipe) for part in combination.parts if part in tried]
        steps = {part: (combination.whole, combination.without(part).whole) for part in names}
        found = _to_leave(session, combination, _trained(session, steps), won)
        if found is None:
            break
        _say_left_out(session, combination, [found[0]], combination, found[1])
        combination = combination.without(found[0])
    return combination


def _to_leave(
    session: Session, combination: Combination, steps: Beside, won: Parts
) -> tuple[Subset, str] | None:
    """Return a part that a combination is better without, and why, once rounds tell one."""
    for seen in _looks(session, combination, steps, won):
        if (part := _overdone(session, combination, [*steps])) is not None:
            return part, TOO_MUCH
        if seen.idle:
            return seen.idle[0], NOTHING
    return None


def lessened(session: Session, combination: Combination) -> Combination:
    """Return a combination without what all its trials show that it loses too much with.

    Its rounds beside its parts had not shown it: those are blamed first that change what is learnt.
    """
    while len(combination.parts) > 1:
        if (part := _overdone(session, combination, _blamed(combination))) is None:
            break
        _say_left_out(session, combination, [part], combination, TOO_MUCH)
        combination = combination.without(part)
    return combination


def _overdone(session: Session, combination: Combination, parts: Sequence[Subset]) -> Subset | None:
    (own,) = alike(session, combination, [combination.whole])
    told = told_by(session, combination, own.kind)
    without = {part: names_in(combination.without(part).whole.recipe) for part in parts}
    return overdone(_header(session), told, names_in(combination.whole.recipe), without)


def _blamed(combination: Combination) -> Sequence[Subset]:
    """Return the parts that may lose too much: of the metric, those that change what is learnt."""
    parts, aims = [names_in(part.recipe) for part in combination.parts], combination.aims
    used = combination.techniques
    learns = {relative(name) for name, one in used if effect_of([one]) not in SAME_WORK}
    limited = aims.limits or aims.times_baseline
    return parts if limited else [part for part in parts if part & learns] or parts


def _joining(
    session: Session, combination: Combination, core: Combination, parts: Sequence[Contrast],
    won: Parts,
) -> list[Contrast]:  # fmt: skip
    """Return which other parts of a combination show that they add to the core of it.

    Each is measured beside it.
    """
    steps = _trained(session, {
        names_in(part.recipe): (
            combination.of([p for p in combination.parts if p in (*core.parts, part)]).whole,
            core.whole,
        )
        for part in parts
    })  # fmt: skip
    open_, idle = {*steps}, list[Subset]()
    for seen in _looks(session, combination, steps, won, joining=True):
        open_, idle = {*seen.open}, [*idle, *seen.idle]
    (own,) = alike(session, combination, [combination.whole])
    over = exceeding(_header(session), told_by(session, combination, own.kind))
    dear = [part for part, (more, _) in steps.items() if names_in(more.recipe) in over]
    _say_left_out(session, combination, idle, core, NOTHING)
    _say_left_out(session, combination, {*dear} - {*idle}, core, TOO_MUCH)
    out = {*open_, *idle, *dear}
    return [part for part in parts if names_in(part.recipe) in steps.keys() - out]


def _header(session: Session) -> Header:
    """Return the run's header with the margin that parts are chosen by."""
    return as_screened(session.header, session.so_far)


def _say_left_out(
    session: Session, combination: Combination, left: Collection[Subset], rest: Combination,
    why: str,
) -> None:  # fmt: skip
    out = [part.arm for part in combination.parts if names_in(part.recipe) in left]
    if out:
        are = "it is" if len(out) == 1 else "they are"
        session.show.note(f"{rest.whole.arm} {why} {', '.join(out)}: {are} left out")


def _trained(session: Session, steps: Beside) -> Beside:
    """Return what can be measured: both sides train."""
    return {part: both for part, both in steps.items() if all(trains(session, c) for c in both)}


def _looks(
    session: Session, combination: Combination, steps: Beside, won: Parts, joining: bool = False
) -> Iterator[Seen]:
    """Measure in rounds what is open, and give what each round has told anew, and left open."""
    asked = {
        part: Step(names_in(more.recipe), names_in(less.recipe), won[part])
        for part, (more, less) in steps.items()
    }
    rounds = min(FIRST, session.header.repeats)
    for number in range(rounds) if steps else ():
        both = {one.arm: one for pair in steps.values() for one in pair}
        contrasts = alike(session, combination, both.values())
        paid = one_round(session, contrasts, session.header.seed + number, "combine", number)
        told = told_by(session, combination, contrasts[0].kind)
        seen = look(told, asked, _equal(session, told), timed(session.header),
                    last=number + 1 == rounds or not paid, joining=joining)  # fmt: skip
        idle = tuple(part for part in seen.idle if part in steps)
        steps = {part: both for part, both in steps.items() if part in seen.open}
        yield Seen(idle, tuple(steps))
        if not paid or not steps:
            return


def _equal(session: Session, told: Sequence[Measurement]) -> list[Values]:
    """Return what the baseline's trials of every round take, as those that tell parts do."""
    if not told:
        return []
    value = TIME.value(basis_of(largest(told)))
    return equal_trials(session.so_far, told[0].kind, value)


def alike(
    session: Session, combination: Combination, contrasts: Iterable[Contrast]
) -> Sequence[Contrast]:
    """Return contrasts as trials of one kind: that by which the combination's parts are chosen."""
    kind = raced_by(combination.techniques, combination.aims)
    return session.of_one_kind([replace(contrast, kind=kind) for contrast in contrasts])


def told_by(session: Session, combination: Combination, kind: Kind) -> list[Measurement]:
    """Return the trials so far that tell what parts of a combination gain."""
    uses = combination.whole.recipe.model_dump(mode="json")["techniques"]
    return told_of(session.so_far, uses, kind)


def one_round(
    session: Session, contrasts: Sequence[Contrast], seed: int,
    stage: Literal["combine", "attribute"], number: int,
) -> bool:  # fmt: skip
    """Measure contrasts once; tell whether the budget paid for it."""
    if not contrasts or session.side(contrasts, seed, stage):
        return True
    rounds = f"{number} round{'s' * (number != 1)}"
    session.show.note(f"the budget is spent after {rounds} of {stage}")
    return False


def trains(session: Session, contrast: Contrast) -> bool:
    """Tell whether a recipe was measured, or makes its first steps."""
    recipe = contrast.recipe.model_dump(mode="json")
    if any(one.ok and one.recipe == recipe for one in (*session.records, *session.rehearsed)):
        return True
    try:
        return session.rehearse(contrast.arm, contrast.recipe).status is Status.OK
    except BenchError:
        return False
