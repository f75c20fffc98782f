"""``report.html``: the Markdown report as one page that opens anywhere, its pictures inside."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from bench.records.text import printable
from reports.formats.markdown import render as as_markdown
from reports.run import CURVES, PLOTS, Run

if TYPE_CHECKING:
    from markdown_it.token import Token

TEMPLATE = "report.html.j2"


def render(run: Run) -> str:
    """Return the report as one HTML file, which needs no other file and no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(as_markdown(run))
    _embed(tokens, run)
    body = parser.renderer.render(tokens, parser.options, {})
    body = body.replace("<table>", '<div class="table"><table>')
    body = body.replace("</table>", "</table></div>")
    pages = Environment(
        loader=PackageLoader("reports", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
    )
    title = printable(f"{run.title}: {run.header.run}")
    return pages.get_template(TEMPLATE).render(title=title, body=body)


def _embed(tokens: list[Token], run: Run) -> None:
    """Put the run's own picture in the place of its address; show any other as its text."""
    for child in (child for token in tokens for child in token.children or []):
        if child.type != "image":
            continue
        if run.drawn and child.attrs["src"] == f"{PLOTS}/{CURVES}":
            picture = (run.path / PLOTS / CURVES).read_bytes()
            code = b64encode(picture).decode("ascii")
            child.attrs["src"] = f"data:image/svg+xml;base64,{code}"
        else:
            child.type, child.tag, child.children = "text", "", None
