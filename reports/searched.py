"""What a search for settings tried: over which ranges, by what it chose, what was best."""

from __future__ import annotations

import math
from typing import Any

from bench.analysis.tries import Tried, found_in
from bench.records.ranges import Range
from bench.records.recipe import Recipe
from reports import formatting
from reports.formatting import listing, number
from reports.published import Search
from reports.run import Run
from reports.tables import Table, table

SHOWN = 10
"""Settings in the table, the best of all."""


def said(run: Run) -> str | None:
    """Return how much was tried, by what it was chosen, and what judges it; None: nothing was."""
    found = found_in(run.header, run.trials)
    if not run.header.ranges or not found:
        return None
    tries = sum(len(one.gains) + one.failed for one in found)
    unfit = sum(not one.fits for one in found)
    left = f"; {unfit} of the choices {_unfit(run)}" if unfit else ""
    return (
        f"{number(len(found), 'choice')} of {number(len(run.header.ranges), 'setting')} in "
        f"{number(tries, 'trial')}{left}. {_chosen(run)} {_judged(run)}"
    )


def ranges(run: Run) -> Table | None:
    """Return what was searched over, beside the baseline's own value."""
    own = run.header.settings
    rows = [
        (name, drawn_from(one), formatting.value(own[name]) if name in own else "–")
        for name, one in run.header.ranges.items()
    ]
    return table(("setting", "tried from", "baseline's own"), rows)


def best(run: Run) -> Table | None:
    """Return the best settings that were tried."""
    found = [one for one in found_in(run.header, run.trials) if one.fits][:SHOWN]
    gain = f"gain in {run.header.chosen_by if _is_of_quality(run) else _costs(run)}"
    columns = ("settings", gain, "tries", "time")
    return table(columns, [_row(run, one) for one in found])


def content(run: Run) -> Search | None:
    """Return the same as plain values, all that was tried."""
    if not run.header.ranges:
        return None
    return {
        "ranges": {name: one.model_dump(mode="json") for name, one in run.header.ranges.items()},
        "chosen_by": run.header.chosen_by,
        "tries": [
            {
                "settings": _settings(run, one.recipe),
                "tries": len(one.gains) + one.failed,
                "gain": one.gain if math.isfinite(one.gain) else None,
                "time_ratio": None if one.time is None else 1 / one.time,
                "fits": one.fits,
            }
            for one in found_in(run.header, run.trials)
        ],
    }


def _is_of_quality(run: Run) -> bool:
    return run.comparison.aims.quality


def _costs(run: Run) -> str:
    return listing(run.header.objectives or ("time",))


def _unfit(run: Run) -> str:
    """Return why a choice can't be had: what of it applies to a run."""
    aims = run.comparison.aims
    limited = ["exceed a limit"] if aims.limits or aims.times_baseline else []
    lost = ["don't keep the quality"] if not aims.quality and _kept(run) else []
    return " or ".join(["failed", *limited, *lost])


def _chosen(run: Run) -> str:
    """Return by what settings were chosen: never by how high the metric of the test part is."""
    header = run.header
    if _is_of_quality(run):
        return (
            f"They were chosen by {header.chosen_by}, of items held out of training, beside the "
            f"baseline of the same seed; {header.metric} of the test part chose nothing."
        )
    kept = _kept(run)
    among = f", among those that keep {kept}" if kept else ""
    return (
        f"They were chosen by what they gain in {_costs(run)} beside the baseline of the same "
        f"seed{among}."
    )


def _kept(run: Run) -> str | None:
    """Return what of quality tries were to keep; None where they only stepped."""
    tries = [trial for trial in run.trials if trial.stage == "tune"]
    if all(trial.kind == "step" for trial in tries):
        return None
    if run.header.chosen_by or any(trial.validation_loss is not None for trial in tries):
        return f"{run.header.chosen_by or 'the loss'}, of items held out of training"
    return f"{run.header.metric} of the test part, as the baseline holds no items out"


def _judged(run: Run) -> str:
    if any(result.confirmed for result in run.candidates):
        return "What was chosen was measured again on seeds that no try had: only that judges it."
    return "Nothing of it was confirmed on fresh seeds."


def _row(run: Run, one: Tried) -> tuple[str, str, str, str]:
    changed = _settings(run, one.recipe)
    named = ", ".join(f"{name}={formatting.value(value)}" for name, value in changed.items())
    gain = f"{one.gain:+.4f}" if _is_of_quality(run) else f"{math.exp(one.gain):.3f}×"
    taken = formatting.UNKNOWN if one.time is None else f"{one.time:.2f}× the baseline's"
    return named or "the baseline's own", gain, str(len(one.gains)), taken


def _settings(run: Run, recipe: Recipe) -> dict[str, Any]:
    """Return what a try set: of a baseline's settings those that differ from its own."""
    own = run.header.settings
    found = {k: v for k, v in recipe.settings.items() if own.get(k) != v}
    found |= {f"{use.name}.{k}": v for use in recipe.techniques for k, v in use.settings.items()}
    return {name: found[name] for name in run.header.ranges if name in found}


def drawn_from(one: Range) -> str:
    """Return what a search draws a setting from."""
    if one.values:
        return listing([formatting.value(value) for value in one.values])
    drawn = ", by orders of magnitude" if one.log else ""
    return f"{formatting.value(one.low)} to {formatting.value(one.high)}{drawn}"
