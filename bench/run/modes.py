"""Choose, for each mode of a run, which recipes are measured against the baseline, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.analysis.aims import merit, middle
from bench.analysis.comparison import aims_of, compare_run
from bench.analysis.intervals import Interval
from bench.analysis.objectives import TIME, Gain
from bench.analysis.results import Aims, ArmResult, Comparison
from bench.analysis.sequential import WORTH_FINDING
from bench.analysis.verdict import Verdict
from bench.errors import BenchError, Clash, NotApplicable
from bench.recipes.combination import check_conflicts
from bench.recipes.resolve import make_techniques, with_techniques
from bench.recipes.script import is_script
from bench.records.claim import read_exported
from bench.records.measurement import CONTROL
from bench.records.ranges import TUNED
from bench.records.recipe import Recipe
from bench.run import arm_names
from bench.run.arm_names import Used
from bench.run.audited import published_claims
from bench.run.bounding import Bounding
from bench.run.combining import Combination, judged_by, raced_by, without_passengers
from bench.run.confirming import confirm, is_in
from bench.run.open_arms import unsure
from bench.run.plan import Contrast, Kind
from bench.run.probing import probe_for
from bench.run.rehearsing import check_baseline, rehearsed_arm
from bench.run.revising import two_revisions
from bench.run.searching import best_settings
from bench.run.session import Session
from bench.run.settling import in_better_settings
from bench.technique import Effect, Probe, Technique


def baseline_only(session: Session) -> None:
    """Measure the baseline, against itself."""
    check_baseline(session)
    session.measure([Contrast(CONTROL, session.recipe, session.recipe, "full")])


def each_alone(session: Session) -> None:
    """Measure each arm of the header against the baseline."""
    check_baseline(session)
    arms = [make_techniques(arm.techniques, session.code) for arm in session.header.arms]
    _measure_what_applies(session, _candidates(session, arms))


def recipes(session: Session) -> None:
    """Measure exported recipes against the baseline that they were exported with."""
    check_baseline(session)
    contrasts: list[Contrast] = []
    for arm in session.header.arms:
        exported = read_exported(Path(arm.recipe_file or ""))
        recipe = with_settings(exported.recipe, exported.baseline, session.recipe)
        own = recipe.arm if recipe.techniques else TUNED
        name = CONTROL if recipe.id == session.recipe.id else own
        if name in {contrast.arm for contrast in contrasts}:
            raise BenchError(f"{arm.recipe_file}: another recipe is named {name} too; give one")
        if rehearsed := rehearsed_arm(session, name, recipe):
            deploys = rehearsed.effect == Effect.MODEL
            contrasts.append(Contrast(name, recipe, session.recipe, "full", deploys))
    _measure_what_applies(session, contrasts)


def _measure_what_applies(session: Session, contrasts: Sequence[Contrast]) -> None:
    """Measure arms beside the baseline; of it alone nobody asked, where none of them applies."""
    if contrasts or session.spent_before:
        session.measure(contrasts)
    else:
        session.show.note("nothing that was asked for applies here: nothing is measured")


def with_settings(recipe: Recipe, old: Recipe, new: Recipe) -> Recipe:
    """Carry a recipe over to other settings of its baseline, keeping what it changed itself."""
    changed = {k: v for k, v in recipe.settings.items() if old.settings.get(k) != v}
    return recipe.model_copy(update={"settings": new.settings | changed})


def full_optimization(session: Session) -> None:
    """Screen every technique alone, combine what wins, confirm in fresh pairs, attribute the gain.

    What can't gain enough here, by a profile of the baseline, is not screened. Parts that add
    nothing to the combination are dropped before it is confirmed, and settings of the others tuned,
    where a budget leaves the time. Where not all that win apply together, those that do are, the
    fastest first. Where a run is after the metric, the baseline's own settings are searched.
    """
    if (aims := aims_of(session.header)).quality:
        best_settings(session)
        return
    rehearsed = check_baseline(session)
    arms = [make_techniques(arm.techniques, session.code) for arm in session.header.arms]
    screened = _candidates(session, arms, raced_by, Bounding.of(session, rehearsed))
    session.measure(screened)
    comparison = compare_run(session.header, session.so_far, session.probed)
    winners = combination(comparison, arms, session.show.note)
    used, contrasts = together(winners, lambda used: combined(session, used, arms, screened))
    gains = _gains(comparison)
    won = [contrast for contrast in screened if contrast.arm in gains]
    doubtful = unsure(session.header, session.so_far)
    shortest = [
        without_passengers(session, Combination(whole, used, parts, aims), gains, doubtful)
        for whole in contrasts
        if (parts := tuple(c for c in won if is_in(whole.recipe, c.recipe)))
    ]
    tuned = [better for whole in shortest if (better := in_better_settings(session, whole))]
    confirm(session, comparison, _named(arms), screened, [*shortest, *tuned])


def combined(
    session: Session, used: Used, arms: Sequence[Used], screened: Sequence[Contrast]
) -> list[Contrast]:
    """Return the contrast of a combination; of one arm that is its own, by what judges it."""
    aims = aims_of(session.header)
    alone = {name for name, own in _named(arms).items() if own == used}
    if own := [replace(one, kind=judged_by(used, aims)) for one in screened if one.arm in alone]:
        return own
    return _candidates(session, [used])


def _named(arms: Sequence[Used]) -> dict[str, Used]:
    """Return arms by their names."""
    names = map(arm_names.join, arm_names.labels(arms))
    return dict(zip(names, arms, strict=True))


def combination(
    comparison: Comparison, arms: Sequence[Used], note: Callable[[str], None]
) -> list[Used]:
    """Return the arms worth combining: won, and cost no time that counts; of a clash the better."""
    by_name, aims = _named(arms), comparison.aims
    worth = [r for r in comparison.arms if r.arm in by_name and _worth_combining(comparison, r)]
    worth.sort(
        key=lambda r: merit(r, aims, middle) if aims.objectives else (middle(r, "time") or 0.0,),
        reverse=True,
    )
    chosen: list[Used] = []
    for result in worth:
        try:
            check_conflicts(t for used in [*chosen, by_name[result.arm]] for _, t in used)
        except Clash as clash:
            note(f"{result.arm} stays out of the combination: {clash}")
            continue
        chosen.append(by_name[result.arm])
    return chosen


def together(
    winners: Sequence[Used], candidates: Callable[[Used], list[Contrast]]
) -> tuple[Used, list[Contrast]]:
    """Return the combination of all winners, or of those that apply with the ones before them.

    `candidates` gives the contrast of a combination, none where it doesn't apply.
    """
    if not winners:
        return [], []
    everything = [technique for used in winners for technique in used]
    if contrasts := candidates(everything):
        return everything, contrasts
    chosen = winners[0]
    contrasts = candidates(chosen)
    for used in winners[1:]:
        both = [*chosen, *used]
        if both != everything and (more := candidates(both)):
            chosen, contrasts = both, more
    return chosen, contrasts


MODES: dict[str, Callable[[Session], None]] = {
    "baseline-only": baseline_only,
    "test": each_alone,
    "combine": each_alone,
    "full-optimization": full_optimization,
    "recipe": recipes,
    "verify": recipes,
    "ab": two_revisions,
    "judge": two_revisions,
    "audit": published_claims,
}


def _gains(comparison: Comparison) -> dict[str, tuple[Gain, ...]]:
    """Return by what each arm won that was worth combining."""
    worth = [r for r in comparison.arms if _worth_combining(comparison, r)]
    return {result.arm: result.gains for result in worth}


def _worth_combining(comparison: Comparison, result: ArmResult) -> bool:
    ratio, asked = result.time_ratio, comparison.aims.objectives
    slower = ratio is not None and _is_slower(ratio)
    timed = not asked or TIME.name in asked
    return result.verdict is Verdict.SCREENED and not (slower and timed)


def _is_slower(ratio: Interval) -> bool:
    """Tell whether an arm is; by its middle, where too few pairs give no interval."""
    return ratio.middle < 1 / WORTH_FINDING if ratio.high is None else ratio.high < 1


def _candidates(
    session: Session, arms: Sequence[Used], tried_by: Callable[[Used, Aims], Kind] = judged_by,
    bounding: Bounding | None = None,
) -> list[Contrast]:  # fmt: skip
    """Resolve each arm's recipe; record those that don't apply, or can't gain enough.

    The rest is left out where the budget is spent on that alone.
    """
    contrasts, aims = [], aims_of(session.header)
    for used, label in zip(arms, arm_names.labels(arms), strict=True):
        if session.spent_before:
            break
        name = arm_names.join(label)
        if bounding and bounding.excludes(name, used):
            continue
        try:
            if is_script(session.recipe):
                check_intercept(used)
            recipe = with_techniques(
                session.recipe, session.baseline, used, _probes(session, used, label),
                session.places,
            )  # fmt: skip
        except NotApplicable as reason:
            session.refuse(name, session.recipe, str(reason))
            continue
        rehearsed = rehearsed_arm(session, name, recipe)
        if rehearsed and not (bounding and bounding.too_dear(name, used, recipe, rehearsed)):
            deploys = rehearsed.effect == Effect.MODEL
            kind = tried_by(used, aims)
            contrasts.append(Contrast(name, recipe, session.recipe, kind, deploys))
    return contrasts


def check_intercept(used: Used) -> None:
    """Raise `NotApplicable` for a technique that can't be applied to any script."""
    for _, technique in used:
        if type(technique).intercept is Technique.intercept:
            technique.refuse_script()


def _probes(session: Session, used: Used, label: Sequence[str]) -> Callable[[Technique], Probe]:
    """Return what gives each technique of an arm its probe, recorded under its label."""
    called = {technique.name: own for (_, technique), own in zip(used, label, strict=True)}
    return lambda technique: probe_for(session, called[technique.name])
