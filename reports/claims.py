"""What a verification says of the claim that it held a recipe to."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.claims import evidence, held
from bench.analysis.intervals import Interval
from bench.analysis.objectives import BY_NAME, MEMORY, TIME
from bench.analysis.pairs import matched, pairs_of
from bench.records.claim import Claim
from reports import formatting
from reports.formatting import number
from reports.run import Run


def judgement(run: Run, claim: Claim) -> str:
    """Return whether the claim holds: what was measured, and what was claimed beside it."""
    found, measured = run.judged, evidence(run.comparison)
    pairs = pairs_of(run.trials, measured.arm)
    if found and found.problems:
        return f"The claim does not hold: {'; '.join(found.problems)}."
    if found and found.undecided:
        made = number(len(pairs), "pair")
        return f"The claim is not decided in {made}: {'; '.join(found.undecided)}."
    return f"The claim holds: {formatting.listing(list(_held(run, claim)))}."


def _held(run: Run, claim: Claim) -> Iterator[str]:
    """Yield each thing that was claimed, as it was measured."""
    measured, others = evidence(run.comparison), claim.other_ratios
    pairs, rule = matched(run.trials, measured.arm), run.comparison.rule
    ratios = [
        (f"{measured.time_basis} time", TIME, claim.time_ratio),
        ("memory", MEMORY, claim.memory_ratio),
        *((name, BY_NAME[name], ratio) for name, ratio in others.items() if name in BY_NAME),
    ]
    for name, row, its in ratios:
        if its is not None:
            found = formatting.ratio_with_interval(held(pairs, row, claim.time_basis, rule))
            yield f"{name} {found} (claimed at least {formatting.ratio(its[0])})"
    if claim.metric is not None:
        found = formatting.metric_with_interval(measured.metric)
        lower = claim.metric_direction == "lower"
        end, side = (claim.metric[2], "most") if lower else (claim.metric[0], "least")
        yield f"{claim.metric_name} {found} (claimed at {side} {formatting.metric(end)})"
    if claim.quality_gain is not None:
        gain = next((result.quality_gain for result in run.comparison.arms), None)
        found = formatting.difference_with_interval(gain)
        least = formatting.difference(claim.quality_gain[0])
        yield f"a gain in it of {found} (claimed at least {least})"


def bounds(run: Run, claim: Claim) -> tuple[Interval | None, Interval | None]:
    """Return the ratios of time and memory with the bounds by which the claim is judged."""
    pairs, rule = matched(run.trials, evidence(run.comparison).arm), run.comparison.rule
    time, memory = (held(pairs, row, claim.time_basis, rule) for row in (TIME, MEMORY))
    return time, memory
