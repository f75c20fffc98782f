"""An audit as its files tell it: every claim beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bench.analysis.audit import Held, counted
from bench.analysis.findings import Found, of_arithmetic, of_trials, untestable
from bench.analysis.given import of_table
from bench.analysis.levels import rule_of
from bench.analysis.metric import target_of
from bench.analysis.rivals import Beside, beside
from bench.records.audit import RIVAL, Audit
from bench.records.audit_run import (
    AUDIT,
    AuditRun,
    key_of,
    read_audit_run,
    read_trials,
    run_of,
)
from bench.records.measurement import counting


@dataclass(frozen=True)
class Section:
    """What was found of one audit's claims."""

    audit: Audit
    found: tuple[Found, ...]
    rival: Beside | None = None

    @cached_property
    def counts(self) -> dict[Held, int]:
        """Return how many claims have each verdict."""
        return counted([one.held for one in self.found])


@dataclass(frozen=True)
class Report:
    """Everything that an audit's report says."""

    path: Path
    record: AuditRun
    sections: tuple[Section, ...]

    def of(self, name: str) -> Section:
        """Return what was found of an audit, by its name."""
        return next(section for section in self.sections if section.audit.name == name)

    def seconds(self, name: str) -> float:
        """Return how long an audit's runs took."""
        known = self.record.seconds.items()
        return sum(seconds for key, seconds in known if key.startswith(f"{name}/"))

    @cached_property
    def counts(self) -> dict[Held, int]:
        """Return how many claims of all audits have each verdict."""
        return counted([one.held for section in self.sections for one in section.found])


def read(path: Path) -> Report:
    """Read an audit's folder and judge its claims; raise `BenchError` where it is none."""
    record = read_audit_run(path)
    sections = [
        Section(audit, _found(path, record, audit), _rival(path, record, audit))
        for audit in record.audits
    ]
    return Report(path, record, tuple(sections))


def latest(output: Path) -> dict[str, Report]:
    """Return what lies in a folder of audits: of each audit the report that was begun last."""
    found = [read(file.parent) for file in sorted(output.glob(f"*/{AUDIT}"))]
    found.sort(key=lambda report: report.record.started)
    return {section.audit.name: report for report in found for section in report.sections}


def is_open(report: Report) -> bool:
    """Tell whether a run could not begin, or a claim isn't told that more pairs would tell."""
    found = [one for section in report.sections for one in section.found]
    return bool(report.record.refused) or any(one.goes_on for one in found)


def _found(path: Path, record: AuditRun, audit: Audit) -> tuple[Found, ...]:
    told = {one.claim.id: one for name in audit.runs for one in _of_run(path, record, audit, name)}
    for claim in audit.claims:
        if claim.arithmetic is not None:
            told[claim.id] = of_arithmetic(claim)
        elif claim.untestable is not None:
            told[claim.id] = untestable(claim, claim.untestable)
    told |= {claim.id: of_table(claim, rows) for claim, rows in record.given(audit)}
    return tuple(told[claim.id] for claim in audit.claims)


def _rival(path: Path, record: AuditRun, audit: Audit) -> Beside | None:
    score, folder = record.rivals.get(audit.name), run_of(path, audit, RIVAL)
    if score is None or folder is None:
        return None
    header, trials = read_trials(folder)
    return beside(score.metric, score.seconds, counting(trials), target_of(header))


def _of_run(path: Path, record: AuditRun, audit: Audit, name: str) -> Sequence[Found]:
    claims = [c for c in audit.claims if c.measured is not None and c.measured.run == name]
    if (why := record.refused.get(key_of(audit, name))) is not None:
        return [untestable(claim, why) for claim in claims]
    folder = run_of(path, audit, name)
    if folder is None:
        why = "the run that would tell it was not begun: the budget was spent before, or the audit "
        why += "was interrupted"
        return [Found(claim, Held.OPEN, why, goes_on=True) for claim in claims]
    header, trials = read_trials(folder)
    if header.audit is None:
        return []
    found = of_trials(
        header.audit, counting(trials), rule_of(header), metric_bounds=header.metric_bounds
    )
    return [replace(one, run=str(folder.relative_to(path))) for one in found]
