"""Hold a journal to its run's plan: an arm that nobody asked for was added to the file, and so
was a metric that can't be.

Arms come from ``run.json``: one alone, in a full optimisation several together too. What they are
called follows from their recipes, so no code has to be imported to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.records.header import Header, is_beyond
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.ranges import TRY, TUNED
from bench.records.recipe import Recipe, file_in, reference_in
from bench.records.revisions import HEAD, Revisions
from bench.records.schema import Json, plain_text

Names = frozenset[str]
Settings = Mapping[str, Json | None]
"""Of techniques by name; None: not known, any label will do."""


def check_planned(
    header: Header, records: Sequence[Measurement], path: Path, probes: bool = False
) -> None:
    """Raise `BenchError`, naming file and line, for a trial or probe that no run of this plan made.

    `records` are those of one journal, a line each.
    """
    arms = _Arms(header, probes)
    for number, record in enumerate(records, 1):
        if problem := arms.problem(record) or _metric_problem(header, record):
            raise BenchError(
                f"{path}, line {number}: {record.arm} of pair {record.pair} {problem}; "
                "take out what was added to the file"
            )


def _metric_problem(header: Header, record: Measurement) -> str | None:
    """Return what of a record's metric, at any evaluation, its run says can't be."""
    at_evaluations = (found.values.get(header.metric) for found in record.metrics)
    for value in (record.metric, *at_evaluations):
        if value is not None and is_beyond(value, header.metric_bounds):
            return f"has {header.metric}={value:g}, beyond the bounds {header.metric_bounds}"
    return None


class _Arms:
    """What a plan allows, and which arms of it were seen."""

    def __init__(self, header: Header, probes: bool) -> None:
        self._header, self._probes = header, probes
        asked = [frozenset(map(reference_in, arm.techniques)) for arm in header.arms]
        self._planned = Counter(filter(None, asked))
        self._files = sum(arm.recipe_file is not None for arm in header.arms)
        self._together = header.mode == "full-optimization"
        self._named: dict[Names, set[str]] = {}
        self._called: dict[str, str] = {}
        self._judged: dict[str, set[str]] = {}
        self._fine: dict[tuple[str, str, str, str, bool], Json] = {}

    def problem(self, record: Measurement) -> str | None:
        """Return what of a record is not in the plan; one like another is looked at once."""
        like = record.arm, record.stage, record.kind, record.device, record.pair < 0
        if self._fine.get(like) == record.recipe:
            return None
        problem = self._found(record)
        if problem is None:
            self._fine[like] = record.recipe
        return problem

    def _found(self, record: Measurement) -> str | None:
        recipe = Recipe.model_validate(record.recipe)
        if self._header.revisions is not None:
            return _beside_revision(record.arm, recipe, self._header.revisions)
        if problem := self._of_another_run(record):
            return problem
        if self._header.audit is not None and record.arm not in (BASELINE, CONTROL):
            known = self._probes or record.arm in self._header.audit.arms
            return None if known else "is no arm of the claims in run.json"
        if recipe.baseline != self._header.baseline:
            return f"is of the baseline {recipe.baseline}, run.json of {self._header.baseline}"
        if record.arm in (BASELINE, CONTROL):
            return self._of_baseline(recipe)
        if not recipe.techniques and self._is_tried(record, recipe):
            return self._beside_others(record, recipe, frozenset()) if record.judges else None
        if not recipe.techniques:
            if not self._probes and record.pair >= 0:  # else it was refused before it had one
                return self._of_baseline(recipe) or "has the recipe of the baseline"
            return None if self._is_asked(record.arm) else "is not in the plan of run.json"
        names = frozenset(use.name for use in recipe.techniques)
        if not self._is_planned(names):
            return f"uses {', '.join(sorted(names))}, which run.json doesn't plan"
        if self._together and record.stage == "tune" and record.arm.startswith(TRY):
            return None
        if not _is_called(record.arm, {use.name: use.settings for use in recipe.techniques}):
            return f"is not what its recipe of {', '.join(sorted(names))} is called"
        return self._beside_others(record, recipe, names)

    def _of_another_run(self, record: Measurement) -> str | None:
        begun = self._header.raced
        if record.device != self._header.device:
            return f"ran on {record.device}, run.json says {self._header.device}"
        if record.kind == "build":
            return "was only rehearsed"
        if begun and record.pair >= 0 and not self._probes and record.stage not in begun:
            return f"is of the stage {record.stage}, which run.json doesn't say was begun"
        return None

    def _of_baseline(self, recipe: Recipe) -> str | None:
        if recipe.techniques:
            return f"has the techniques of {recipe.arm}"
        changed = sorted(
            name for name in {*recipe.settings, *self._header.settings}
            if recipe.settings.get(name) != self._header.settings.get(name)
        )  # fmt: skip
        return f"has another {changed[0]} than run.json says" if changed else None

    def _is_tried(self, record: Measurement, recipe: Recipe) -> bool:
        """Tell whether a record is of the baseline in settings that a search may choose, or chose.

        Where an exported recipe is measured its file says which settings, not ``run.json``.
        """
        before = self._header.settings
        changed = {name for name in {*recipe.settings, *before}
                   if recipe.settings.get(name) != before.get(name)}  # fmt: skip
        tried = record.stage == "tune" and record.arm.startswith(TRY)
        within = bool(self._files) or changed <= {*self._header.ranges}
        return within and (tried or (bool(changed) and record.arm == TUNED))

    def _is_planned(self, names: Names) -> bool:
        if self._files:
            return True
        if self._together:
            return names <= frozenset().union(*self._planned)
        return names in self._planned

    def _is_asked(self, arm: str) -> bool:
        """Tell whether an arm is called as techniques are that are planned, in any settings."""
        if self._files:
            return True
        whole: Names = frozenset().union(*self._planned)
        asked = [*self._planned, *(frozenset({name}) for name in whole)]
        if any(_is_called(arm, dict.fromkeys(names)) for names in asked):
            return True
        return self._together and _is_called(arm, dict.fromkeys(whole), all_of=False)

    def _beside_others(self, record: Measurement, recipe: Recipe, names: Names) -> str | None:
        """Return what is wrong with a record's arm beside those of the lines before it."""
        called = self._called.setdefault(recipe.id, record.arm)
        if called != record.arm:
            return f"has the recipe of {called}"
        alike = self._named.setdefault(names, set())
        alike.add(record.arm)
        everything = set().union(*self._named.values())
        if self._files and len(everything) > self._files:
            return f"is one arm more than the {self._files} recipes that run.json plans"
        tuned = "tune" in self._header.raced  # what was tuned stands beside what it was made of
        if not self._files and len(alike) > max(1, self._planned[names]) + tuned:
            return f"is one arm more of {', '.join(sorted(names))} than run.json plans"
        if not record.judges or record.pair < 0:
            return None
        judged = self._judged.setdefault(record.stage, set())
        judged.add(record.arm)
        raced = self._header.raced.get(record.stage, len(judged))
        if len(judged) > raced:
            return f"is one arm more than the {raced} that run.json raced ({record.stage})"
        return None


def _beside_revision(arm: str, recipe: Recipe, asked: Revisions) -> str | None:
    """Return what of a record is not what its side of a comparison trains."""
    own = {BASELINE: asked.base, CONTROL: asked.base, HEAD: asked.head}.get(arm)
    if own is None:
        return "is no side of what run.json compares"
    return None if recipe.id == own.recipe.id else f"has another recipe than {own.label} has"


def _is_called(arm: str, uses: Settings, all_of: bool = True) -> bool:
    """Tell whether an arm's name is those of techniques joined by "+", with settings of theirs.

    A technique of the user's own has a name that only its code knows.
    """
    return any(
        (not rest and not (all_of and left))
        or (rest[:1] == "+" and _is_called(rest[1:], left, all_of))
        for left, rest in _without_one(arm, uses)
    )


def _without_one(arm: str, uses: Settings) -> Iterator[tuple[Settings, str]]:
    """Yield the other techniques and the rest of an arm's name, without one that it begins with."""
    for name, settings in uses.items():
        left = {other: own for other, own in uses.items() if other != name}
        for end in range(1, len(arm) + 1):
            if arm[end:][:1] not in ("", "+"):
                continue
            own, _, label = arm[:end].partition(":")
            if arm[:end] == name or ((own == name or file_in(name)) and _is_label(label, settings)):
                yield left, arm[end:]


def _is_label(label: str, settings: Json | None) -> bool:
    """Tell whether a label is of some of a technique's settings, in their order."""
    if not label or settings is None:
        return True
    rest = f"{label},"
    for key, value in settings.items():
        rest = rest.removeprefix(f"{key}={plain_text(value)},")
    return not rest
