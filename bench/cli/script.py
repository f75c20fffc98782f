"""`bench script train.py -- args`: what is asked of a training script that nobody rewrote."""

from __future__ import annotations

import ast
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from bench.cli.parse import choose_mode
from bench.errors import BenchError
from bench.recipes.references import parse_technique
from bench.recipes.script import MAIN
from bench.records.header import Arm
from bench.records.schema import Json

VARIED = "script-arguments"
"""The technique that adds to a script's arguments."""


@dataclass(frozen=True, slots=True)
class Started:
    """How a script is started: its file, and its name where it is a module."""

    file: Path
    module: str | None
    given: Path
    """As it was asked for: a link to the file, maybe."""

    @property
    def reference(self) -> str:
        """Return the reference of the script as a baseline."""
        return f"{self.file}:{MAIN}"


def started(script: str | None, module: str | None) -> Started:
    """Return what is to be run; raise `BenchError` where it isn't there, or is no Python."""
    if (script is None) == (module is None):
        raise BenchError("give a script (bench script train.py) or a module (-m), not both")
    file = Path(script) if script is not None else _file_of(str(module))
    if not file.is_file():
        raise BenchError(f"there is no script {file}")
    if file.suffix != ".py":
        raise BenchError(f"{file} is no Python script: its name doesn't end with .py")
    try:
        ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise BenchError(f"{file}{where}: {getattr(error, 'msg', error)}") from None
    return Started(file.resolve(), module, file.absolute())


def _file_of(module: str) -> Path:
    """Return the file of a module that is found from the current folder."""
    place = [str(Path.cwd())]
    *packages, last = module.split(".")
    for package in packages:
        spec = PathFinder.find_spec(package, place)
        if spec is None or not spec.submodule_search_locations:
            raise BenchError(f"no module named {module} in {Path.cwd()}: there is no {package}")
        place = list(spec.submodule_search_locations)
    spec = PathFinder.find_spec(last, place)
    if spec is not None and spec.submodule_search_locations:
        spec = PathFinder.find_spec("__main__", list(spec.submodule_search_locations))
    if spec is None or spec.origin is None:
        raise BenchError(f"no module named {module} in {Path.cwd()}")
    return Path(spec.origin)


def settings_of(started: Started, arguments: Sequence[str], given: Json) -> Json:
    """Return the settings of a script that is run in the current folder.

    Raises `BenchError` for a direction of no metric.
    """
    if given.get("lower") and given.get("metric") is None:
        raise BenchError(
            "--lower-is-better is said of no metric: give --metric 'val_loss=([\\d.]+)', or "
            "--metric NAME and bench.report(NAME=...) in the script"
        )
    where = Path.cwd()
    return {
        "data_dir": str(where),
        "script": _from(where, started.given),
        "module": started.module,
        "arguments": list(arguments),
        **{name: value for name, value in given.items() if value is not None},
    }


def _from(where: Path, file: Path) -> str:
    """Return a file's path from a folder; of one outside, or that only seems so, the real one.

    A folder that is worked in has its real name, where a path that is given may lead through links.
    """
    path = os.path.relpath(file, where)
    if path.startswith(os.pardir):
        path = os.path.relpath(file.parent.resolve() / file.name, where)
    return path


def arms_of(
    test: Sequence[str], combine: Sequence[str], full: bool, vary: Sequence[str]
) -> tuple[str, tuple[Arm, ...]]:
    """Return the mode that was asked for, with its arms: lines to vary are techniques in each."""
    varied = variations(vary)
    if combine and len(varied) > 1:
        raise BenchError(
            f"--combine makes one recipe, and --vary gives it {len(varied)} lines: give one line "
            f"with all its arguments, --vary {shlex.quote(' '.join(vary))}"
        )
    asked = {"test": test, "combine": combine, "full-optimization": full}
    if full and not test and not combine:
        mode, arms = choose_mode(asked)
        others = tuple(arm for arm in arms if arm.techniques != (VARIED,))
        return mode, (*others, *(Arm(techniques=(text,)) for text in varied))
    if combine and not test:
        return choose_mode({**asked, "combine": [*combine, *varied]})
    if varied and not combine and not full:
        return choose_mode({**asked, "test": [*test, *varied]})
    return choose_mode(asked if any(asked.values()) else {"baseline-only": True})


def variations(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the techniques that add each of some lines to the script's arguments."""
    for line in lines:
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise BenchError(f"--vary {line!r}: {error}") from None
        if not words:
            raise BenchError("--vary is given no argument of the script's: --vary '--lr 1e-3' …")
    texts = tuple(f"{VARIED}:add={line}" for line in lines)
    for line, text in zip(lines, texts, strict=True):
        if parse_technique(text)[1] != {"add": line.strip()}:
            raise BenchError(f"--vary {line!r}: a comma before a word and = can't be told apart")
    return texts
