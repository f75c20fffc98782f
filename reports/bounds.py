"""What each technique can gain at most, and what was not raced for it."""

from __future__ import annotations

from bench.analysis.bounds import broken
from bench.analysis.payback import planned_seconds
from bench.analysis.results import ArmResult
from bench.analysis.sequential import WORTH_FINDING
from bench.analysis.verdict import Verdict
from reports import formatting
from reports.formatting import listing, number
from reports.run import Run
from reports.tables import Table, table

NONE, NOT_RACED = "–", "not raced"


def bounds(run: Run) -> Table | None:
    """Return the most that each candidate can gain, where that was told before it was raced.

    Beside it stands what it gained.
    """
    told = [r for r in run.candidates if r.bounds or r.verdict is Verdict.BOUNDED]
    columns = ("candidate", "time at most", "gained in time", "memory at most", "gained in memory",
               "why")  # fmt: skip
    return table(columns, [_row(result) for result in told])


def left_out(run: Run) -> str | None:
    """Return what was not raced, in a sentence; None where everything was."""
    names = [r.arm for r in run.candidates if r.verdict is Verdict.BOUNDED]
    if not names:
        return None
    least = f"{100 * (WORTH_FINDING - 1):.0f} %"
    return (
        f"Not raced, as a profile of the baseline, or a rehearsal, shows that no gain of {least} "
        f"is there to be had: {listing(names)}."
    )


def profile(run: Run) -> str | None:
    """Return how near the baseline comes to what the machine can compute."""
    measured = run.profile
    if measured is None or measured.profile is None:
        return None
    seconds, peak = planned_seconds(measured), measured.profile.product_flops_per_second
    said = (
        f"About {formatting.seconds(seconds)} of steps make a whole training. " if seconds else ""
    )
    if not (measured.model_flops_per_step and measured.window_seconds and peak):
        return said.strip() or None
    step = measured.window_seconds / len(measured.step_seconds)
    rate = measured.model_flops_per_step / step
    return (
        f"{said}The baseline makes {formatting.flops(rate).removesuffix('s')}/s, "
        f"{formatting.percent(rate / peak)} of what a large float32 matrix product reaches in the "
        f"same process ({number(measured.threads, 'thread')})."
    )


def warnings(run: Run) -> list[str]:
    """Return which declarations of techniques the measurements contradict."""
    return broken(run.comparison.arms)


def _row(result: ArmResult) -> list[str]:
    most = {bound.objective: bound for bound in result.bounds}
    why = "; ".join(dict.fromkeys(bound.why for bound in result.bounds)) or result.reason
    found = (("time", result.time_ratio), ("memory", result.memory_ratio))
    raced = result.verdict is not Verdict.BOUNDED
    cells = [
        cell
        for objective, ratio in found
        for cell in (
            formatting.ratio(most[objective].ratio) if objective in most else NONE,
            formatting.ratio_with_interval(ratio) if raced else NOT_RACED,
        )
    ]
    return [result.arm, *cells, why]
