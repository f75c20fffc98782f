"""Say of an arm that no fresh pairs have judged what its screening makes of it. Pure."""

from __future__ import annotations

from bench.analysis.results import ArmResult
from bench.analysis.screening import Screened, Standing
from bench.analysis.verdict import Verdict


def after_screening(result: ArmResult, seen: Screened | None) -> ArmResult:
    """Return the result of an arm that no fresh pairs have judged, as what its screening says.

    What would be a win is chosen, and so is what is likely to be one; what is unlikely to be is
    left. What the pairs have shown otherwise stays.
    """
    if result.confirmed:
        return result
    if result.verdict is Verdict.WIN:
        return result.model_copy(update={"verdict": Verdict.SCREENED})
    if result.verdict is not Verdict.UNDECIDED or seen is None or seen.standing is Standing.OPEN:
        return result
    over = {"goes_on": False, "more_pairs": None, "needed_margin": None}
    if seen.standing is Standing.CHOSEN:
        gains = ", ".join(seen.gains)
        said = f"{gains} {seen.why}" if seen.why else f"likely {gains}"
        chosen = {"verdict": Verdict.SCREENED, "gains": seen.gains, "reason": said}
        return result.model_copy(update=over | chosen)
    after = f"{seen.pairs} pair{'s' * (seen.pairs > 1)}"
    left = {"verdict": Verdict.UNLIKELY, "reason": f"{seen.why} after {after}"}
    return result.model_copy(update=over | left)
