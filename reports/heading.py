"""What stands above a report: what was asked for, and what was run, where and when."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from reports import formatting
from reports.run import Run

MODES: Mapping[str, str] = MappingProxyType({
    "baseline-only": "the baseline alone",
    "test": "techniques, each alone",
    "combine": "techniques, together",
    "full-optimization": "every technique screened, the winners combined and confirmed",
    "recipe": "exported recipes",
    "verify": "an exported recipe, measured again",
    "ab": "two revisions of the code, one against the other",
    "judge": "an edit, against the last commit",
    "audit": "arms that tell published claims",
})  # fmt: skip
SEARCH = "its settings searched for the best metric, the best of them confirmed"
"""Of a full optimisation that is after the metric: it races no technique."""


def asked(run: Run) -> str:
    """Return what a run was asked to do."""
    mode = run.header.mode
    if mode == "full-optimization" and run.comparison.aims.quality:
        return SEARCH
    return MODES.get(mode, mode)


def context(run: Run) -> str:
    """Return what was run, where and when, in one line."""
    header = run.header
    card = next((trial.data for trial in run.trials if trial.data), None)
    words = [
        *([card.name] if card else []),
        header.device,
        formatting.number(header.threads, "thread"),
        formatting.number(sum(trial.pair >= 0 for trial in run.trials), "trial"),
        f"started {header.started}",
        f"run {header.run}",
    ]
    return ", ".join(words)
