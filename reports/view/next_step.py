"""The command that a reader of a run most likely types next."""

from __future__ import annotations

from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE
from reports import undone
from reports.run import Run
from reports.view.open_arms import as_asked, asking, buying, open_arms

OFFERED = 4
"""Winners of single tests that are offered together."""


def next_step(run: Run) -> tuple[str, str] | None:
    """Return what to do next and the command for it; None where there is nothing."""
    if undone.unfinished(run) is not None:
        return "go on", f"{run.header.resuming} {run.folder}"
    if run.judged is not None or run.revised is not None or not run.of(BASELINE):
        return None
    if run.exported and run.winner:
        return "train with it", f"bench train {run.folder}/optimized.json"
    if run.header.mode == "baseline-only":
        return "see what pays", asking(run, "--full-optimization")
    won = [r.arm for r in run.candidates if r.verdict is Verdict.WIN][:OFFERED]
    if run.header.mode == "test" and won:
        first = {arm.partition(":")[0]: as_asked(run, arm) for arm in reversed(won)}
        return "export it as a recipe", asking(run, "--combine", *reversed(first.values()))
    bought = buying(run, open_arms(run))
    return ("decide what is open", bought[0]) if bought else None
