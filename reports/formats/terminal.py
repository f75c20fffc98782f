"""What the command line prints of a run: at most 25 lines, as wide as the terminal."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from bench.analysis.objectives import TIME
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE
from bench.records.text import printable
from reports import aims, formatting, processes, searched, sentences, undone, warnings
from reports.formats.columns import ELLIPSIS, Column, cut, filled, first_fitting, laid_out, within
from reports.formatting import number
from reports.run import Run
from reports.view.next_step import next_step
from reports.view.rows import Row
from reports.view.whole import View, view_of

LINES = 25
MOST_OF_ANSWER = 7
ROOMY = 8
"""Lines for arms beside which longer figures are told whole."""
LEAST_ARMS = 2
"""That are shown, however long the rest is."""
WHOLE = "*"


def summary(run: Run, width: int = 100) -> str:
    """Return the answer, the arms that matter, the noise, where the report lies, what to do next.

    Paths and commands are never cut: they break where the terminal ends.
    """
    wide = within(width)
    view = view_of(run)
    head = filled(view.answer.headline, wide)
    if len(head) > MOST_OF_ANSWER:
        head = [*head[: MOST_OF_ANSWER - 1], cut(f"{head[MOST_OF_ANSWER - 1]} {ELLIPSIS}", wide)]
    follows, room = _next(run), min(ROOMY, 2 * len(view.rows))
    none: list[str] = []
    choices = ((True, follows, room), (False, follows, LEAST_ARMS), (False, none, 0))
    for filling, then, least in choices:
        tail = [*_context(run, view, wide, filling), *_files(run), *then]
        left = LINES - _height([*head, *tail], wide) - 2
        if left > least:
            break
    parts = [head, _arms(run, view, wide, left), tail]
    return printable("\n\n".join("\n".join(part) for part in parts if part)) + "\n"


def best_so_far(run: Run) -> str | None:
    """Return the arm that saves the most time by its pairs so far, and how sure that is."""
    going = (Verdict.ACCURACY_LOSS, Verdict.FAILED, Verdict.NO_GAIN)
    arms = [r for r in run.candidates if r.pairs and r.time_ratio and r.verdict not in going]
    best = max(arms, key=lambda r: r.time_ratio.middle if r.time_ratio else 0.0, default=None)
    if best is None:
        return None
    ratio = formatting.ratio_with_interval(best.time_ratio)
    return f"best so far {best.arm} {ratio} ({number(best.pairs, 'pair')})"


def _arms(run: Run, view: View, wide: int, lines: int) -> list[str]:
    """Return as many arms as there are lines for, and a line for the others."""
    rows = view.rows
    if not rows:
        return []
    columns = _columns(run, rows)
    fitting = first_fitting(_choices(columns), wide)
    each = 1 if fitting else 2
    room = max(LEAST_ARMS, (lines - 2) // each)
    shown = rows if len(rows) <= room else rows[: max(LEAST_ARMS, room - 1)]
    if fitting:
        made = laid_out([(title, cells[: len(shown)]) for title, cells in fitting])
    else:
        made = [line for row in shown for line in _stacked(row, wide)]
    rest = Counter(row.verdict for row in rows[len(shown) :])
    if rest:
        said = ", ".join(f"{n} {verdict}" for verdict, n in rest.items())
        made.append(cut(f"and {sum(rest.values())} more: {said}", wide))
    return made


def _columns(run: Run, rows: Sequence[Row]) -> dict[str, Column]:
    whole = any(map(_is_whole, rows))
    needs = {r.arm: r.more_pairs for r in run.candidates}
    found: dict[str, Column] = {
        "arm": ("arm", [row.arm for row in rows]),
        "verdict": ("verdict", [row.verdict for row in rows]),
        "time": (
            f"time ({WHOLE} of whole)" if whole else "time",
            [f"{_time(row)}{WHOLE * _is_whole(row)}" for row in rows],
        ),
        "memory": ("memory", [row.memory.text if row.memory else "" for row in rows]),
        "quality": (run.header.metric, [row.quality_text for row in rows]),
        "work": ("work", [row.work for row in rows]),
        "pairs": ("pairs", [_pairs(row, needs.get(row.arm)) for row in rows]),
    }
    return found


def _choices(columns: dict[str, Column]) -> list[list[Column]]:
    """Return sets of columns, the widest first."""
    return [
        [columns[name] for name in names.split()]
        for names in (
            "arm verdict time memory quality work pairs",
            "arm verdict time memory quality pairs",
            "arm verdict time memory quality",
            "arm verdict time memory",
            "arm verdict time quality",
            "arm verdict time",
        )
    ]


def _stacked(row: Row, wide: int) -> list[str]:
    """Return an arm in two lines, for terminals that no table fits."""
    of = " (whole)" if _is_whole(row) else ""
    return [cut(f"{row.arm}  {row.verdict}", wide), cut(f"  {_time(row)}{of}", wide)]


def _is_whole(row: Row) -> bool:
    """Tell whether its time is that of the whole training, not of its steps."""
    return row.basis == "training"


def _time(row: Row) -> str:
    if row.time is None:
        return formatting.UNKNOWN
    return row.time.text


def _pairs(row: Row, more: int | None) -> str:
    return f"{row.pairs}, about {more} more" if more else str(row.pairs)


def _context(run: Run, view: View, wide: int, filling: bool) -> list[str]:
    """Return a line each of what was not measured, of the baseline, the noise, the doubts.

    Figures that are longer than a line are told whole where there is room for it: `filling`.
    """
    lines = []
    if view.inapplicable:
        names = ", ".join(arm for arm, _ in view.inapplicable)
        verb = "does" if len(view.inapplicable) == 1 else "do"
        lines.append(f"{len(view.inapplicable)} {verb} not apply: {names}")
    if view.bounded:
        names = ", ".join(arm for arm, _ in view.bounded)
        lines.append(f"{len(view.bounded)} could not gain enough: {names}")
    broken = [f"{arm} gave nothing: {reason}" for arm, reason in view.broken]
    lines += broken[:2] + ([f"and {len(broken) - 2} more gave nothing"] if len(broken) > 2 else [])
    said = [
        *aims.said(run), searched.said(run) or "", _baseline(run), *processes.said(run),
        _to_target(run), _noise(run),
    ]  # fmt: skip
    figures = [line for each in said for line in filled(each, wide)] if filling else said
    lines += figures
    doubts = warnings.warnings(run)
    if doubts:
        more = f" (and {len(doubts) - 1} more in the report)" if len(doubts) > 1 else ""
        warning = f"warning: {doubts[0]}{more}"
        lines += filled(warning, wide) if filling else [warning]
    shown = [cut(" ".join(line.split()), wide) for line in lines if line]
    left = [undone.unfinished(run), undone.incomplete(run)]
    return shown + [line for m in left if m for line in filled(_without_command(m), wide)]


def _without_command(said: str) -> str:
    """Leave out what to type: it stands in a line of its own."""
    return re.split(r" bench (?:judge )?--resume", said)[0]


def _baseline(run: Run) -> str:
    """Return metric, time and memory of the baseline."""
    own = run.figures.get(BASELINE)
    if own is None:
        return ""
    facts = {
        run.header.metric: formatting.metric_with_interval(run.comparison.baseline_metric),
        "training": formatting.seconds(own.train_seconds),
        "step": formatting.seconds(own.step_seconds),
        "memory": formatting.size(own.memory.peak),
    }
    said = [f"{key} {text}" for key, text in facts.items() if text != formatting.UNKNOWN]
    return f"baseline: {', '.join(said)}" if said else ""


def _to_target(run: Run) -> str:
    """Return when the baseline, and what won, first were as good as is worth reaching."""
    header, found, winner = run.header, run.comparison, run.winner
    if header.target is None or found.baseline_reached is None:
        return ""
    sign = "≤" if run.target.lower else "≥"
    said = formatting.to_target(found.baseline_seconds_to_target, found.baseline_reached)
    words = f"to {header.metric} {sign} {formatting.value(header.target)}: baseline {said}"
    if winner is None or winner.reached is None:
        return words
    ratio = f", {formatting.ratio(winner.target_ratio)}" if winner.target_ratio else ""
    own = formatting.to_target(winner.seconds_to_target, winner.reached)
    return f"{words}, {winner.arm} {own}{ratio}"


def _noise(run: Run) -> str:
    control = run.comparison.control
    if control is None or not control.pairs:
        return "noise: unknown, no pair of the baseline with itself was measured"
    ratio = formatting.ratio_with_interval(control.time_ratio)
    if not run.comparison.aims.counts(TIME):
        return f"noise: baseline against itself (A/A) {ratio} in time, in which no gain counts"
    shows = sentences.visible(run)
    return f"noise: smallest effect that shows {shows}; baseline against itself (A/A) {ratio}"


def _files(run: Run) -> list[str]:
    lines = [f"report: {run.path / 'report.html'}"]
    if run.exported:
        kept = "" if run.winner else "  (the baseline's: nothing is shown to be better)"
        lines.append(f"recipe: {run.path / 'optimized.json'}{kept}")
    return lines


def _next(run: Run) -> list[str]:
    """Return what to type next; it stands in the report too."""
    follows = next_step(run)
    return [f"{follows[0]}: {follows[1]}"] if follows else []


def _height(lines: Sequence[str], wide: int) -> int:
    return sum(max(1, math.ceil(len(line) / wide)) for line in lines)
