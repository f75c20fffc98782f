"""`bench index` and `bench history`: what many stored runs say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bench.cli.options import Json, among, runs
from bench.cli.output import columns, tell
from bench.errors import BenchError

FORMATS = ("text", "html", "json")
Places = Annotated[
    list[Path] | None,
    Argument(metavar="RESULTS…", help="folders with runs (results/), or runs", autocompletion=runs),
]


def index(results: Places = None, json_: Json = False) -> None:
    """List stored runs: when, of what, where, at which commit, and what came of each."""
    from reports.formats import index
    from reports.stored import stored

    found = index.index(stored(results or [Path("results")]))
    tell(index.as_json(found) if json_ else index.render(found, columns()), end="")


def history(
    results: Places = None,
    format_: Annotated[
        str, Option("--format", help="text, html or json", autocompletion=among(*FORMATS))
    ] = "text",
) -> None:
    """Show runs over commits, machine by machine, and where something changed.

    Ratios to a run's own baseline are compared over a machine's runs of the same training; absolute
    figures only within one version of torch. Of all that is shown, in at most 5 % of cases is a
    change found where there is none.
    """
    from reports.formats import history
    from reports.page import history as page
    from reports.stored import stored

    if format_ not in FORMATS:
        raise BenchError(f'no format "{format_}" of a history; there are: {", ".join(FORMATS)}')
    found = history.past(stored(results or [Path("results")]))
    shown = {
        "text": lambda: history.render(found, columns()),
        "html": lambda: page.render(found),
        "json": lambda: history.as_json(found),
    }
    tell(shown[format_](), end="")
