"""How the house is built: no circles, few floors, reports named by the commands alone, short
functions. Which room may import which, import-linter holds (`lint-imports`).

A function of more than 40 lines says why on the line of its `def`, or on the last line of its
signature: ``def run(  # long: an option a line``.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "optimizers", "baselines", "reports")
DOOR = "bench.__main__"
"""Stands before the house: `python -m bench`."""
MOST_FLOORS = 9
MEDIAN, NINE_OF_TEN, LONGEST = 8, 18, 40
REASON = "# long: "
Imports = dict[str, set[str]]


class Function(NamedTuple):
    """A function's place, its length in lines, and whether a reason for it stands there."""

    place: str
    lines: int
    reasoned: bool


@pytest.fixture(scope="module")
def imports() -> Imports:
    """Return the modules that each of ours imports when it runs, not for types alone."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


@pytest.fixture(scope="module")
def rooms(imports: Imports) -> Imports:
    """Return the rooms, and single modules, of the engine that each of them imports."""
    found: Imports = {}
    for module, others in imports.items():
        if module.startswith("bench.") and module != DOOR:
            mine = room_of(module)
            theirs = {room_of(other) for other in others if other.startswith("bench.")}
            found.setdefault(mine, set()).update(theirs - {mine})
    return found


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def circle(imports: Imports) -> list[str]:
    """Return a circle of imports, the first module again at its end; none: the empty list."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def functions() -> Iterator[Function]:
    """Yield every function, and every one within it."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            text = file.read_text()
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield described(file, text.splitlines(), node)


def described(
    file: Path, lines: list[str], node: ast.FunctionDef | ast.AsyncFunctionDef
) -> Function:
    last = node.end_lineno or node.lineno
    signature = lines[node.lineno - 1 : node.body[0].lineno - 1]
    place = f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
    return Function(place, last - node.lineno + 1, any(REASON in line for line in signature))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_way_of_others(imports: Imports, package: str) -> None:
    inside = {module: others for module, others in imports.items() if room_is(package, module)}
    assert circle(inside) == []


def room_is(package: str, module: str) -> bool:
    return module.partition(".")[0] == package


def test_no_room_imports_itself_by_way_of_others(rooms: Imports) -> None:
    assert circle(rooms) == []


def test_the_house_has_few_floors(rooms: Imports) -> None:
    floors: dict[str, int] = {}
    for room in TopologicalSorter(rooms).static_order():
        floors[room] = 1 + max((floors[below] for below in rooms.get(room, ())), default=0)
    assert max(floors.values()) <= MOST_FLOORS, floors


def test_the_commands_alone_name_reports(imports: Imports) -> None:
    naming = {
        room_of(module)
        for module, others in imports.items()
        if not room_is("reports", module) and any(room_is("reports", other) for other in others)
    }
    assert naming == {"bench.cli"}


def test_functions_are_short() -> None:
    lines = [function.lines for function in functions()]
    assert statistics.median(lines) <= MEDIAN
    assert statistics.quantiles(lines, n=10)[-1] <= NINE_OF_TEN


def test_a_long_function_says_why_it_is() -> None:
    silent = [f for f in functions() if f.lines > LONGEST and not f.reasoned]
    assert silent == [], f"shorten it, or write `{REASON}why` on the line of its def"
