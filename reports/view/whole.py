"""All of the view of a run, made once for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.verdict import Verdict
from reports.run import Run
from reports.view.answer import Answer, answer
from reports.view.changes import Change, changes
from reports.view.open_arms import Open, buying, open_arms
from reports.view.rows import Row, control_row, rows, unmeasured


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a run, beside its tables."""

    answer: Answer
    rows: tuple[Row, ...]
    control: Row | None
    inapplicable: tuple[tuple[str, str], ...]
    """Arms that don't apply, and why."""
    bounded: tuple[tuple[str, str], ...]
    """Arms that were not tried, as they can't gain enough."""
    broken: tuple[tuple[str, str], ...]
    """Arms of which no trial succeeded, and how they failed."""
    undecided: tuple[Open, ...]
    buying: tuple[str, float] | None
    """One command that decides what is worth it, and its seconds."""
    changes: tuple[Change, ...]


def view_of(run: Run) -> View:
    """Return the view of a run."""
    undecided = open_arms(run)
    return View(
        answer=answer(run),
        rows=rows(run),
        control=control_row(run),
        inapplicable=unmeasured(run, Verdict.NOT_APPLICABLE),
        bounded=unmeasured(run, Verdict.BOUNDED),
        broken=unmeasured(run, Verdict.FAILED, Verdict.UNDECIDED),
        undecided=undecided,
        buying=buying(run, undecided),
        changes=changes(run),
    )
