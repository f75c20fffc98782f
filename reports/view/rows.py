"""The arms as rows: what is known of each in time, memory and quality, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.intervals import Interval
from bench.analysis.points import Point
from bench.analysis.results import ArmResult, Control
from bench.analysis.revised import Answer
from bench.analysis.verdict import Verdict
from bench.records.measurement import CONTROL
from reports import formatting, sentences
from reports.run import Run

TONES = {
    Verdict.WIN: "good",
    Verdict.SCREENED: "good",
    Verdict.OVER_LIMIT: "bad",
    Verdict.UNLIKELY: "none",
    Verdict.NO_GAIN: "none",
    Verdict.ACCURACY_LOSS: "bad",
    Verdict.UNDECIDED: "open",
    Verdict.BOUNDED: "none",
    Verdict.NOT_APPLICABLE: "none",
    Verdict.FAILED: "bad",
}
OF_CHANGE = {
    Answer.REGRESSED: "bad", Answer.KEPT: "good", Answer.IMPROVED: "good", Answer.OPEN: "open",
}  # fmt: skip
AGAIN = "baseline again (A/A)"


@dataclass(frozen=True, slots=True)
class Cell:
    """An arm in one objective: to the right is better, with the words for it."""

    middle: float
    low: float | None
    high: float | None
    points: tuple[float, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One arm; a cell is None where nothing was measured."""

    arm: str
    verdict: str
    tone: str
    work: str
    basis: str
    """What time is of: a step, or the whole training."""
    pairs: int
    confirmed: bool
    reason: str
    time: Cell | None
    memory: Cell | None
    quality: Cell | None
    quality_text: str
    further: tuple[tuple[str, str], ...]
    """Other objectives and metrics, by name."""


def rows(run: Run) -> tuple[Row, ...]:
    """Return the arms of which something was measured, the winner first."""
    return tuple(_row(run, result) for result in run.candidates if result.pairs)


def control_row(run: Run) -> Row | None:
    """Return the baseline against itself."""
    found = run.comparison.control
    if found is None or not found.pairs:
        return None
    own = run.points.get(CONTROL, ())
    return Row(
        arm=AGAIN, verdict="", tone="none", work="same work", basis="step", pairs=found.pairs,
        confirmed=False, reason=" ".join(sentences.noise(run)),
        time=ratio_cell(found.time_ratio, (p.time for p in own)),
        memory=ratio_cell(found.memory_ratio, (p.memory for p in own)),
        quality=None, quality_text="", further=(),
    )  # fmt: skip


def unmeasured(run: Run, *verdicts: Verdict) -> tuple[tuple[str, str], ...]:
    """Return arms without a pair that ended so, each with its reason."""
    return tuple((r.arm, r.reason) for r in run.candidates if not r.pairs and r.verdict in verdicts)


def ratio_cell(interval: Interval | None, single: Iterable[float | None]) -> Cell | None:
    """Return a ratio as a cell."""
    if interval is None:
        return None
    known = tuple(value for value in single if value is not None)
    text = formatting.ratio_with_interval(interval)
    return Cell(interval.middle, interval.low, interval.high, known, text)


def _verdict(run: Run, result: ArmResult) -> tuple[str, str]:
    """Return what is said of an arm, and its tone; of a change that is its answer."""
    if run.revised is None:
        return run.said_of(result), TONES[result.verdict]
    return run.said_of(result), OF_CHANGE[run.revised.answer]


def _row(run: Run, result: ArmResult) -> Row:
    own = run.points[result.arm]
    verdict, tone = _verdict(run, result)
    return Row(
        arm=result.arm,
        verdict=verdict,
        tone=tone,
        work=result.work or formatting.UNKNOWN,
        basis=result.time_basis,
        pairs=result.pairs,
        confirmed=result.confirmed,
        reason=sentences.reason(run, result),
        time=ratio_cell(result.time_ratio, (p.time for p in own)),
        memory=ratio_cell(result.memory_ratio, (p.memory for p in own)),
        quality=_quality(run, result, own),
        quality_text=_quality_text(result),
        further=tuple(_further(result)),
    )


def _quality(run: Run, result: ArmResult, own: Sequence[Point]) -> Cell | None:
    """Return the change of the metric, turned so that more is better."""
    found = result.metric_difference
    if found is None:
        return None
    sign = -1.0 if run.target.lower else 1.0
    ends = [None if end is None else sign * end for end in (found.low, found.high)]
    low, high = reversed(ends) if run.target.lower else ends
    known = tuple(p.gain for p in own if p.gain is not None)
    return Cell(sign * found.middle, low, high, known, _quality_text(result))


def _quality_text(result: ArmResult) -> str:
    if result.metric_difference is None:
        return "same losses" if result.same_losses else formatting.UNKNOWN
    return formatting.difference_with_interval(
        result.metric_difference, result.difference_is_relative
    )


def _further(result: ArmResult) -> Iterable[tuple[str, str]]:
    if result.energy_ratio is not None:
        yield "energy ratio", formatting.ratio_with_interval(result.energy_ratio)
    if result.cpu_ratio is not None:
        yield "CPU time ratio", formatting.ratio_with_interval(result.cpu_ratio)
    single = (
        ("time to target ratio", result.target_ratio),
        ("FLOPs ratio", result.flops_ratio),
        ("file size ratio", result.size_ratio),
        ("latency ratio", result.latency_ratio),
        ("inference throughput ratio", result.throughput_ratio),
    )
    for name, ratio in single:
        if ratio is not None:
            yield name, f"{formatting.ratio(ratio)} (median, no interval)"
    if result.metric_difference is not None and result.test_items is not None:
        items = formatting.number(result.test_items, "test item")
        yield "metric judged", f"{sentences.HOW[result.judged_by]}, on these {items}"
    for name, change in result.other_differences.items():
        yield name, formatting.difference_with_interval(change)


def equal_runs(control: Control | None) -> tuple[Interval | None, Interval | None]:
    """Return the A/A bands of time and memory."""
    return (control.time_ratio, control.memory_ratio) if control else (None, None)
