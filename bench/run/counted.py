"""What a recipe's first trial counted of its FLOPs holds for its later ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.recipes.combination import SAME_WORK
from bench.recipes.script import is_script
from bench.records.measurement import Measurement
from bench.records.recipe import Recipe
from bench.records.schema import Json
from bench.run.following import Following

FLOPS_FACTS = (
    "model_flops_per_step", "forward_flops_per_item", "flops_coverage", "flops_uncounted",
)  # fmt: skip


class Counted(Following):
    """What trials counted of their FLOPs, by recipe: the first that tells it holds for all.

    What could not be counted then is not tried again.
    """

    def __init__(self, trials: Sequence[Measurement]) -> None:
        super().__init__(trials)
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._checked = False

    def of(self, recipe: Json) -> Mapping[str, Any]:
        """Return the FLOPs facts of a recipe's content; none where no trial tells them."""
        self.follow()
        return self._facts.get(_key(recipe), {})

    @property
    def checked(self) -> bool:
        """Tell whether a trial compared counters with one another."""
        self.follow()
        return self._checked

    def learn(self, trial: Measurement) -> None:
        """Keep what a trial counted, or could not."""
        self._checked |= trial.flops_check is not None or "flops_check" in trial.unknown
        if trial.model_flops_per_step is not None:
            facts = {name: getattr(trial, name) for name in FLOPS_FACTS}
        elif FLOPS_FACTS[0] in trial.unknown:
            why = {name: trial.unknown[name] for name in FLOPS_FACTS if name in trial.unknown}
            facts = {"unknown": why}
        else:
            return
        self._facts.setdefault(_key(trial.recipe), facts)


def as_the_baseline(record: Measurement, rehearsed: Counted, baseline: Recipe) -> Mapping[str, Any]:
    """Return the baseline's facts for a script's trial whose techniques leave its work as it is."""
    if not is_script(baseline) or record.effect not in SAME_WORK:
        return {}
    return rehearsed.of(baseline.model_dump(mode="json"))


def with_counts(
    record: Measurement, known: Counted, rehearsed: Counted, baseline: Recipe
) -> Measurement:
    """Return a trial with the FLOPs facts that earlier ones know of its recipe, where it has none.

    `known` is of the trials of its run so far.
    """
    if not record.ok:
        return record
    counted = known.of(record.recipe) or rehearsed.of(record.recipe)
    counted = counted or as_the_baseline(record, rehearsed, baseline)
    missing = {name: value for name, value in counted.items() if not getattr(record, name)}
    if "unknown" in counted:
        missing["unknown"] = {**counted["unknown"], **record.unknown}
    return record.model_copy(update=missing)


def _key(recipe: Json) -> str:
    """Return a recipe's content as text: equal for equal recipes alone."""
    return json.dumps(recipe, sort_keys=True)
