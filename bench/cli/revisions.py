"""`bench ab BASE HEAD -- …`: one file of the user's at two revisions, one against the other."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from bench.cli.argv import BEHIND, on_command_line
from bench.cli.options import Quiet
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.run.request import Request

MEASURING = frozenset({
    "device", "threads", "seed", "repeats", "budget", "margin", "trial_timeout", "limit", "output",
    "quiet", "json_",
})  # fmt: skip
"""Options of how is measured, whatever is."""
RESUMED = ("resume", "trust", "quiet", "json_")
SETTINGS = ("dataset", "data_dir", "epochs", "batch_size", "skip_bad")
OF_SCRIPT = ("metric", "lower", "seed_argument", "model", "steps")
OF_RUN = MEASURING | {"baseline", "recipe", "set_", *SETTINGS}
EXAMPLE = "bench ab main HEAD -- --baseline mine.py:Net"

Sides = Annotated[str | None, Argument(help="a commit as git names it, or a folder; . is this one")]
Limits = Annotated[
    list[str] | None, Option("--limit", help="by how much head may be worse: time=5% memory=10%")
]
Requirements = Annotated[
    Path | None,
    Option(help="requirements of other versions that base is trained with, as pip reads them"),
]
Output = Annotated[Path | None, Option(help="folder that run folders are made in (results)")]
Resume = Annotated[Path | None, Option(help="go on with an interrupted run")]
Trust = Annotated[bool, Option("--trust", help="with --resume: run the code that it names")]
Json = Annotated[bool, Option("--json", help="print JSON")]


def ab(
    context: typer.Context,
    base: Sides = None,
    head: Sides = None,
    limit: Limits = None,
    base_requirements: Requirements = None,
    output: Output = None,
    resume: Resume = None,
    trust: Trust = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Compare two revisions of your code on this machine, in interleaved pairs.

    Behind -- stands what is trained: --baseline FILE.py:CLASS, --recipe FILE, or script FILE, with
    the options that bench and bench script have. Exits with 0; with 1 where head has regressed
    beyond a limit or the margin, confirmed in fresh pairs; with 3 where that could not be told.
    """
    from bench.cli.run import execute
    from bench.run.request import Resumption

    if resume is not None:
        refuse_changes(context)
        execute(Resumption(resume, trust), quiet, json_)
        return
    if base is None or head is None:
        raise BenchError(f"give two commits or folders: {EXAMPLE}")
    found = behind(context)
    own = {"limit": limit, "output": output, "quiet": quiet, "json_": json_,
           "base_requirements": base_requirements}  # fmt: skip
    found = {**{name: value for name, value in own.items() if value}, **found}
    asked = request("ab", base, head, found)
    execute(asked, found.get("quiet", False), found.get("json_", False))


def refuse_changes(context: typer.Context) -> None:
    """Raise `BenchError` for what is given beside --resume that would change the run."""
    from bench.cli import parse

    parse.refuse_changes("--resume", on_command_line(context), RESUMED)
    if context.meta.get(BEHIND):
        raise BenchError(
            "--resume goes on with what the run was asked: leave out what stands behind --"
        )


def behind(context: typer.Context) -> dict[str, Any]:
    """Return what stands behind ``--``, as `bench run` or `bench script` read it.

    Raises `BenchError` for options that say what no comparison of revisions does, and for one that
    stands before ``--`` too.
    """
    words = list(context.meta.pop(BEHIND, []))
    if not words:
        raise BenchError(f"say behind -- what is to be trained: {EXAMPLE}")
    name = "script" if words[0] == "script" else "run"
    parent = context.parent
    command = parent.command.commands[name] if parent else None  # type: ignore[attr-defined]  # typer's own group
    assert command is not None  # a command has a group
    inner = command.make_context(name, words[name == "script" :], parent=parent)
    found = {key: inner.params[key] for key in on_command_line(inner)}
    allowed = {*MEASURING, *OF_SCRIPT, "file", "module"} if name == "script" else OF_RUN
    before = on_command_line(context)
    for key in found:
        said = key.strip("_").replace("_", "-")
        if key not in allowed:
            raise BenchError(f"--{said} is nothing that two revisions are compared by")
        if key in before:
            raise BenchError(f"--{said} stands on both sides of --: give it once")
    return {**found, "arguments": context.meta.pop(BEHIND, []), "command": name}


def request(mode: str, base: str, head: str, given: dict[str, Any], alpha: float = 0.05) -> Request:
    """Return the run that compares two revisions."""
    from bench.cli import parse
    from bench.run.compared import LIMITS, Compared
    from bench.run.request import Request

    for name, side in (("base", base), ("head", head)):
        if not side.strip():
            raise BenchError(f"{name} is empty: give a commit or a folder; . is this one")
    file, kind, settings = _script(given) if given["command"] == "script" else _file(given)
    limits = {**LIMITS, **parse.parse_shares(given.get("limit") or [])}
    budget = given.get("budget")
    return Request(
        mode=mode,
        baseline="",
        settings=settings,
        device=given.get("device", "auto"),
        threads=parse.threads_of(given.get("threads")),
        seed=given.get("seed", 0),
        repeats=parse.parse_repeats(given.get("repeats", parse.AUTO)),
        budget_seconds=parse.parse_duration(budget) if budget else None,
        trial_timeout_seconds=parse.parse_duration(given.get("trial_timeout", "30m")),
        margin=parse.parse_margin(given.get("margin")),
        margin_auto=given.get("margin") == parse.AUTO,
        compared=Compared(base, head, file, kind, limits, alpha, given.get("base_requirements")),
        output=given.get("output") or Path("results"),
        command=("bench", *sys.argv[1:]),
    )


def _file(given: dict[str, Any]) -> tuple[Path, str, dict[str, Any]]:
    """Return the file of a model or a recipe from here, what it is, and the settings."""
    from bench.cli import parse
    from bench.recipes.references import file_of
    from bench.run.compared import RECIPE

    settings = {key: str(given[key]) for key in SETTINGS if given.get(key) is not None}
    settings = parse.together(settings, given.get("set_") or [])
    recipes, baseline = given.get("recipe"), given.get("baseline")
    if recipes and not baseline and len(recipes) == 1:
        return _from_here(Path(recipes[0])), RECIPE, settings
    file = file_of(baseline) if baseline and not recipes else None
    if file is None:
        raise BenchError(
            "give one file of your own behind --: --baseline FILE.py:CLASS, --recipe FILE, or "
            "script FILE; what is installed is the same at both revisions"
        )
    return _from_here(file), str(baseline).rpartition(":")[2], settings


def _script(given: dict[str, Any]) -> tuple[Path, str, dict[str, Any]]:
    """Return a script's file from here, what it is, and its settings."""
    from bench.cli.script import settings_of, started
    from bench.run.compared import SCRIPT

    begun = started(given.get("file"), given.get("module"))
    settings = settings_of(begun, given["arguments"], {key: given.get(key) for key in OF_SCRIPT})
    return _from_here(begun.file), SCRIPT, settings


def _from_here(file: Path) -> Path:
    return Path(os.path.relpath(file.absolute(), Path.cwd()))
