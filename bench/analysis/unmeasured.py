"""Say of an arm without a whole pair why that is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE, UNTRIED, Measurement, Status


def nothing_measured(
    name: str, trials: Sequence[Measurement], statuses: dict[str, int]
) -> ArmResult:
    """Return an arm's result: refused, failed if each of its trials that tell did, else undecided.

    A trial whose baseline has not run yet, or gave nothing, says nothing of the arm.
    """
    own = [t for t in trials if t.arm == name]
    said: dict[str, Any] = {"arm": name, "statuses": statuses}
    said["work"] = next((t.work for t in own if t.work), None)
    if refused := next((t for t in own if t.status in UNTRIED), None):
        bounded = refused.status is Status.BOUNDED
        verdict = Verdict.BOUNDED if bounded else Verdict.NOT_APPLICABLE
        return ArmResult(verdict=verdict, reason=refused.reason or str(refused.status), **said)
    judging = [t for t in own if t.stage == "confirm"] or own
    trained = {t.pair for t in trials if t.arm == BASELINE and t.ok}
    told = [t for t in judging if t.pair in trained or t.pair < 0]  # of a rehearsal, too
    if told and not any(t.ok for t in judging):
        return ArmResult(verdict=Verdict.FAILED, reason=_how(told[0]), **said)
    reason = "no whole pair was measured"
    lost = next((t for t in trials if t.arm == BASELINE and not t.ok), None)
    if lost is not None:
        reason = f"{reason}; the baseline {_how(lost)}"
    return ArmResult(verdict=Verdict.UNDECIDED, reason=reason, goes_on=lost is None, **said)


def _how(lost: Measurement) -> str:
    how = str(lost.status).replace("_", " ")
    return f"{how}: {lost.reason or how}"
