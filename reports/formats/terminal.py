"""What the command line prints of a run: a screenful of plain text, whatever its width."""

from __future__ import annotations

import textwrap

from bench.analysis.results import ArmResult
from bench.records.measurement import BASELINE
from bench.records.text import printable
from reports import aims, bounds, context_tables, formatting, sentences, warnings
from reports.run import Run
from reports.tables import Table, table

WIDTH = 100


def summary(run: Run) -> str:
    """Return the verdict, the candidates, the noise floor and where the report lies."""
    parts = [_filled(sentences.verdict(run)), _filled(sentences.race(run) or "")]
    parts.append(_filled(bounds.left_out(run) or ""))
    parts.append(_filled(" ".join(aims.said(run))))
    verdicts = _verdicts(run)
    if verdicts:
        parts.append(_laid_out(verdicts))
        parts.append("\n".join(_reason(run, result) for result in run.candidates))
    added = context_tables.attribution(run)
    if added:
        parts.append(_laid_out(added))
    parts += [_baseline(run), _filled(" ".join(sentences.noise(run)))]
    found = [*warnings.warnings(run), sentences.unfinished(run), sentences.incomplete(run)]
    parts += [_filled(f"Warning: {doubt}") for doubt in found if doubt]
    parts.append(_files(run))
    return printable("\n\n".join(part for part in parts if part)) + "\n"


def _verdicts(run: Run) -> Table | None:
    columns = ("candidate", "verdict", "work", "time", "of", "memory", run.header.metric, "pairs")
    made = table(columns, [_row(result) for result in run.candidates])
    return made.known() if made else None


def _row(result: ArmResult) -> list[str]:
    if not result.pairs:
        return [result.arm, str(result.verdict), result.work or "–", "–", "–", "–", "–", "0"]
    exact = result.metric_difference is None and result.same_losses
    return [
        result.arm,
        str(result.verdict),
        result.work or formatting.UNKNOWN,
        formatting.ratio_with_interval(result.time_ratio),
        result.time_basis,
        formatting.ratio_with_interval(result.memory_ratio),
        "same losses"
        if exact
        else formatting.difference_with_interval(
            result.metric_difference, result.difference_is_relative
        ),
        str(result.pairs),
    ]


def _reason(run: Run, result: ArmResult) -> str:
    return _filled(f"{result.arm}: {sentences.reason(run, result)}", "  ")


def _baseline(run: Run) -> str:
    """Return time, memory, FLOPs and metric of the baseline."""
    own = run.figures.get(BASELINE)
    if own is None:
        return ""
    facts = {
        "training": formatting.seconds(own.train_seconds),
        "step": formatting.seconds(own.step_seconds),
        "memory": formatting.size(own.memory.peak),
        run.header.metric: formatting.metric_with_interval(run.comparison.baseline_metric),
    }
    arithmetic = f"{formatting.flops(own.model.flops_per_step)} a step"
    said = [
        *(f"{key} {text}" for key, text in facts.items() if text != formatting.UNKNOWN),
        arithmetic,
    ]
    return _filled(f"Baseline: {', '.join(said)}.")


def _files(run: Run) -> str:
    lines = [f"report: {run.path / 'report.md'}"]
    if run.exported:
        kept = "" if run.winner else "  (the baseline's: nothing that was measured is better)"
        lines.append(f"recipe: {run.path / 'optimized.json'}{kept}")
    return "\n".join(lines)


def _laid_out(found: Table) -> str:
    """Return columns two spaces apart, as wide as they need."""
    lines = [found.columns, *found.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(found.columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _filled(text: str, indent: str = "") -> str:
    line = " ".join(text.split())
    return textwrap.fill(
        line, WIDTH, initial_indent=indent, subsequent_indent=indent + "  " * bool(indent),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
