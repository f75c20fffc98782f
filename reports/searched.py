"""What a search for settings tried: over which ranges, by what it chose, what was best."""

from __future__ import annotations

import math

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
    found, header = found_in(run.header, run.trials), run.header
    if not header.ranges or not found:
        return None
    tries = sum(len(one.gains) + one.failed for one in found)
    unfit = sum(not one.fits for one in found)
    left = f"; {unfit} of them failed, or exceed a limit" if unfit else ""
    confirmed = any(result.confirmed for result in run.candidates)
    end = (
        "The best was measured again beside the baseline, on seeds that no try had: only that "
        "judges it."
        if confirmed
        else "Nothing of it was confirmed on fresh seeds."
    )
    return (
        f"{number(len(found), 'choice')} of {number(len(header.ranges), 'setting')} in "
        f"{number(tries, 'trial')}{left}. They were chosen by {header.chosen_by}, of items held "
        f"out of training, beside the baseline of the same seed; {header.metric} of the test part "
        f"chose nothing. {end}"
    )


def ranges(run: Run) -> Table | None:
    """Return what was searched over, beside the baseline's own value."""
    own = run.header.settings
    rows = [
        (name, _range(one), formatting.value(own.get(name)))
        for name, one in run.header.ranges.items()
    ]
    return table(("setting", "tried from", "baseline's own"), rows)


def best(run: Run) -> Table | None:
    """Return the best settings that were tried."""
    found = [one for one in found_in(run.header, run.trials) if one.fits][:SHOWN]
    gain = f"gain in {run.header.chosen_by}"
    columns = ("settings, where they differ", gain, "tries", "time")
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
                "settings": _changed(run, one.recipe),
                "tries": len(one.gains) + one.failed,
                "gain": one.gain if math.isfinite(one.gain) else None,
                "time_ratio": None if one.time is None else 1 / one.time,
                "fits": one.fits,
            }
            for one in found_in(run.header, run.trials)
        ],
    }


def _row(run: Run, one: Tried) -> tuple[str, str, str, str]:
    changed = _changed(run, one.recipe)
    named = ", ".join(f"{name}={formatting.value(value)}" for name, value in changed.items())
    taken = formatting.UNKNOWN if one.time is None else f"{one.time:.2f}× the baseline's"
    return named or "the baseline's own", f"{one.gain:+.4f}", str(len(one.gains)), taken


def _changed(run: Run, recipe: Recipe) -> dict[str, object]:
    own = run.header.settings
    return {name: recipe.settings[name] for name in run.header.ranges
            if recipe.settings.get(name) != own.get(name)}  # fmt: skip


def _range(one: Range) -> str:
    if one.values:
        return listing([formatting.value(value) for value in one.values])
    drawn = ", by orders of magnitude" if one.log else ""
    return f"{formatting.value(one.low)} to {formatting.value(one.high)}{drawn}"
