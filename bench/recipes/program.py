"""Find the Python files that a user's file is made of: itself, and what it imports from beside it.

They are found by reading the import statements, wherever they stand, so that the same files are
found before anything runs and in every process. Modules are taken one by one, packages whole.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.errors import BenchError
from bench.interception.modules import KEPT
from bench.recipes.loading import Neighbours
from bench.recipes.own_packages import HOME, NAMES
from bench.recipes.script import MAIN
from bench.recipes.source import Source, read


@dataclass(frozen=True, slots=True)
class Program:
    """A user's file with its neighbours."""

    sources: dict[str, Source]
    hidden: dict[str, str]
    """Modules beside the file whose name an installed one has, which is the one imported: where
    that lies, by name."""


def program_of(file: Path, first: bool = False) -> Program:
    """Return a file and what it imports, directly or not, from its own folder.

    `first`: what lies there comes before all that is installed, as Python finds a script's, but
    for what is built into it.
    Raises `BenchError` for a file that can't be read, and for one that imports a module beside it
    under the name of a package of trainpairs, where that comes before.
    """
    whole = file.resolve()
    folder = whole.parent
    sources: dict[str, Source] = {}
    hidden: dict[str, str] = {}
    waiting = [(file.name, whole)]
    beside = functools.cache(functools.partial(_is_beside, folder))
    while waiting:
        name, path = waiting.pop()
        if name in sources:
            continue
        content = read(path)
        sources[name] = Source(path, hashlib.sha256(content).hexdigest())
        for line, wanted in _imports(content, PurePosixPath(name).parent.parts):
            top = wanted[0].partition(".")[0]
            if not beside(top):
                continue
            found = [(one, folder / one) for module in wanted for one in _files(module, folder)]
            if not found or (first and top in KEPT):
                continue
            if not first and _is_ours(path, line, wanted, folder):
                continue
            if not first and (other := _elsewhere(top, folder)):
                hidden[top] = other
            else:
                waiting += found
    return Program(sources, hidden)


@functools.lru_cache(maxsize=256)
def _imports(content: bytes, package: tuple[str, ...]) -> tuple[tuple[int, list[str]], ...]:
    """Return the line of each import statement, and the modules that it may mean.

    Equal contents are parsed once: each recipe of a file asks for its program several times.
    """
    try:
        return tuple(_imported(ast.parse(content), package))
    except (SyntaxError, ValueError, RecursionError):
        return ()  # said when it is compiled


def _imported(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, [alias.name]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            if node.level and not base:
                continue
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, [module, *(f"{module}.{alias.name}" for alias in node.names)]


def imported_by(file: Path) -> set[str]:
    """Return the top-level modules that a file imports, wherever they lie."""
    return {wanted[0].partition(".")[0] for _, wanted in _imports(read(file), ())}


def _is_beside(folder: Path, top: str) -> bool:
    """Tell whether a folder has a module or package of a name; most imports are of no such."""
    return (folder / top).is_dir() or (folder / f"{top}.py").is_file()


def _files(module: str, folder: Path) -> Iterator[str]:
    """Yield the names of the files that importing a module from a folder reads."""
    base = PurePosixPath()
    for part in module.split("."):
        if (folder / base / part / "__init__.py").is_file():
            yield from _tree(folder, base / part)
        elif (folder / base / f"{part}.py").is_file():
            yield str(base / f"{part}.py")
            return
        elif not (folder / base / part).is_dir():
            return
        base /= part


def _tree(folder: Path, package: PurePosixPath) -> Iterator[str]:
    """Yield all files of a package and of the packages in it."""
    for path in sorted((folder / package).iterdir()):
        if path.suffix == ".py" and path.is_file():
            yield str(package / path.name)
        elif (path / "__init__.py").is_file():
            yield from _tree(folder, package / path.name)


def _is_ours(path: Path, line: int, wanted: list[str], folder: Path) -> bool:
    """Tell whether trainpairs' own packages have what is imported; refuse theirs of its name."""
    top = wanted[0].partition(".")[0]
    if top not in NAMES or folder == HOME:
        return False
    places = [HOME.joinpath(*one.split(".")) for one in wanted if "." in one]
    if any(place.with_suffix(".py").is_file() or place.is_dir() for place in places):
        return True
    raise BenchError(
        f"{path}, line {line} imports {top}: trainpairs has a package of that name ({HOME / top}),"
        f" which stands in the way of {folder / top}; rename yours"
    )


def _elsewhere(module: str, folder: Path) -> str | None:
    """Return where a top-level module is found that is not the one in `folder`."""
    for finder in sys.meta_path:
        if isinstance(finder, Neighbours):
            continue
        spec = finder.find_spec(module, None)
        if spec is None or spec.origin is None:
            continue
        if folder in Path(spec.origin).resolve().parents:
            return None
        return spec.origin
    return None


def runs_first(reference: str, places: Mapping[str, str], path: Path) -> bool:
    """Tell whether a file belongs to a script, whose own folder comes first."""
    file, _, name = reference.rpartition(":")
    place = places.get(Path(file).name)
    return name == MAIN and place is not None and Path(place).parent == path.parent


def notices_on(places: Mapping[str, str], reference: str) -> Iterator[str]:
    """Yield a line for each installed module that is imported in place of one beside its user.

    `reference` is the baseline's.
    """
    told: set[str] = set()
    for name, place in places.items():
        if runs_first(reference, places, Path(place)):
            continue
        for module, other in program_of(Path(place)).hidden.items() if "/" not in name else ():
            if module not in told:
                told.add(module)
                yield (
                    f"{name} imports {module}: that is {other}, not the one beside it; "
                    "rename yours if it is meant"
                )


def hashes(file: Path, first: bool = False) -> dict[str, str]:
    """Return the sha256 of a file and of its neighbours, by name."""
    return {name: source.sha256 for name, source in program_of(file, first).sources.items()}
