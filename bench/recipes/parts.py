"""Take a combination apart: the recipe of some of its techniques, nothing searched for anew."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.recipe import Recipe


def part_of(whole: Recipe, baseline: Recipe, alone: Sequence[Recipe]) -> Recipe:
    """Return the recipe of some of a combination's techniques, in the settings that it has.

    `alone` are their recipes when each is alone with the baseline: what such a recipe changes of
    the baseline's settings is its own, and takes the value of the whole.
    """
    settings, files = dict(baseline.settings), dict(baseline.files)
    for recipe in alone:
        own = (k for k, v in recipe.settings.items() if baseline.settings.get(k) != v)
        settings |= {key: whole.settings[key] for key in own if key in whole.settings}
        files |= recipe.files
    names = {use.name for recipe in alone for use in recipe.techniques}
    uses = tuple(use for use in whole.techniques if use.name in names)
    return whole.model_copy(update={"settings": settings, "techniques": uses, "files": files})
