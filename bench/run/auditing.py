"""Go through the runs of an audit, one after another, each with its share of the budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.analysis.findings import of_arithmetic
from bench.analysis.formula import checked
from bench.analysis.given import of_table
from bench.baseline import Target
from bench.errors import BenchError
from bench.launch.rival import scored
from bench.machine import environment
from bench.machine.device import choose_device
from bench.recipes import registry
from bench.recipes.assembly import settings_dump
from bench.recipes.references import file_of, relative, whole_path
from bench.recipes.resolve import make_techniques
from bench.records.audit import RIVAL, Audit, Claimed, Experiment, Planned, experiment_of
from bench.records.audit_file import read_audit
from bench.records.audit_run import AuditRun, Score, run_of
from bench.records.given import text_of
from bench.records.header import Arm
from bench.records.run_folder import name_of
from bench.records.schema import Json, made
from bench.run.request import Request, Resumption

SHIPPED = "audit.yaml"
ALL = "all"


def found(texts: Sequence[str]) -> list[tuple[Audit, Path]]:
    """Return audits by baseline's name or file, each with the folder that it lies in."""
    audits = [one for text in texts for one in _named(text)]
    names = [audit.name for audit, _ in audits]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BenchError(f"two audits are named {twice}: give one, or change its name")
    return audits


def shipped() -> dict[str, Path]:
    """Return the audit files that lie beside installed baselines, by the baseline's name."""
    places = {name: registry.folder_of(name) for name in registry.names(registry.BASELINES)}
    return {name: p / SHIPPED for name, p in places.items() if p and (p / SHIPPED).is_file()}


def _named(text: str) -> Iterator[tuple[Audit, Path]]:
    known = shipped()
    if text == ALL:
        names = list(known)
    elif text in known:
        names = [text]
    elif text.endswith((".yaml", ".yml")):
        yield read_audit(Path(text)), Path(text).resolve().parent
        return
    else:
        hint = registry.suggestion(text, [*known, ALL])
        raise BenchError(f'no audit named "{text}"; {hint}; or give a file.yaml of your own')
    for name in names:
        yield read_audit(known[name]), known[name].parent


def started(audits: Sequence[tuple[Audit, Path]], asked: Json) -> AuditRun:
    """Return the record of a new audit, all of its settings, techniques, tables checked."""
    now = datetime.now(UTC)
    label = "_".join([*(audit.name for audit, _ in audits)][:3])
    more = f"_and_{len(audits) - 3}" if len(audits) > 3 else ""
    record = made(
        AuditRun,
        run=name_of(f"{label}{more}_audit", now),
        started=now.isoformat(timespec="seconds"),
        audits=tuple(audit for audit, _ in audits),
        places={audit.name: str(place) for audit, place in audits},
        tables={name: text for audit, place in audits for name, text in _tables(audit, place)},
        environment=environment.capture(),
        **asked,
    )
    choose_device(record.device)
    for audit in record.audits:
        _check(record, audit)
    return record


def _tables(audit: Audit, place: Path) -> Iterator[tuple[str, str]]:
    for claim in audit.claims:
        if claim.given is not None:
            try:
                yield f"{audit.name}/{claim.given.table}", text_of(place / claim.given.table)
            except BenchError as error:
                raise BenchError(f"claim {claim.id}: {error}") from None


def _check(record: AuditRun, audit: Audit) -> None:
    """Raise `BenchError` for what is wrong in an audit, before anything of it is measured."""
    for claim in audit.claims:
        try:
            if claim.arithmetic is not None:
                of_arithmetic(claim)
            if claim.measured is not None and claim.measured.formula is not None:
                checked(claim.measured.formula, claim.measured.numbers, "measured")
        except BenchError as error:
            raise BenchError(f"audit {audit.name}, claim {claim.id}: {error}") from None
    for claim, rows in record.given(audit):
        try:
            of_table(claim, rows)
        except BenchError as error:
            raise BenchError(f"audit {audit.name}, claim {claim.id}: {error}") from None
    for name, run in audit.runs.items():
        try:
            _check_run(record, audit, name, run)
        except BenchError as error:
            raise BenchError(f"audit {audit.name}, run {name}: {error}") from None
    if audit.rival is not None:
        try:
            baseline = registry.load_baseline(_reference(record, audit))
            registry.make_settings(baseline, audit.rival.settings)
        except BenchError as error:
            raise BenchError(f"audit {audit.name}, rival: {error}") from None


def _check_run(record: AuditRun, audit: Audit, name: str, run: Planned) -> None:
    place = Path(record.places[audit.name])
    baseline = registry.load_baseline(_beside(place, run.baseline or audit.baseline or ""))
    before = registry.make_settings(baseline, run.before)
    for label, arm in run.arms.items():
        after = registry.make_settings(baseline, {**run.before, **arm.settings})
        if not arm.techniques and settings_dump(after) == settings_dump(before):
            raise BenchError(f"the arm {label} changes nothing: its settings are those before")
        make_techniques([_beside(place, text) for text in arm.techniques])
    for claim in experiment_of(audit, name).claims:
        if claim.quantity == "metric" and not claim.of:
            _check_bounds(claim, baseline.target)
            _check_direction(claim, baseline.target)


def _check_bounds(claim: Claimed, target: Target) -> None:
    """Raise `BenchError` for a claim that the metric that judges can't reach: of another unit."""
    least, most = target.bounds or (-math.inf, math.inf)
    if claim.form == "change":
        least, most = least - most, most - least
    if claim.form not in ("value", "change") or (claim.measured and claim.measured.formula):
        return
    ends = [end for end in claim.range if end is not None]
    if not all(least <= end <= most for end in ends):
        raise BenchError(
            f"claim {claim.id}: {target.metric}, or its change, lies in {least:g} to {most:g}, and "
            f"{ends[-1]:g} is claimed: write it in that unit"
        )


def _check_direction(claim: Claimed, target: Target) -> None:
    """Raise `BenchError` where a claim takes the wrong side of the metric that judges for better.

    A change is held to be better higher where nothing is said.
    """
    if claim.better is None and claim.form == "value":
        return
    side = "lower" if target.lower else "higher"
    if (claim.better or "higher") != side:
        raise BenchError(
            f"claim {claim.id}: {target.metric} is better {side}; write better: {side}"
        )


def asked_of(
    path: Path, record: AuditRun, audit: Audit, name: str, seconds: float | None, trust: bool
) -> Request | Resumption:
    """Return the run that measures a part of an audit: a new one, or that which was begun."""
    if (begun := run_of(path, audit, name)) is not None:
        return Resumption(begun, trust)
    if name == RIVAL:
        return _beside_rival(path, record, audit, seconds)
    run, place = audit.runs[name], Path(record.places[audit.name])
    reference = _beside(place, run.baseline or audit.baseline or "")
    used = {tuple(_beside(place, t) for t in arm.techniques): None for arm in run.arms.values()}
    return Request(
        mode="audit",
        baseline=reference,
        settings={**_data(record, audit, reference), **run.before},
        arms=tuple(Arm(techniques=texts) for texts in used if texts),
        device=record.device,
        threads=record.threads,
        seed=record.seed,
        repeats=run.repeats,
        budget_seconds=seconds,
        trial_timeout_seconds=record.trial_timeout_seconds,
        audit=_relative(experiment_of(audit, name)),
        output=path / audit.name,
        command=record.command,
    )


def _beside_rival(path: Path, record: AuditRun, audit: Audit, seconds: float | None) -> Request:
    """Return the whole trainings of the baseline that a rival is held against."""
    return Request(
        mode="baseline-only",
        baseline=_reference(record, audit),
        settings=rival_settings(record, audit),
        device=record.device,
        threads=record.threads,
        seed=record.seed,
        budget_seconds=seconds,
        trial_timeout_seconds=record.trial_timeout_seconds,
        output=path / audit.name,
        command=record.command,
    )


def rival_of(record: AuditRun, audit: Audit) -> Score:
    """Run an audit's rival once, in a fresh process."""
    assert audit.rival is not None
    settings = rival_settings(record, audit)
    found = scored(audit.rival.call, _reference(record, audit), settings,
                   record.trial_timeout_seconds)  # fmt: skip
    return Score(metric=found.metric, seconds=found.seconds)


def rival_settings(record: AuditRun, audit: Audit) -> Json:
    """Return the settings of a rival and of the trainings beside it."""
    own = audit.rival.settings if audit.rival else {}
    return {**_data(record, audit, _reference(record, audit)), **own}


def _reference(record: AuditRun, audit: Audit) -> str:
    return _beside(Path(record.places[audit.name]), audit.baseline or "")


def _data(record: AuditRun, audit: Audit, reference: str) -> Json:
    """Return where a baseline finds its data, where that was said and it asks for it."""
    fields = registry.load_baseline(reference).settings.model_fields
    if record.data_dir is None or "data_dir" not in fields:
        return {}
    own = Path(record.data_dir) / (audit.data or "")
    return {"data_dir": str(own if own.is_dir() else record.data_dir)}


def _beside(place: Path, text: str) -> str:
    """Return a reference with the path of its file, if it has one, from an audit's folder."""
    return whole_path(str(place / text)) if file_of(text) else text


def _relative(asked: Experiment) -> Experiment:
    arms = {
        name: arm.model_copy(update={"techniques": tuple(map(relative, arm.techniques))})
        for name, arm in asked.arms.items()
    }
    return asked.model_copy(update={"arms": arms})
