"""Say of a planned trial all that its process is to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.recipes.source import places_in
from bench.records.measurement import BASELINE
from bench.records.revisions import HEAD
from bench.run.inference import times_inference
from bench.run.plan import Planned
from bench.trial.spec import TrialSpec

if TYPE_CHECKING:
    from bench.run.session import Session


def spec_of(session: Session, planned: Planned, **changes: Any) -> TrialSpec:
    """Return what a session asks of a trial; `changes` take the place of what it asks of most."""
    header = session.header
    own = {
        "arm": planned.arm, "pair": planned.pair, "seed": planned.seed, "kind": planned.kind,
        "stage": planned.stage, "recipe": planned.recipe, "metric": header.metric,
        "bounds": header.metric_bounds, "device": header.device,
        "inference": times_inference(planned, session.told.pairs, header),
        "threads": planned.recipe.settings.get("threads") or header.threads,
        "places": places_in(session.head if planned.arm == HEAD else session.code),
        "declares": planned.arm != HEAD, "resettled": planned.resettled(session.recipe),
        "validates": planned.stage == "tune",
        "scratch": str(session.folder.scratch),
    }  # fmt: skip
    return TrialSpec(**{**own, **changes})


def asked_of(session: Session, planned: Planned) -> TrialSpec:
    """Return what is asked of a trial that counts: its FLOPs too, once a recipe."""
    told, recipe = session.told, planned.recipe.model_dump(mode="json")
    counted = told.counted.of(recipe) or told.rehearsed.of(recipe)
    first = planned.arm == BASELINE and not told.counted.checked
    counts = first or not (counted or planned.stage == "tune")
    return spec_of(session, planned, count_flops=counts, cross_check=first)
