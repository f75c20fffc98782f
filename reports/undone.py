"""What of a run's plan is missing."""

from __future__ import annotations

from collections import Counter

from bench.analysis.revised import Answer
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE, CONTROL
from reports import formatting
from reports.formatting import listing, number
from reports.run import Run


def unfinished(run: Run) -> str | None:
    """Return how much of the plan is missing; None when all of it was run."""
    missing = _missing(run)
    if missing is None:
        return None
    budget = run.header.budget_seconds
    why = f"; its budget was {formatting.seconds(budget)}" if budget is not None else ""
    if _is_chosen(run):
        late = "A search takes up nothing that came before its last stage."
        return f"Not everything was measured: {missing}{why}. {late}"
    again = f"{run.header.resuming} {run.folder}"
    return f"This run is not finished: {missing}{why}. {again} goes on with it."


def goes_on(run: Run) -> bool:
    """Tell whether a run would measure what it lacks, if it was gone on with."""
    return unfinished(run) is not None and not _is_chosen(run)


def _is_chosen(run: Run) -> bool:
    """Tell whether all is measured of what a search has chosen: the rest is not taken up again."""
    open_ones = [result for result in run.candidates if result.confirmed and result.goes_on]
    over = run.header.is_over("confirm") or not open_ones
    return run.revised is None and run.header.is_over("test") and over


def incomplete(run: Run) -> str | None:
    """Return which arms gave nothing at all; None where there are none."""
    if run.comparison.complete or run.revised is not None:
        return None
    dead = [r.arm for r in run.comparison.arms if r.verdict is Verdict.FAILED and not r.pairs]
    if not run.of(BASELINE):
        dead.insert(0, BASELINE)
    return f"This run is incomplete: no trial of {listing(dead)} succeeded." if dead else None


def _missing(run: Run) -> str | None:
    """Return what of the plan was not run; None where nothing is missing."""
    if run.revised is not None:
        known = run.revised.answer is Answer.KEPT and run.header.mode != "judge"
        return "the head is not judged yet" if run.revised.goes_on and not known else None
    found, rule = run.judged, run.comparison.rule
    done, planned = run.pairs_done
    searches = run.header.mode == "full-optimization" and run.comparison.aims.quality
    if searches and "confirm" not in run.header.raced:
        return "settings are still searched"
    if rule.first == rule.most:
        return (
            None if done >= planned else f"{done} of {number(planned, 'pair')} of trials were run"
        )
    if found is not None:
        going = found.goes_on and done < rule.most
        return f"the claim is not decided in {number(done, 'pair')}" if going else None
    tested = {trial.arm for trial in run.judging if trial.stage == "test"}
    seen = tested - {BASELINE, CONTROL}
    unseen = sum(1 for arm in run.header.arms if arm.techniques) - len(seen)
    open_ones = [result.arm for result in run.candidates if result.goes_on]
    if unseen > 0:
        names = _unseen(run, seen)
        whole = f"{number(unseen, 'arm')} of {len(run.header.arms)} were not measured"
        return f"{whole}: {listing(names)}" if len(names) == unseen else whole
    if open_ones:
        return f"{listing(open_ones)} {'is' if len(open_ones) == 1 else 'are'} open"
    screened = [r.arm for r in run.candidates if r.verdict is Verdict.SCREENED]
    confirmed = any(result.confirmed for result in run.candidates)
    return None if confirmed or not screened else f"no pair confirms {listing(screened)} yet"


def _unseen(run: Run, seen: set[str]) -> list[str]:
    """Return the planned arms without a trial; of a technique of one's own a file is known."""
    asked = Counter("+".join(map(_bare, a.techniques)) for a in run.header.arms if a.techniques)
    asked.subtract("+".join(map(_bare, arm.split("+"))) for arm in seen)
    return sorted(name for name, count in asked.items() if count > 0)


def _bare(technique: str) -> str:
    return technique.partition(":")[0]
