"""Resolve what is trained at either side of a comparison of two revisions: recipe, code, settings.

A side's code is its own, file by file, with what these import from beside them. What a side would
import from the repository's working tree by another way (an editable install) is refused: it would
be the same code at both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from bench.baseline import Baseline
from bench.errors import BenchError
from bench.recipes import registry, resolve
from bench.recipes.own_packages import HOME, NAMES
from bench.recipes.program import imported_by
from bench.recipes.references import is_file, places_of
from bench.recipes.source import Sources, hashed, module_of, places_in
from bench.records.claim import read_exported
from bench.records.recipe import Recipe, Use
from bench.records.revisions import Revision, Revisions, named
from bench.records.schema import Json
from bench.run.checkout import Repository, check_out
from bench.run.compared import RECIPE, SCRIPT, Compared

INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class Place:
    """Where one side lies: the folder that stands for the current one, and which commit it is."""

    given: str
    commit: str | None
    folder: Path
    root: Path
    """All that is of this side."""

    @property
    def label(self) -> str:
        """Return what messages call it."""
        return named(self.given, self.commit)


@dataclass(frozen=True)
class Side:
    """What one side trains."""

    place: Place
    baseline: Baseline
    reference: str
    settings: BaseModel
    recipe: Recipe
    code: Sources
    notices: tuple[str, ...]

    @property
    def revision(self) -> Revision:
        """Return what is recorded of it."""
        place = self.place
        return Revision(
            given=place.given, commit=place.commit, recipe=self.recipe, places=places_in(self.code)
        )


def places(asked: Compared, folder: Path) -> tuple[Place, Place, Repository | None]:
    """Return where both sides lie; commits are checked out into `folder`."""
    repository = Repository.around(Path.cwd())
    base, head = (
        _place(name, side, folder, repository)
        for name, side in ((asked.base, "base"), (asked.head, "head"))
    )
    return base, head, repository


def places_again(known: Revisions, folder: Path) -> None:
    """Check the commits of an earlier run out where it had them."""
    repository = Repository(Path(known.repository or "."), known.within)
    for revision, name in ((known.base, "base"), (known.head, "head")):
        if revision.commit:
            check_out(repository, revision.commit, folder / name)


def _place(name: str, side: str, folder: Path, repository: Repository | None) -> Place:
    commit = repository.commit(name) if repository and name not in (".", "..") else None
    if commit and "/" not in name and Path(name).is_dir():
        raise BenchError(f"{name} is a commit and a folder: write ./{name} for the folder")
    if commit and repository:
        check_out(repository, commit, folder / side)
        return Place(name, commit, folder / side / repository.within, folder / side)
    if not Path(name).is_dir():
        where = f"{repository.top} knows" if repository else "no repository is here, and none"
        raise BenchError(f"{name} is neither a folder nor a commit that {where}")
    return Place(name, None, Path(name).resolve(), Path(name).resolve())


def side_of(asked: Compared, place: Place, values: Json, others: list[Path]) -> Side:
    """Resolve what is trained at a place; raise `BenchError`, naming the side, where that can't be.

    `others` are folders in which the user's code lies that is no side's own.
    """
    try:
        with hidden(others):
            made = _from_recipe if asked.kind == RECIPE else _from_class
            side = made(asked, place, values)
        _check_imports(side, [*others, place.folder])
        return side
    except BenchError as error:
        raise BenchError(f"at {place.label}: {error}") from None


def _from_class(asked: Compared, place: Place, values: Json) -> Side:
    path = place.folder / asked.file
    if not path.is_file() or not _is_within(path, place):
        raise BenchError(f"there is no {asked.file}{', not in git' * (place.commit is not None)}")
    if asked.kind == SCRIPT:
        values = {**values, "data_dir": str(place.folder)}
    return _side(place, f"{path}:{asked.kind}", values, ())


def _from_recipe(asked: Compared, place: Place, values: Json) -> Side:
    """Return a recipe with the code of this side: beside it, or in the current folder.

    A recipe that git doesn't keep, as one in results/, is the same at both sides.
    """
    path = place.folder / asked.file
    kept = path.is_file() and _is_within(path, place)
    if not path.is_file() and not asked.file.is_file():
        raise BenchError(f"there is no {asked.file}")
    exported = read_exported(path if path.is_file() else asked.file)
    recipe, beside = exported.recipe, path.parent if kept else place.folder
    if not recipe.files and not kept:
        raise BenchError(f"{asked.file} names no code of yours, so no commit can change it")
    if any(not (beside / name).is_file() for name in recipe.files):
        beside = place.folder
    names = [recipe.baseline, *(use.name for use in recipe.techniques)]
    references = [str(beside / name) if is_file(name) else name for name in names]
    uses = tuple(
        use.model_copy(update={"name": name})
        for use, name in zip(recipe.techniques, references[1:], strict=True)
    )
    return _side(place, references[0], {**recipe.settings, **values}, uses)


def _side(place: Place, reference: str, values: Json, uses: tuple[Use, ...]) -> Side:
    """Return a side, its code hashed as it is now."""
    found = places_of([reference, *(use.name for use in uses)])
    baseline = registry.load_baseline(reference)
    settings, notices = resolve.prepared(baseline, values)
    plain = resolve.baseline_recipe(reference, settings, found)
    made = [(use.name, registry.make_technique(use.name, use.settings)) for use in uses]
    recipe = resolve.with_uses(plain, made, found)
    return Side(place, baseline, reference, settings, recipe, hashed(found), notices)


def _is_within(path: Path, place: Place) -> bool:
    """Tell whether a file is a side's own, by no link from outside."""
    return path.resolve().is_relative_to(place.root.resolve())


@contextmanager
def hidden(folders: list[Path]) -> Iterator[None]:
    """Let no module be found in folders that are installed in place: a side's own come first."""
    before = [*sys.path]
    sys.path[:] = [entry for entry in before if not _is_own(Path(entry or "."), folders)]
    try:
        yield
    finally:
        sys.path[:] = before


def _is_own(path: Path, folders: list[Path]) -> bool:
    whole = path.resolve()
    if INSTALLED & set(whole.parts) or whole.is_relative_to(HOME):
        return False
    return any(whole.is_relative_to(folder.resolve()) for folder in folders)


def _check_imports(side: Side, folders: list[Path]) -> None:
    """Refuse what a side imports from the user's code in another way than from beside its file."""
    own = {module_of(name).partition(".")[0] for name in side.code}
    for name, source in side.code.items():
        for top in sorted(imported_by(source.path) - own - set(NAMES)):
            spec = find_spec(top) if top != "__main__" else None
            if spec and spec.has_location and _is_own(origin := Path(spec.origin or ""), folders):
                raise BenchError(
                    f"{name} imports {top}, which is installed from {origin}: both sides would run "
                    f"that; measure a file that lies in {_beside(origin)}"
                )


def _beside(origin: Path) -> Path:
    """Return the folder from which a module, or a package, is imported."""
    return origin.parent.parent if origin.name == "__init__.py" else origin.parent
