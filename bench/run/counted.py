"""What a recipe's first trial counted of its FLOPs holds for its later ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.recipes.combination import SAME_WORK
from bench.recipes.script import is_script
from bench.records.measurement import Measurement
from bench.records.recipe import Recipe

FLOPS_FACTS = (
    "model_flops_per_step", "forward_flops_per_item", "flops_coverage", "flops_uncounted",
)  # fmt: skip


def counted_facts(records: Sequence[Measurement], recipe: Recipe) -> dict[str, Any]:
    """Return the FLOPs facts of an earlier trial of the same recipe, if there was one.

    What could not be counted then is not tried again.
    """
    dumped = recipe.model_dump(mode="json")
    for record in records:
        if record.recipe == dumped and record.model_flops_per_step is not None:
            return {name: getattr(record, name) for name in FLOPS_FACTS}
        if record.recipe == dumped and FLOPS_FACTS[0] in record.unknown:
            return {"unknown": record.unknown}
    return {}


def as_the_baseline(
    record: Measurement, rehearsed: Sequence[Measurement], baseline: Recipe
) -> dict[str, Any]:
    """Return the baseline's facts for a script's trial whose techniques leave its work as it is."""
    if not is_script(baseline) or record.effect not in SAME_WORK:
        return {}
    return counted_facts(rehearsed, baseline)


def was_checked(record: Measurement) -> bool:
    """Tell whether a trial compared counters with one another."""
    return record.flops_check is not None or "flops_check" in record.unknown


def with_counts(
    record: Measurement, known: Sequence[Measurement], rehearsed: Sequence[Measurement],
    baseline: Recipe,
) -> Measurement:  # fmt: skip
    """Return a trial with the FLOPs facts that earlier ones know of its recipe, where it has none.

    `known` are the trials of its run so far.
    """
    if not record.ok:
        return record
    counted = counted_facts([*known, *rehearsed], Recipe.model_validate(record.recipe))
    counted = counted or as_the_baseline(record, rehearsed, baseline)
    missing = {name: value for name, value in counted.items() if not getattr(record, name)}
    return record.model_copy(update=missing)
