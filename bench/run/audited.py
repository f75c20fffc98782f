"""Measure the arms that tell published claims: other settings of the baseline, techniques, both."""

from __future__ import annotations

from bench.baseline import marked
from bench.errors import BenchError, NotApplicable
from bench.recipes import registry
from bench.recipes.assembly import settings_dump
from bench.recipes.resolve import make_techniques, with_techniques
from bench.records.audit import Experiment, Tried
from bench.records.recipe import Recipe
from bench.run import arm_names
from bench.run.plan import Contrast, Kind
from bench.run.probing import probe_for
from bench.run.rehearsing import check_baseline, rehearsed_arm
from bench.run.session import Session
from bench.technique import Effect


def published_claims(session: Session) -> None:
    """Measure every arm of an audit's run, until its claims are told or the budget is spent."""
    asked = session.header.audit
    if asked is None:
        raise BenchError(f"{session.header.run} says no claims: start the audit again")
    check_baseline(session)
    found = [_contrast(session, asked, name, arm) for name, arm in asked.arms.items()]
    if contrasts := [contrast for contrast in found if contrast is not None]:
        session.measure(contrasts)


def _contrast(session: Session, asked: Experiment, name: str, arm: Tried) -> Contrast | None:
    """Return an arm beside the baseline; None, and recorded, where it doesn't apply."""
    try:
        recipe = _recipe(session, arm)
    except NotApplicable as reason:
        session.refuse(name, session.recipe, str(reason))
        return None
    if recipe.id == session.recipe.id:
        raise BenchError(f"the arm {name} of the run {asked.name} changes nothing: its settings "
                         "are those before")  # fmt: skip
    rehearsed = rehearsed_arm(session, name, recipe)
    if rehearsed is None:
        return None
    kind: Kind = "step" if asked.trials == "steps" else "full"
    return Contrast(name, recipe, session.recipe, kind, rehearsed.effect == Effect.MODEL)


def _recipe(session: Session, arm: Tried) -> Recipe:
    """Return what an arm trains: what it leaves out is as before."""
    used = make_techniques(arm.techniques, session.code)
    label = dict(zip([t.name for _, t in used], arm_names.labels([used])[0], strict=True))
    settings = registry.make_settings(session.baseline, {**_kept(session, arm), **arm.settings})
    base = session.recipe.model_copy(update={"settings": settings_dump(settings)})
    if not used:
        return base
    return with_techniques(
        base, session.baseline, used, lambda t: probe_for(session, label[t.name]), session.places
    )


def _kept(session: Session, arm: Tried) -> dict[str, object]:
    """Return the settings before without those that a preset of the arm's fills anew."""
    filled: set[str] = set()
    for name, presets in marked(session.baseline.settings, "fills").items():
        if name in arm.settings:
            filled |= set(presets.get(str(arm.settings[name]), {}))
    return {k: v for k, v in session.recipe.settings.items() if k not in filled}
