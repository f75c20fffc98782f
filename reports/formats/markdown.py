"""``report.md``, for code hosts: the answer first, then narrow tables, the details folded."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bench.records.text import printable
from reports import (
    aims,
    arm_tables,
    bounds,
    commands,
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
from reports.run import FOREST, PLOTS, Run
from reports.tables import Table, table
from reports.view.whole import View, view_of

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = "report.md.j2"
CALLS = re.compile(r"(?<!\w)@(?=\w)|(?<!\w)#(?=\d)|(?<=/)[\w.-]+#(?=\d)")
"""What names an account or an issue on a code host: a decorator in a reason calls nobody."""
WIDEST = 6
"""Columns of a table that a code host shows whole."""


def render(run: Run) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    text = _template().render(_content(run))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@functools.cache
def _template() -> Template:
    """Compile the page's template, which takes far longer than to fill it in."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("reports", "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # this is no HTML; the filters below take its place
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"text": escape, "fence": fence}
    return pages.get_template(TEMPLATE)


def escape(text: str) -> str:
    """Return a text that shows as it is, on one line, inside a table or out of it."""
    line = printable(" ".join(text.split()))
    line = re.sub(r"[\\`*|~$]|<(?=[A-Za-z/!?])", r"\\\g<0>", line)
    line = re.sub(r"(?<!\w)_+|_+(?!\w)", lambda found: r"\_" * len(found[0]), line)
    line = re.sub(r"&(?=#?\w+;)", "&amp;", line).replace("](", r"]\(")
    return re.sub(CALLS, r"\g<0>&#8203;", line)


def fence(text: str) -> str:
    """Return a shell code block that its content can't end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}sh\n{printable(text)}\n{marks}"


def _content(run: Run) -> dict[str, Any]:  # long: an entry a line
    view = view_of(run)
    return {
        "title": run.title,
        "asked": heading.asked(run),
        "context": heading.context(run),
        "answer": view.answer,
        "race": sentences.race(run),
        "remarks": [r for r in (undone.unfinished(run), undone.incomplete(run)) if r],
        "notices": run.header.notices,
        "plots": {theme: f"{PLOTS}/{FOREST.format(theme)}" for theme in ("light", "dark")},
        "drawn": run.drawn and bool(view.rows),
        "verdicts": arm_tables.verdicts(run),
        "reasons": [(r.arm, f"{r.verdict}, {r.work}", r.reason) for r in view.rows],
        "inapplicable": view.inapplicable,
        "broken": view.broken,
        "bounds": bounds.bounds(run),
        "profile": bounds.profile(run),
        "left_out": bounds.left_out(run),
        "aims": aims.said(run),
        "attribution": context_tables.attribution(run),
        "attribution_basis": context_tables.attribution_basis(run),
        "attributed": run.comparison.attribution.arm if run.comparison.attribution else None,
        "judged": run.judged is not None,
        "noise": [*sentences.noise(run), *sentences.judged(run)],
        "warnings": warnings.warnings(run),
        "undecided": _undecided(view),
        "buying": view.buying,
        "seconds": formatting.seconds,
        "recipe": _recipe(view),
        "folded": list(_folded(run)),
        "counting": context_tables.counting(run),
        "searches": context_tables.searches(run),
        "searched": searched.said(run),
        "ranges": searched.ranges(run),
        "tries": searched.best(run),
        "failures": context_tables.failures(run),
        "tracebacks": run.tracebacks,
        "commands": _commands(commands.commands(run)),
        "environment": context_tables.environment(run),
        "metric": run.header.metric,
        "margin": run.margin,
        "terms": terms.terms(run),
    }


def _folded(run: Run) -> Iterable[tuple[str, list[Table]]]:
    """Yield titles with tables that are narrow enough."""
    found = {
        "In numbers": (
            arm_tables.times(run), arm_tables.memory(run), arm_tables.model(run),
            learning.learnt(run), processes.processes(run),
        ),
        "Where the time of a step goes": (arm_tables.phases(run),),
        "Before the steady state": (arm_tables.setups(run),),
        "Settings and data": (
            context_tables.changes(run), context_tables.settings(run), context_tables.data(run),
        ),
    }  # fmt: skip
    for title, tables in found.items():
        parts = [part for made in tables if made for part in made.narrow(WIDEST)]
        if parts:
            yield title, parts


def _undecided(view: View) -> Table | None:
    return table(("arm", "would need", "why"), [(o.arm, o.needs, o.why) for o in view.undecided])


def _recipe(view: View) -> Table | None:
    differing = [change for change in view.changes if change.differs]
    return table(
        ("setting", "baseline", "recipe"),
        [(change.what, change.before or "–", change.after or "–") for change in differing],
    )


def _commands(found: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"# {what}\n{command}" for what, command in found)
