"""What a verification says of the claim that it held a recipe to."""

from __future__ import annotations

from bench.analysis.claims import evidence, held
from bench.analysis.intervals import Interval
from bench.analysis.objectives import MEMORY, TIME
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
    time, memory = bounds(run, claim)
    shown = {
        f"{measured.time_basis} time": formatting.ratio_with_interval(time),
        "memory": formatting.ratio_with_interval(memory),
        claim.metric_name: formatting.metric_with_interval(measured.metric),
        **_gain(run, claim),
    }
    claimed = (
        f"at least {formatting.ratio(claim.time_ratio[0])}",
        f"at least {formatting.ratio(claim.memory_ratio[0])}" if claim.memory_ratio else None,
        formatting.metric(claim.metric[1]) if claim.metric else None,
        *(
            [f"at least {formatting.difference(claim.quality_gain[0])}"]
            if claim.quality_gain
            else []
        ),
    )
    said = [
        f"{name} {text} (claimed {its})"
        for (name, text), its in zip(shown.items(), claimed, strict=True)
        if its
    ]
    return f"The claim holds: {formatting.listing(said)}."


def bounds(run: Run, claim: Claim) -> tuple[Interval | None, Interval | None]:
    """Return the ratios of time and memory with the bounds by which the claim is judged."""
    pairs, rule = matched(run.trials, evidence(run.comparison).arm), run.comparison.rule
    time, memory = (held(pairs, row, claim.time_basis, rule) for row in (TIME, MEMORY))
    return time, memory


def _gain(run: Run, claim: Claim) -> dict[str, str]:
    """Return by how much the metric is better, where that is claimed."""
    if claim.quality_gain is None:
        return {}
    found = next((result.quality_gain for result in run.comparison.arms), None)
    return {"a gain in it of": formatting.difference_with_interval(found)}
