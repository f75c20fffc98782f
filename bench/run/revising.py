"""Measure two revisions against each other: a regression is confirmed in fresh pairs."""

from __future__ import annotations

from bench.analysis.revised import Answer, at_stage
from bench.errors import BenchError
from bench.records.measurement import Status
from bench.records.recipe import Recipe
from bench.records.revisions import HEAD
from bench.run.plan import Contrast
from bench.run.rehearsing import check_baseline
from bench.run.session import Session

USELESS = (Status.FAILED, Status.NOT_APPLICABLE, Status.TIMED_OUT, Status.OUT_OF_MEMORY)


def two_revisions(session: Session) -> None:
    """Measure the head against the base in pairs, until it is known whether it is worse."""
    asked = session.header.revisions
    if asked is None:
        raise BenchError(f"{session.header.run} names no revisions: start a new run")
    base = check_baseline(session)
    if not base.ok:
        raise BenchError(
            f"base does not train here ({str(base.status).replace('_', ' ')}: {base.reason}), so "
            "nothing can be told of head: give it less to do, or a larger machine"
        )
    if not _trains(session, asked.head.recipe):
        return
    contrast = Contrast(HEAD, asked.head.recipe, session.recipe, "full")
    session.measure([contrast])
    if session.header.mode == "judge":
        return
    if at_stage(session.header, session.records, "test").answer is Answer.REGRESSED:
        session.show.note("a regression was seen: it is measured again, in fresh pairs")
        session.measure([contrast], "confirm")


def _trains(session: Session, recipe: Recipe) -> bool:
    """Tell whether the head can be rehearsed, where the base could; record why it can't.

    A head that has trained already is judged by its pairs, whatever a run that goes on meets.
    """
    if session.refused(HEAD):
        return False
    has_trained = any(trial.arm == HEAD and trial.ok for trial in session.records)
    try:
        record = session.rehearse(HEAD, recipe)
    except BenchError as error:
        if has_trained:
            raise
        session.refuse(HEAD, recipe, str(error), Status.FAILED)
        return False
    if record.status in USELESS and not has_trained:
        session.refuse(HEAD, recipe, record.reason or str(record.status), Status.FAILED)
        return False
    return True
