"""The pages' templates, and what stands beside them: style and script."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import TYPE_CHECKING

from bench.records.text import printable
from reports.charts.marks import text

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

    from reports.tables import Table


@functools.cache
def template(name: str) -> Template:
    """Compile a page's template, which takes far longer than to fill it in."""
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
    return pages.get_template(name)


def own(name: str) -> str:
    """Return a file of ours that lies beside the templates."""
    return files("reports").joinpath("templates", name).read_text(encoding="utf-8")


def _rows(table: Table) -> Markup:
    """Return a table's rows: of ten thousand a template's loop takes seconds."""
    from markupsafe import Markup

    lines = (
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(c)}</td>" for c in rest)}</tr>'
        for first, *rest in table.rows
    )
    return Markup("\n".join(lines))
