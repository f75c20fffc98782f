"""What a run is after, and which arms it can't have."""

from __future__ import annotations

from bench.analysis.aims import choice
from bench.analysis.objectives import BY_NAME
from bench.analysis.verdict import Verdict
from reports import formatting
from reports.formatting import listing
from reports.run import Run


def said(run: Run) -> list[str]:
    """Return what was asked for, and what can't be had, in sentences."""
    return [sentence for sentence in (asked(run), *kept_out(run)) if sentence]


def asked(run: Run) -> str | None:
    """Return in which objectives a gain counts, and under which limits; None: nothing was asked."""
    aims, parts = run.comparison.aims, []
    if aims.objectives:
        parts.append(f"A gain counts in {listing(aims.objectives)} alone")
    limits = [f"{_called(name)} at most {_amount(name, v)}" for name, v in aims.limits.items()]
    limits += [
        f"{_called(name)} at most {times:g}× the baseline's"
        for name, times in aims.times_baseline.items()
    ]
    if limits:
        parts.append(f"limits: {listing(limits)}")
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "." if parts else None


def kept_out(run: Run) -> list[str]:
    """Return what is over a limit, with its value, and of two objectives the winners' front."""
    over = [r for r in run.candidates if r.verdict is Verdict.OVER_LIMIT]
    found = [f"{result.arm} is not to be had: its {result.reason}." for result in over]
    baseline = run.comparison.baseline_over
    if baseline:
        found.append(f"The baseline itself: its {baseline}.")
        if not run.winner and run.header.mode in ("combine", "full-optimization"):
            found.append("So no recipe is exported.")
    offered = choice(run.comparison)
    if len(offered) > 1:
        names = listing(run.comparison.aims.objectives)
        taken = f"; exported is {run.winner.arm}" if run.exported and run.winner else ""
        found.append(f"None of {listing(offered)} is better than another in both {names}{taken}.")
    return found


def _called(objective: str) -> str:
    return "the whole training" if objective == "time" else objective


def _amount(objective: str, value: float) -> str:
    unit = BY_NAME[objective].unit
    if unit == "bytes":
        return formatting.size(value)
    return formatting.seconds(value) if unit == "s" else f"{value:g} {unit}"
