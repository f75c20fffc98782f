"""What a verification says of the claim that it held a recipe to."""

from __future__ import annotations

from bench.analysis.claims import evidence
from bench.records.claim import Claim
from reports import formatting
from reports.run import Run


def judgement(run: Run, claim: Claim) -> str:
    """Return whether the claim holds: what was measured, and what was claimed beside it."""
    if run.problems:
        return f"The claim does not hold: {'; '.join(run.problems)}."
    measured = evidence(run.comparison)
    shown = {
        f"{measured.time_basis} time": formatting.ratio_with_interval(measured.time_ratio),
        "memory": formatting.ratio_with_interval(measured.memory_ratio),
        claim.metric_name: formatting.metric_with_interval(measured.metric),
    }
    claimed = (
        formatting.ratio(claim.time_ratio[1]),
        formatting.ratio(claim.memory_ratio[1]) if claim.memory_ratio else None,
        formatting.metric(claim.metric[1]) if claim.metric else None,
    )
    said = [
        f"{name} {text} (claimed {its})"
        for (name, text), its in zip(shown.items(), claimed, strict=True)
        if its
    ]
    return f"The claim holds: {formatting.listing(said)}."
