"""Give a technique its probe: short step trials of the baseline in other settings."""

from __future__ import annotations

from pydantic import BaseModel

from bench.records.measurement import Measurement
from bench.run.plan import Planned
from bench.run.session import Session
from bench.technique import Probe

STEPS = 5
"""Of a probe at least, and three seconds of them: enough to choose a setting by its speed. Where a
step takes seconds, as many as judge an arm would take minutes for each setting."""


def probe_for(session: Session, label: str) -> Probe:
    """Return the probe of a technique, recorded under what it is called in this run."""

    def probe(settings: BaseModel, memory_limit_bytes: int | None = None) -> Measurement:
        number = session.probes.get(label, 0)
        session.probes[label] = number + 1
        recipe = session.recipe.model_copy(update={"settings": settings.model_dump(mode="json")})
        session.show.begin(f"{label}: probe {number + 1}")
        planned = Planned(label, number, session.header.seed, recipe, "step")
        return session.probe(planned, memory_limit_bytes=memory_limit_bytes, least_steps=STEPS)

    return probe
