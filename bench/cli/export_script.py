"""`bench export-script`: a recipe in plain PyTorch, as a patch of its script or as a new one."""

from __future__ import annotations

import shlex
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from bench.cli.options import DataDir, Device
from bench.cli.output import say, tell
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.interception.edits import Edit, Written
    from bench.recipes.script import ScriptSettings
    from bench.records.claim import Exported
    from bench.records.recipe import Recipe

SECONDS = 600.0


def export_script(
    recipe: Annotated[Path, Argument(metavar="RECIPE", help="an exported optimized.json")],
    data_dir: DataDir = None,
    device: Device = "auto",
    output: Annotated[Path | None, Option(help="a file for it (standard output)")] = None,
) -> None:
    """Print a recipe in plain PyTorch: a patch of its script, or a script of its own.

    A script's first steps are run, to see where it calls its models, and makes its optimizers and
    loaders. The patch is for git apply, or patch -p1, in the script's working folder; where no
    place is sure, or none was reached, lines are to be added by hand. Of your own model it is a
    script that trains it as the recipe does, without bench; it stands beside the model's file.
    """
    text = exported(recipe, data_dir, device, output)
    if output is None:
        tell(text, end="")
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise BenchError(f"can't write to {output}: {error.strerror}") from None
    tell(f"wrote {output}")


def exported(path: Path, data_dir: Path | None, device: str, output: Path | None = None) -> str:
    """Return what is to be said of a recipe: a script, or notes and a patch of the user's."""
    from bench.recipes.script import ScriptSettings, is_script
    from bench.records.claim import read_exported

    found = read_exported(path)
    if not is_script(found.recipe):
        return _plain(path, found, data_dir, device, output)
    if found.recipe == found.baseline:
        raise BenchError(
            f"{path} holds the script as it is: nothing won, and nothing is to be written"
        )
    values = {"data_dir": str(data_dir.resolve())} if data_dir else {}
    recipe = found.recipe.model_copy(update={"settings": found.recipe.settings | values})
    settings = ScriptSettings.model_validate(recipe.settings)
    written = _written(path, recipe, settings, device, _threads_of(found))
    folder = Path(settings.data_dir)
    patch, notes = patched(folder, written)
    notes += _started(settings, found)
    return "".join(f"{line}\n" for line in [_headline(recipe, folder, patch), *notes]) + patch


def _plain(
    path: Path, found: Exported, data_dir: Path | None, device: str, output: Path | None
) -> str:
    """Return a script that trains a baseline's recipe without bench."""
    import torch

    from bench.machine.device import choose_device
    from bench.recipes.source import given_by
    from bench.recipes.trust import described
    from bench.use.plain_script import plain_script

    values = {"data_dir": str(data_dir.resolve())} if data_dir else {}
    recipe = found.recipe.model_copy(update={"settings": found.recipe.settings | values})
    places = {name: str(path.resolve().parent / name) for name in recipe.files}
    if recipe.files:
        say(f"running {described(given_by(recipe.files, places).values())}")
    name, where = output.name if output else "plain.py", torch.device(choose_device(device))
    return plain_script(recipe, places, where, _threads_of(found), name)


def _threads_of(found: Exported) -> int | None:
    """Return the CPU threads that a claim was measured on."""
    threads = found.claim.environment.get("threads")
    return threads if type(threads) is int else None


def _written(
    path: Path, recipe: Recipe, settings: ScriptSettings, device: str, threads: int | None
) -> Written:
    """Run the script's first steps in a process of its own; return what is to be written."""
    from bench.launch.local import Runner
    from bench.machine.device import choose_device
    from bench.recipes.resolve import threads_of
    from bench.recipes.script import ScriptBaseline, check_code
    from bench.records.measurement import BASELINE, Status
    from bench.trial.spec import TrialSpec

    folder, baseline = path.resolve().parent, ScriptBaseline(settings.script)
    check_code(recipe, Path(settings.data_dir) / settings.script)
    with Runner((), SECONDS) as runner, tempfile.TemporaryDirectory() as scratch:
        trial = TrialSpec(
            arm=BASELINE, pair=0, seed=0, kind="build", describe=True, recipe=recipe,
            places={name: str(folder / name) for name in recipe.files}, metric="",
            device=choose_device(device), threads=threads_of(baseline, settings, threads),
            scratch=scratch,
        )  # fmt: skip
        outcome = runner.run(trial)
    if outcome.measurement.status is not Status.OK or outcome.written is None:
        raise BenchError(f"{settings.script} does not train: {outcome.measurement.reason}")
    return outcome.written


def patched(folder: Path, written: Written) -> tuple[str, list[str]]:
    """Return the patch of all files, and lines about what it holds and what it doesn't."""
    from bench.interception.edits import applied, difference

    by_file: defaultdict[str, list[Edit]] = defaultdict(list)
    notes = [*(f"{by}: {why}" for by, why in written.refused.items()), *written.left]
    patch = ""
    for edit in written.edits:
        if edit.place is None:
            notes += _by_hand(edit, "it is in none of the script's own files")
        elif edit.unsure:
            notes += _by_hand(edit, edit.unsure)
        elif ".." in Path(edit.place.file).parts:
            notes += _by_hand(edit, "it lies outside the working folder, where no patch reaches")
        else:
            by_file[edit.place.file].append(edit)
    for file, edits in by_file.items():
        raw = (folder / file).read_bytes()
        made, unsure = applied(raw, edits)
        patch += difference(file, raw, made) if made != raw else ""
        for index, edit in enumerate(edits):
            notes += _by_hand(edit, unsure[index]) if index in unsure else _said(edit)
    for edit in written.unreached:
        notes += _by_hand(edit, f"not reached in the first {written.steps} steps")
    notes.append(f"{written.steps} steps were seen: no line that is reached only later is changed")
    return patch, list(dict.fromkeys(notes))


def _said(edit: Edit) -> list[str]:
    return [f"{edit.by}: {edit.where}"]


def _by_hand(edit: Edit, why: str) -> list[str]:
    """Return lines about an edit that is to be made by hand."""
    if edit.kind == "callee":
        what = [f"let {edit.name}(…)(…) be called, where it calls …(…)"]
    elif edit.given:
        what = [f"let {edit.name} be {edit.text}, where it is given"]
    elif edit.kind == "keyword":
        what = [f"add the argument {edit.name}={edit.text}"]
    else:
        what = ["add these lines:", *(f"    {line}" for line in edit.text.splitlines())]
    helper = edit.helper.strip().splitlines()
    more = ["with, before it:", *(f"    {line}".rstrip() for line in helper)] if helper else []
    lines = [*what, *more]
    return [f"{edit.by}: {edit.where}, by hand ({why}):\n" + "\n".join(f"  {x}" for x in lines)]


def _headline(recipe: Recipe, folder: Path, patch: str) -> str:
    how = f"; in {folder}: git apply, or patch -p1" if patch else ""
    return f"Recipe {recipe.id}: {recipe.arm}{how}"


def _started(settings: ScriptSettings, found: Exported) -> list[str]:
    """Return how the script is started, where its arguments are other ones."""
    if settings.arguments == tuple(found.baseline.settings.get("arguments", ())):
        return []
    how = ["-m", settings.module] if settings.module else [settings.script]
    return [f"start it by: python {shlex.join([*how, *settings.arguments])}"]
