"""Check that a run which is taken up again is the same: code, libraries, machine, data."""

from __future__ import annotations

from pathlib import Path

from bench.analysis.comparable import unlike_machines
from bench.errors import BenchError
from bench.machine import environment
from bench.recipes import own_packages
from bench.recipes.program import hashes, runs_first
from bench.recipes.source import Source, Sources, given_by, places_in
from bench.records.header import Header
from bench.records.measurement import Measurement
from bench.records.recipe import Recipe, file_in, is_bare
from bench.records.schema import Json

CODE = "trainpairs_sha256"
"""What a header's environment calls the hash of trainpairs' own code."""


def code_of(header: Header, path: Path) -> Sources:
    """Return the files that a run executes; refuse a header that names code by a path."""
    references = [header.baseline, *(text for arm in header.arms for text in arm.techniques)]
    named = {file for text in references if (file := file_in(text))}
    for name in sorted(named | set(header.files)):
        if not is_bare(name) or name not in header.files:
            raise BenchError(
                f"{path} names the code {name!r}, which is no bare name with a hash: such a run "
                "can't be resumed; start a new one"
            )
    return given_by(header.files, header.places)


def check_code(header: Header, sources: Sources, path: Path) -> None:
    """Refuse to go on where a file is not what was measured; say which, and in which arm."""
    places = places_in(sources)  # of two revisions each has its own
    for name, source in sources.items():
        first = runs_first(header.baseline, places, source.path)
        if (what := _changed(name, source, sources, first)) is not None:
            raise BenchError(
                f"{path} measured {_user_of(header, name)} as it was: {what}: start a new run"
            )


def _changed(name: str, source: Source, sources: Sources, first: bool) -> str | None:
    try:
        source.read()
    except BenchError:
        there = source.path.is_file()
        return f"{name} {'has changed since' if there else f'is no longer in {source.path.parent}'}"
    new = set() if "/" in name else set(hashes(source.path, first)) - set(sources)
    return f"it imports {', '.join(sorted(new))} now" if new else None


def check_libraries(header: Header) -> None:
    """Refuse to go on with other versions of Python or of a library than the run began with."""
    now = environment.capture()
    for name, before in _versions(header.environment).items():
        after = _versions(now).get(name)
        if before and after and not _alike(before, after):
            raise BenchError(
                f"{header.run} was measured with {name} {before}, here is {name} {after}: "
                "start a new run"
            )


def check_machine(header: Header) -> None:
    """Refuse to go on on another machine than the run began on; nodes say by themselves what is so.

    Which GPUs stand idle beside trials on the CPU is all one, and what drives them.
    """
    both = (_of_use(header, known) for known in (header.environment, environment.capture()))
    unlike = unlike_machines(*both)
    if header.on is None and unlike:
        raise BenchError(
            f"{header.run} was measured on another machine than this: {'; '.join(unlike)} here; go "
            "on with it there, or start a new run"
        )


def _of_use(header: Header, known: Json) -> Json:
    """Return what is known of a machine; of its GPUs the names, where trials run on one."""
    names = [gpu.get("name") for gpu in known.get("gpus") or []]
    return {**known, "gpus": None if header.device == "cpu" else names}


def check_own_code(header: Header) -> None:
    """Refuse to go on with another state of trainpairs itself than the run began with."""
    if header.environment.get(CODE) not in (None, own_packages.digest()):
        raise BenchError(
            f"{header.run} was measured with other code of trainpairs than {own_packages.HOME} "
            "has now: start a new run"
        )


def check_same(known: Measurement, recipe: Recipe) -> None:
    """Refuse a record of another recipe than the one that its place in the plan has now."""
    if known.recipe == recipe.model_dump(mode="json"):
        return
    old = Recipe.model_validate(known.recipe)
    if old.id == recipe.id:  # its data lie elsewhere
        return
    names = sorted(set(old.files) | set(recipe.files))
    files = [name for name in names if old.files.get(name) != recipe.files.get(name)]
    what = f"{', '.join(files)} has changed" if files else "its settings have changed"
    raise BenchError(f"{known.arm} was measured as recipe {old.id}, {what} since: start a new run")


def check_data(before: Measurement, now: Measurement) -> None:
    """Refuse to go on with other data than an arm's trials have read."""
    if before.data and now.data and before.data.sha256 != now.data.sha256:
        raise BenchError(
            f"{before.arm} was measured on data with the sha256 {before.data.sha256[:12]}, "
            f"{now.data.name} has {now.data.sha256[:12]} now: start a new run"
        )


def _user_of(header: Header, name: str) -> str:
    """Return the arms whose own file this is, or the run."""
    arms = ["+".join(a.techniques) for a in header.arms if any(name in t for t in a.techniques)]
    if name == file_in(header.baseline):
        return f"the baseline {header.baseline}"
    return " and ".join(arms) or "the run"


def _versions(facts: Json) -> dict[str, str | None]:
    packages = facts.get("packages")
    return {**(packages if isinstance(packages, dict) else {}), "Python": facts.get("python")}


def _alike(one: str, other: str) -> bool:
    """Compare versions; the part after "+" only where both say one."""
    (first, _, local), (second, _, other_local) = str(one).partition("+"), str(other).partition("+")
    return first == second and (not local or not other_local or local == other_local)
