"""What is said of one published claim: in the form in which it was published."""

from __future__ import annotations

from collections.abc import Callable

from bench.analysis.audit import Held
from bench.analysis.findings import Found
from bench.analysis.formula import shown
from bench.analysis.intervals import Interval
from bench.analysis.rivals import Beside
from bench.records.audit import Audit, Claimed, Stated
from bench.records.measurement import BASELINE
from reports.formatting import MINUS, UNKNOWN, metric, number, seconds


def claimed(claim: Stated) -> str:
    """Return what was published: ``20 % to 40 % less``, ``at least 0.98``."""
    low, high = claim.range
    if low == high or high is None:
        ends = [low]
    elif low is None:
        ends = [high]
    else:
        ends = [low, high]
    said = " to ".join(_bare(claim, end, _published) for end in ends if end is not None)
    least = "" if None not in (low, high) else "at least " if high is None else "at most "
    return f"{least}{said}{_unit(claim)}"


def found(claim: Stated, told: Interval | None) -> str:
    """Return what was found: ``less by 12 % [10 %, 14 %]``; of what rose, ``more by``."""
    if told is None:
        return UNKNOWN
    low, middle, high = told
    sign = ""
    if claim.form == "less":
        sign = "less by "
        if middle < 0:
            sign, middle = "more by ", -middle
            low, high = (None if end is None else -end for end in (high, low))
    said = f"{sign}{_bare(claim, middle)}"
    unit = _unit(claim) if claim.form != "less" else ""
    if low is None or high is None:
        return f"{said}{unit} (no interval)"
    if low == high:
        return f"{said}{unit}"
    return f"{said} [{_bare(claim, low)}, {_bare(claim, high)}]{unit}"


def honestly(one: Found) -> str:
    """Return what an honest headline would be."""
    claim = one.claim
    if one.found is None:
        return "nothing can be said of it here" if one.held is Held.UNTESTABLE else "not measured"
    what = claim.of or claim.quantity or "what is given"
    said = f"{what}: {found(claim, one.found)}"
    if claim.arithmetic is not None:
        return f"its own numbers give {found(claim, one.found)}"
    if claim.given is not None:
        return f"{said}, by the values given"
    work = f", {one.work}" if one.work else ""
    own = claim.measured is not None and claim.measured.arm == BASELINE
    return f"{said}{work}, in {number(one.pairs, 'trial' if own else 'pair')} on this machine"


def why(one: Found, audit: Audit) -> str:
    """Return what a verdict rests on: run, formula, reason, note."""
    claim, parts = one.claim, []
    if claim.arithmetic is not None:
        numbers = claim.arithmetic.numbers
        parts.append(f"{claim.arithmetic.formula} = {shown(claim.arithmetic.formula, numbers)} = "
                     f"{found(claim, one.found)}")  # fmt: skip
    if claim.measured is not None:
        run = audit.runs[claim.measured.run]
        parts.append(f"arm {claim.measured.arm} of the run {claim.measured.run}")
        if claim.measured.formula:
            parts.append(_projection(claim, one))
        if run.scaled:
            parts.append(f"scaled: {run.scaled}")
    parts += [text for text in (one.reason, claim.note) if text]
    return "; ".join(part.rstrip(".") for part in parts)


def rival(name: str, found: Beside) -> str:
    """Return what a baseline's rival reaches beside it, and what each share of the better costs.

    What a training had reached by its first evaluation it may have reached before.
    """
    own = f"{name} reaches {metric(found.metric)} in {seconds(found.seconds)}"
    if found.trained_metric is None:
        return f"{own}; no whole training was measured beside it"
    parts = [f"{own}, whole trainings {metric(found.trained_metric)} in "
             f"{seconds(found.trained_seconds)}"]  # fmt: skip
    for share, one, other in found.costs:
        told = [seconds(cost) if cost is not None else "not reached" for cost in (one, other)]
        most = "at most " if other is not None and other == found.first else ""
        parts.append(f"{100 * share:.0f} % of the better: {told[0]} against {most}{told[1]}")
    return "; ".join(parts)


def _projection(claim: Claimed, one: Found) -> str:
    assert claim.measured is not None
    assert claim.measured.formula is not None
    formula = shown(claim.measured.formula, claim.measured.numbers)
    low, middle, high = one.measured or Interval(None, 0.0, None)
    if one.measured is None:
        return f"projected: {claim.measured.formula}"
    ends = "" if low is None or high is None else f" [{low:.4g}, {high:.4g}]"
    return f"projected: {claim.measured.formula} = {formula}, measured = {middle:.4g}{ends}"


def _bare(claim: Stated, value: float, digits: Callable[[float], str] | None = None) -> str:
    if claim.form == "less":
        return f"{_signed(100 * value, digits or _of_share)} %"
    if claim.form == "ratio":
        return f"{(digits or _of_ratio)(value)}×"
    if claim.form == "change":
        return f"{'+' if value > 0 else ''}{_signed(value, digits or metric)}"
    of_metric = claim.quantity == "metric"
    return _signed(value, digits or (metric if of_metric else _digits))


def _unit(claim: Stated) -> str:
    if claim.form == "less":
        return " less"
    unit = claim.said_unit if isinstance(claim, Claimed) else claim.unit
    return f" {unit}" if unit else ""


def _signed(value: float, digits: Callable[[float], str]) -> str:
    return f"{MINUS if value < 0 else ''}{digits(abs(value))}"


def _published(value: float) -> str:
    """Return a number with all digits that it was published with."""
    return f"{int(value):,}" if value == int(value) and value < 1e15 else f"{value:.12g}"


def _of_ratio(value: float) -> str:
    if 0.5 < value < 2:
        return f"{value:.3f}"
    return f"{value:.2f}" if 2 <= value < 10 else _digits(value)


def _of_share(percent: float) -> str:
    return f"{percent:.1f}"


def _digits(value: float) -> str:
    """Return whole numbers whole, small ones with three or four digits."""
    if value == int(value) and value < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}" if value < 1 else f"{value:.3g}"
