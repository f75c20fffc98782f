"""Tell whether a technique applies to a baseline on this machine, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel

from bench.baseline import Baseline, Target
from bench.errors import BenchError, NotApplicable
from bench.launch.local import Runner
from bench.recipes import resolve
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe
from bench.technique import Technique
from bench.trial.spec import TrialSpec

PROBES = 2
"""So many of a search's settings are rehearsed: as it is, and the first other ones."""


@dataclass(frozen=True)
class Rehearsals:
    """A baseline, rehearsed with each technique as in a run, but never timed.

    Without a runner jobs are only built, in this process: what refuses to be applied is found, in
    a moment; what no step would call is not.
    """

    baseline: Baseline
    base: Recipe
    places: dict[str, str]
    runner: Runner | None
    device: str
    target: Target
    scratch: str

    def check_baseline(self) -> None:
        """Raise `BenchError` where the baseline itself does not train."""
        found = self._rehearsed("baseline", self.base)
        if found.status in (Status.FAILED, Status.NOT_APPLICABLE):
            raise BenchError(f"the baseline does not train: {found.reason}")

    def why_not(self, name: str, technique: Technique) -> str | None:
        """Return why a technique doesn't apply, or None; a search is not made: it takes a while."""
        search = _Search(lambda settings: self._asked_for(technique, settings))
        try:
            recipe = resolve.with_techniques(
                self.base, self.baseline, [(name, technique)], lambda _: search, self.places
            )
        except NotApplicable as error:
            return str(error)
        except _WouldSearch:
            return None
        record = self._rehearsed(technique.name, recipe)
        return None if record.status is Status.OK else record.reason

    def _asked_for(self, technique: Technique, settings: BaseModel) -> Measurement:
        changed = {"settings": settings.model_dump(mode="json")}
        return self._rehearsed(technique.name, self.base.model_copy(update=changed))

    def _rehearsed(self, arm: str, recipe: Recipe) -> Measurement:
        trial = TrialSpec(
            arm=arm, pair=0, seed=0, kind="build", recipe=recipe, device=self.device,
            threads=recipe.settings.get("threads") or 1, metric=self.target.metric,
            bounds=self.target.bounds, places=self.places, scratch=self.scratch,
        )  # fmt: skip
        if self.runner is None:
            from bench.trial.applied import applied  # with torch: trials have it in their processes

            return applied(trial)
        return self.runner.run(trial).measurement


@dataclass
class _Search:
    """The probe of a technique: what it asks for is rehearsed, and taken to be ever faster."""

    rehearsed: Callable[[BaseModel], Measurement]
    found: list[Measurement] = field(default_factory=list)

    def __call__(self, settings: BaseModel, memory_limit_bytes: int | None = None) -> Measurement:
        if len(self.found) == PROBES:
            raise _WouldSearch
        self.found.append(found := self.rehearsed(settings))
        seconds = 0.5 ** len(self.found)  # so that a search goes on, to what it would try next
        return found.model_copy(update={"items": 1, "window_seconds": seconds} if found.ok else {})


class _WouldSearch(Exception):  # noqa: N818 - a signal, not an error
    """A technique asked for more probes."""
