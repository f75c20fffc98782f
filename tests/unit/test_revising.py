"""Two revisions are rehearsed before they are measured: what that tells of the head."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.errors import BenchError
from bench.records.measurement import BASELINE, Measurement, Status
from bench.records.revisions import HEAD
from bench.run.revising import two_revisions
from tests.records import failed, measurement, recipe
from tests.unit.test_revisions import compared, pairs

NO_ROOM = "can't allocate 9 GiB"


class Rigged:
    """A session whose rehearsals end as they are said to."""

    def __init__(self, known: list[Measurement], **rehearsed: Measurement | BenchError) -> None:
        self.header = compared(mode="judge")
        self.recipe = recipe()
        self.records = known
        self.show = SimpleNamespace(note=lambda text: None)
        self.refusals: list[str] = []
        self.measured = 0
        self._rehearsed = rehearsed

    def refused(self, arm: str) -> bool:
        return False

    def rehearse(self, arm: str, asked: object) -> Measurement:
        found = self._rehearsed[arm]
        if isinstance(found, BenchError):
            raise found
        return found

    def refuse(self, arm: str, asked: object, reason: str, status: Status) -> None:
        self.refusals.append(reason)

    def measure(self, contrasts: object, stage: str = "test") -> None:
        self.measured += 1


def run(known: list[Measurement], **rehearsed: Measurement | BenchError) -> Rigged:
    session: Any = Rigged(known, **rehearsed)
    two_revisions(session)
    rigged: Rigged = session
    return rigged


LOST = failed(HEAD, -1, Status.OUT_OF_MEMORY, NO_ROOM)


@pytest.mark.parametrize("status", [Status.OUT_OF_MEMORY, Status.DIVERGED])
def test_a_model_that_trains_at_neither_side_is_no_regression(status: Status) -> None:
    base = failed(BASELINE, -1, status, NO_ROOM)
    with pytest.raises(BenchError, match=f"base does not train here .*: {NO_ROOM}.*nothing can be"):
        run([], baseline=base, head=LOST)


def test_a_head_alone_that_has_no_room_is_recorded() -> None:
    found = run([], baseline=measurement(), head=LOST)
    assert (found.refusals, found.measured) == ([NO_ROOM], 0)


def test_a_head_that_has_trained_before_is_judged_by_its_pairs() -> None:
    found = run(pairs(1.0), baseline=measurement(), head=LOST)
    assert (found.refusals, found.measured) == ([], 1)


def test_a_mistake_of_the_user_is_no_regression_of_a_head_that_has_trained_before() -> None:
    with pytest.raises(BenchError, match="other data"):
        run(pairs(1.0), baseline=measurement(), head=BenchError("other data"))
