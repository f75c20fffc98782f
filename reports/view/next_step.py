"""The command that a reader of a run most likely types next."""

from __future__ import annotations

from bench.records.measurement import BASELINE
from reports import undone
from reports.run import Run
from reports.view.open_arms import as_asked, asking, buying, of_audit, open_arms


def next_step(run: Run) -> tuple[str, str] | None:
    """Return what to do next and the command for it; None where there is nothing."""
    if undone.goes_on(run):
        return "go on", f"{run.header.resuming} {run.folder}"
    if run.judged is not None or run.revised is not None or not run.of(BASELINE):
        return None
    if run.exported and run.winner:
        return "train with it", f"bench train {run.folder}/optimized.json"
    if of_audit(run):
        return None
    if run.header.mode == "baseline-only":
        return "see what pays", asking(run, "--full-optimization")
    if run.header.mode == "test" and run.winner:
        return "export it as a recipe", asking(run, "--combine", as_asked(run, run.winner.arm))
    bought = buying(run, open_arms(run)) if undone.unfinished(run) is None else None
    return ("decide what is open", bought[0]) if bought else None
