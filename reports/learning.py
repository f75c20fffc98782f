"""The table of what was seen and learnt: epochs, items, and the metrics beside the judged one."""

from __future__ import annotations

from bench.analysis.figures import middle
from bench.analysis.intervals import Interval
from bench.records.measurement import Measurement
from reports import formatting
from reports.run import Run
from reports.tables import Table, table


def learnt(run: Run) -> Table | None:
    """Return medians over each arm's whole trainings: an epoch may be a part of one.

    Behind a candidate's other metrics stand their paired differences to the baseline.
    """
    full = {arm: [t for t in run.of(arm) if t.kind == "full" and t.metrics] for arm in run.measured}
    trials = [trial for found in full.values() for trial in found]
    others = sorted({name for t in trials for name in t.metrics[-1].values} - {run.header.metric})
    if not others and all(trial.items_seen is None for trial in trials):
        return None
    changes = {result.arm: result.other_differences for result in run.candidates}
    rows = [
        [arm, *_counts(found), *(_value(found, name, changes.get(arm, {})) for name in others)]
        for arm, found in full.items()
        if found
    ]
    made = table(("arm", "epochs", f"{run.unit} seen", *others), rows)
    return made.known() if made else None


def _counts(trials: list[Measurement]) -> list[str]:
    counts = (middle(trials, lambda m: m.epochs), middle(trials, lambda m: m.items_seen))
    return ["–" if count is None else f"{count:,.0f}" for count in counts]


def _value(trials: list[Measurement], name: str, changes: dict[str, Interval]) -> str:
    value = middle(trials, lambda m: m.metrics[-1].values.get(name))
    if value is None:
        return "–"
    change = changes.get(name)
    return f"{value:.4f}" + (f", {formatting.difference_with_interval(change)}" if change else "")
