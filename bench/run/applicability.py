"""Tell whether a technique applies to a baseline on this machine, and why not."""

from __future__ import annotations

from pydantic import BaseModel

from bench.baseline import Baseline
from bench.errors import NotApplicable
from bench.launch.local import Runner
from bench.recipes import resolve
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe
from bench.technique import Technique
from bench.trial.spec import TrialSpec


def why_not(
    name: str, technique: Technique, baseline: Baseline, base: Recipe, places: dict[str, str],
    runner: Runner, device: str, scratch: str,
) -> str | None:  # fmt: skip
    """Return why a technique doesn't apply, or None; searching is left out: it takes a while."""

    def no_probe(settings: BaseModel, memory_limit_bytes: int | None = None) -> Measurement:
        raise _WouldSearch

    try:
        recipe = resolve.with_techniques(
            base, baseline, [(name, technique)], lambda _: no_probe, places
        )
    except NotApplicable as error:
        return str(error)
    except _WouldSearch:
        return None
    trial = TrialSpec(
        arm=technique.name, pair=0, seed=0, kind="build", recipe=recipe, device=device,
        metric=baseline.target.metric, threads=1, places=places, scratch=scratch,
    )  # fmt: skip
    record = runner.run(trial).measurement
    return None if record.status is Status.OK else record.reason


class _WouldSearch(Exception):  # noqa: N818 - a signal, not an error
    """A technique asked for a probe."""
