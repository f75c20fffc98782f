"""What a recipe changes of the baseline: settings before and after, and techniques with theirs."""

from __future__ import annotations

from typing import NamedTuple

from bench.records.measurement import BASELINE
from bench.records.recipe import LOCAL_SETTINGS, Recipe
from reports import formatting
from reports.run import Run


class Change(NamedTuple):
    """One line of the difference; what is not there on a side is empty."""

    what: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        """Tell whether the two sides are unlike."""
        return self.before != self.after


def recipe_of(run: Run, arm: str) -> Recipe | None:
    """Return the recipe that an arm was judged by."""
    trials = run.of(arm)
    return Recipe.model_validate(trials[-1].recipe) if trials else None


def changes(run: Run) -> tuple[Change, ...]:
    """Return baseline and winner setting by setting, the techniques first; nothing without one."""
    after = recipe_of(run, run.winner.arm) if run.winner else None
    before = recipe_of(run, BASELINE)
    if after is None or before is None:
        return ()
    used = [
        Change(f"technique {use.name}", "", formatting.assignments(use.settings) or "as it is")
        for use in after.techniques
    ]
    names = [n for n in {**before.settings, **after.settings} if n not in LOCAL_SETTINGS]
    settings = [
        Change(name, *(_value(recipe, name) for recipe in (before, after))) for name in names
    ]
    return (*used, *settings)


def _value(recipe: Recipe, name: str) -> str:
    return formatting.value(recipe.settings[name]) if name in recipe.settings else ""
