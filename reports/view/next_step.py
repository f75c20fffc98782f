"""The command that a reader of a run most likely types next."""

from __future__ import annotations

import shlex

from bench.analysis.verdict import Verdict
from reports import context_tables, sentences
from reports.run import Run
from reports.view.open_arms import as_asked, buying, open_arms

OFFERED = 4
"""Winners of single tests that are offered together."""


def next_step(run: Run) -> tuple[str, str] | None:
    """Return what to do next and the command for it; None where there is nothing."""
    if sentences.unfinished(run) is not None:
        return "go on", f"bench --resume {run.folder}"
    if run.judged is not None:
        return None
    if run.exported and run.winner:
        return "train with it", f"bench train {run.folder}/optimized.json"
    if run.header.mode == "baseline-only":
        return "see what pays", shlex.join(["bench", "--full-optimization", *_options(run)])
    won = [r.arm for r in run.candidates if r.verdict is Verdict.WIN][:OFFERED]
    if run.header.mode == "test" and won:
        return "export it as a recipe", shlex.join(["bench", "--combine", *won, *_options(run)])
    bought = buying(run, open_arms(run))
    return ("decide what is open", bought[0]) if bought else None


def _options(run: Run) -> list[str]:
    return as_asked(run) if run.header.command else context_tables.asked(run)
