"""The table of what was seen and learnt: epochs, items, and the metrics beside the judged one."""

from __future__ import annotations

from bench.measurement import Measurement
from reports.records import Run, middle
from reports.tables import Table, table


def learnt(run: Run) -> Table | None:
    """Return medians over each arm's whole trainings: an epoch may be a part of one."""
    full = {arm: [t for t in run.of(arm) if t.kind == "full" and t.metrics] for arm in run.measured}
    trials = [trial for found in full.values() for trial in found]
    others = sorted({name for t in trials for name in t.metrics[-1].values} - {run.header.metric})
    if not others and all(trial.items_seen is None for trial in trials):
        return None
    rows = [[arm, *_cells(found, others)] for arm, found in full.items() if found]
    made = table(("arm", "epochs", f"{run.header.unit} seen", *others), rows)
    return made.known() if made else None


def _cells(trials: list[Measurement], others: list[str]) -> list[str]:
    epochs = middle(trials, lambda m: m.epochs)
    seen = middle(trials, lambda m: m.items_seen)
    values = [
        middle(trials, lambda m, name=name: m.metrics[-1].values.get(name))  # type: ignore[misc]  # mypy: a lambda's default
        for name in others
    ]
    counts = ["–" if value is None else f"{value:,.0f}" for value in (epochs, seen)]
    return [*counts, *("–" if value is None else f"{value:.4f}" for value in values)]
