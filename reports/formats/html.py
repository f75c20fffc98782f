"""``report.html``: one page that opens anywhere, its charts inside, readable without its script."""

from __future__ import annotations

import functools
import json
from base64 import b64encode
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bench.records.text import printable
from reports import (
    aims,
    arm_tables,
    bounds,
    context_tables,
    formatting,
    learning,
    searched,
    sentences,
    undone,
    warnings,
)
from reports.charts.marks import drawing, text
from reports.page import shares
from reports.page.forest import forest_of
from reports.page.learning import learning as learning_curves
from reports.page.planes import planes
from reports.page.waterfall import waterfall
from reports.run import Run
from reports.view.changes import recipe_of
from reports.view.whole import view_of

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

    from reports.tables import Table

TEMPLATE = "report.html.j2"
STYLE, SCRIPT = "report.css", "report.js"


def render(run: Run) -> str:
    """Return the report as one HTML file, which needs no other file and no network."""
    return _template().render(_content(run))


@functools.cache
def _template() -> Template:
    """Compile the page's template, which takes far longer than to fill it in."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("reports", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    pages.filters["rows"] = _rows
    return pages.get_template(TEMPLATE)


def _rows(table: Table) -> Markup:
    """Return a table's rows: of ten thousand a template's loop takes seconds."""
    from markupsafe import Markup

    lines = (
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(c)}</td>" for c in rest)}</tr>'
        for first, *rest in table.rows
    )
    return Markup("\n".join(lines))


def _content(run: Run) -> dict[str, Any]:  # long: an entry a line
    view = view_of(run)
    forest = forest_of(run, view)
    return {
        "run": run,
        "view": view,
        "title": run.title,
        "asked": context_tables.MODES.get(run.header.mode, run.header.mode),
        "context": context_tables.context(run),
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
        "phases": shares.phases(run),
        "memory": shares.memory(run),
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
        "terms": context_tables.terms(run),
        "margin": run.margin,
        "minutes": formatting.seconds,
        "style": _own(STYLE),
        "script": _own(SCRIPT),
    }


def _own(name: str) -> str:
    """Return a file of ours that lies beside the template."""
    return files("reports").joinpath("templates", name).read_text(encoding="utf-8")


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
