"""``report.html``: one page that opens anywhere, its charts inside, readable without its script."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from reports import (
    aims,
    arm_tables,
    bounds,
    context_tables,
    formatting,
    heading,
    learning,
    processes,
    searched,
    sentences,
    terms,
    undone,
    warnings,
)
from reports.charts.marks import drawing
from reports.page import shares
from reports.page.forest import forest_of
from reports.page.learning import learning as learning_curves
from reports.page.planes import planes
from reports.page.template import own, template
from reports.page.waterfall import waterfall
from reports.run import Run
from reports.view.changes import recipe_of
from reports.view.whole import view_of

TEMPLATE = "report.html.j2"
STYLE, SCRIPT = "report.css", "report.js"


def render(run: Run) -> str:
    """Return the report as one HTML file, which needs no other file and no network."""
    return template(TEMPLATE).render(_content(run))


def _content(run: Run) -> dict[str, Any]:  # long: an entry a line
    view = view_of(run)
    forest = forest_of(run, view)
    return {
        "run": run,
        "view": view,
        "title": run.title,
        "asked": heading.asked(run),
        "context": heading.context(run),
        "race": sentences.race(run),
        "remarks": [r for r in (undone.unfinished(run), undone.incomplete(run)) if r],
        "noise": sentences.noise(run),
        "warnings": [*run.header.notices, *warnings.warnings(run)],
        "forest": forest,
        "axes": {name: drawing([forest.axis(name)], 18, "cell") for name in forest.shown},
        "names": {"time": "time", "memory": "memory", "quality": run.header.metric},
        "key": _key(run),
        "bounds": bounds.bounds(run),
        "profile": bounds.profile(run),
        "left_out": bounds.left_out(run),
        "aims": aims.said(run),
        "planes": planes(run, view),
        "waterfall": waterfall(run),
        "attribution_basis": context_tables.attribution_basis(run),
        "learning": learning_curves(run),
        "steps": shares.steps(run),
        "order": shares.order(run),
        "each": "a step" if run.counts_steps else "an item",
        "loads": any(t.load_average is not None for t in (*run.trials, *run.set_aside)),
        "phases": shares.phases(run),
        "memory": shares.memory(run),
        "memory_kinds": run.both_kinds,
        "recipe": _recipe(run),
        "tables": _tables(run),
        "counting": context_tables.counting(run),
        "searches": context_tables.searches(run),
        "searched": searched.said(run),
        "ranges": searched.ranges(run),
        "tries": searched.best(run),
        "failures": context_tables.failures(run),
        "trials": context_tables.trials(run),
        "environment": context_tables.environment(run),
        "settings": context_tables.settings(run),
        "changes": context_tables.changes(run),
        "data": context_tables.data(run),
        "terms": terms.terms(run),
        "margin": run.margin,
        "minutes": formatting.seconds,
        "style": own(STYLE),
        "script": own(SCRIPT),
    }


def _key(run: Run) -> str:
    """Return how to read the forest plot."""
    better = "lower is better" if run.target.lower else "higher is better"
    return f"{run.header.metric}: {better}"


def _tables(run: Run) -> list[tuple[str, Any]]:
    found = (
        ("Time", arm_tables.times(run)),
        ("Memory", arm_tables.memory(run)),
        ("Model", arm_tables.model(run)),
        ("Seen and learnt", learning.learnt(run)),
        ("Processes", processes.processes(run)),
        ("Phases of a step", arm_tables.phases(run)),
        ("Before the steady state", arm_tables.setups(run)),
    )
    return [(title, made) for title, made in found if made]


def _recipe(run: Run) -> str | None:
    """Return the winner's recipe as an address that holds it whole."""
    recipe = recipe_of(run, run.winner.arm) if run.winner else None
    if recipe is None:
        return None
    text = json.dumps(recipe.model_dump(mode="json"), indent=1, ensure_ascii=True)
    return f"data:application/json;base64,{b64encode(text.encode()).decode('ascii')}"
