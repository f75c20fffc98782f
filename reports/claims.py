"""What a verification says of the claim that it held a recipe to."""

from __future__ import annotations

from bench.analysis.claims import evidence
from bench.records.claim import Claim
from reports import phrases
from reports.records import Run


def judgement(run: Run, claim: Claim) -> str:
    """Return whether the claim holds: what was measured, and what was claimed beside it."""
    if run.problems:
        return f"The claim does not hold: {'; '.join(run.problems)}."
    measured = evidence(run.comparison)
    shown = {
        f"{measured.time_basis} time": phrases.ratio_with_interval(measured.time_ratio),
        "memory": phrases.ratio_with_interval(measured.memory_ratio),
        claim.metric_name: phrases.metric_with_interval(measured.metric),
    }
    claimed = (
        phrases.ratio(claim.time_ratio[1]),
        phrases.ratio(claim.memory_ratio[1]) if claim.memory_ratio else None,
        phrases.metric(claim.metric[1]) if claim.metric else None,
    )
    said = [
        f"{name} {text} (claimed {its})"
        for (name, text), its in zip(shown.items(), claimed, strict=True)
        if its
    ]
    return f"The claim holds: {phrases.listing(said)}."
