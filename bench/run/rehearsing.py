"""Rehearse the baseline and arms before any of them is measured."""

from __future__ import annotations

from bench.errors import BenchError
from bench.recipes.script import is_script
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe
from bench.run.session import Session


def check_baseline(session: Session) -> Measurement:
    """Rehearse the baseline; raise `BenchError` where it does not train."""
    record = session.rehearse("baseline", session.recipe)
    if record.status is Status.TIMED_OUT and is_script(session.recipe):
        raise BenchError(
            f"{session.header.name} did not make its first steps of an optimizer: {record.reason}"
        )
    if record.status in (Status.FAILED, Status.NOT_APPLICABLE, Status.TIMED_OUT):
        raise BenchError(f"the baseline does not train: {record.reason}")
    return record


def rehearsed_arm(session: Session, name: str, recipe: Recipe) -> Measurement | None:
    """Rehearse an arm; None, and recorded, where it doesn't apply."""
    try:
        record = session.rehearse(name, recipe)
    except BenchError as error:  # the baseline can be built: it is what the techniques ask for
        session.refuse(name, recipe, str(error))
        return None
    if record.status is Status.NOT_APPLICABLE:
        session.refuse(name, recipe, record.reason or "")
        return None
    return record
