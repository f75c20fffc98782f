"""Resolve what is trained at either side of a comparison of two revisions: recipe, code, settings.

A side's code is its own, file by file, with what these import from beside them. What a side would
import from the repository's working tree by another way (an editable install) is refused: it would
be the same code at both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from bench.baseline import Baseline
from bench.errors import BenchError
from bench.recipes import registry, resolve
from bench.recipes.own_packages import HOME, NAMES
from bench.recipes.program import imported_by, notices_on
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

    def path(self, file: Path) -> Path:
        """Return where a file of this side lies; folders in between need not be there."""
        return Path(os.path.normpath(self.folder / file))


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
        tree = check_out(repository, commit, folder / side)
        return Place(name, commit, tree / repository.within, tree)
    if not Path(name).is_dir():
        if repository is None:
            raise BenchError(f"{name} is no folder, and no git repository is here to know a commit")
        why = "; it is a shallow clone: git fetch --unshallow gets the others"
        raise BenchError(
            f"{name} is neither a folder nor a commit that {repository.top} knows"
            f"{why * repository.is_shallow}"
        )
    whole = Path(name).resolve()
    inside = repository is not None and whole.is_relative_to(repository.top)
    return Place(name, None, whole, repository.top if repository and inside else whole)


def side_of(asked: Compared, place: Place, values: Json, others: list[Path]) -> Side:
    """Resolve what is trained at a place; raise `BenchError`, naming the side, where that can't be.

    `others` are folders in which the user's code lies that is no side's own.
    """
    try:
        trained = _from_recipe(asked, place) if asked.kind == RECIPE else _from_class(asked, place)
        with hidden(others) as installed:
            references = [trained.reference, *(use.name for use in trained.uses)]
            found = places_of(references)
            _check_imports(found, [*others, place.folder], installed)
            return _side(place, trained, values, found)
    except BenchError as error:
        raise BenchError(f"at {place.label}: {error}") from None


class _Trained(NamedTuple):
    """What is asked of a side: references with whole paths, and settings that it brings."""

    reference: str
    settings: Json
    """That what was typed changes."""
    uses: tuple[Use, ...] = ()
    fixed: Json = {}


def _from_class(asked: Compared, place: Place) -> _Trained:
    path = place.path(asked.file)
    if not path.is_file() or not _is_within(path, place):
        raise BenchError(f"there is no {asked.file}{', not in git' * (place.commit is not None)}")
    own: Json = {"data_dir": str(place.folder)} if asked.kind == SCRIPT else {}
    return _Trained(f"{path}:{asked.kind}", {}, fixed=own)


def _from_recipe(asked: Compared, place: Place) -> _Trained:
    """Return a recipe with the code of this side: in its current folder, or beside the recipe.

    A recipe that git doesn't keep, as one in results/, is the same at both sides.
    """
    own = place.path(asked.file)
    path = own if own.is_file() else asked.file
    if not path.is_file():
        raise BenchError(f"there is no {asked.file}")
    recipe = read_exported(path).recipe
    names = [recipe.baseline, *(use.name for use in recipe.techniques)]
    if not recipe.files and not _is_within(path, place):
        raise BenchError(f"{asked.file} names no code of yours, so no commit can change it")
    references = [_code(name, path.parent, place) if is_file(name) else name for name in names]
    uses = tuple(
        use.model_copy(update={"name": name})
        for use, name in zip(recipe.techniques, references[1:], strict=True)
    )
    return _Trained(references[0], recipe.settings, uses)


def _code(reference: str, beside: Path, place: Place) -> str:
    """Return a recipe's reference to a file, where that lies at a side."""
    file = Path(reference.rpartition(":")[0])
    own = place.folder / file
    if own.is_file() and _is_within(own, place):
        return str(place.folder / reference)
    copied = (beside / "run.json").is_file() or not _is_within(beside / file, place)
    if copied or not (beside / file).is_file():
        raise BenchError(f"there is no {file} in {place.folder}: go to the folder that it lies in")
    return str(beside / reference)


def _side(place: Place, asked: _Trained, values: Json, found: dict[str, str]) -> Side:
    """Return a side, its code hashed as it is now."""
    baseline = registry.load_baseline(asked.reference)
    settings, notices = resolve.prepared(baseline, {**asked.settings, **values, **asked.fixed})
    plain = resolve.baseline_recipe(asked.reference, settings, found)
    made = [(use.name, registry.make_technique(use.name, use.settings)) for use in asked.uses]
    recipe = resolve.with_uses(plain, made, found)
    notices = (*notices_on(found, asked.reference), *notices)
    return Side(place, baseline, asked.reference, settings, recipe, hashed(found), notices)


def _is_within(path: Path, place: Place) -> bool:
    """Tell whether a file is a side's own, by no link from outside."""
    return path.resolve().is_relative_to(place.root.resolve())


@contextmanager
def hidden(folders: list[Path]) -> Iterator[list[str]]:
    """Let no module be found in folders that are installed in place: a side's own come first.

    Yields where modules are found otherwise.
    """
    before = [*sys.path]
    sys.path[:] = [entry for entry in before if not _is_own(Path(entry or "."), folders)]
    try:
        yield before
    finally:
        sys.path[:] = before


def _is_own(path: Path, folders: list[Path]) -> bool:
    whole = path.resolve()
    if INSTALLED & set(whole.parts) or whole.is_relative_to(HOME):
        return False
    return any(whole.is_relative_to(folder.resolve()) for folder in folders)


def _check_imports(found: dict[str, str], folders: list[Path], installed: list[str]) -> None:
    """Refuse what a side imports from the user's code in another way than from beside its file."""
    own = {module_of(name).partition(".")[0] for name in found}
    for name, place in found.items():
        for top in sorted(imported_by(Path(place)) - own - {*NAMES, "__main__"}):
            spec = find_spec(top) or PathFinder.find_spec(top, installed)
            if spec and spec.has_location and _is_own(origin := Path(spec.origin or ""), folders):
                raise BenchError(
                    f"{name} imports {top}, which is installed from {origin}: both sides would run "
                    f"that; measure a file that lies in {_beside(origin)}"
                )


def _beside(origin: Path) -> Path:
    """Return the folder from which a module, or a package, is imported."""
    return origin.parent.parent if origin.name == "__init__.py" else origin.parent
