"""Run a script in a trial's process, and say what its training took and gave."""

from __future__ import annotations

import contextlib
import math
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import bench
from bench.errors import BenchError, Diverged, NotApplicable, reason_of, shown
from bench.interception.ending import own_streams, print_error
from bench.interception.events import LossRecorder, Recorder
from bench.interception.output import Reported
from bench.interception.patches import Patches
from bench.interception.program import Ending, Program, watched
from bench.interception.read_once import ReadOnce
from bench.interception.reading import read_by
from bench.interception.script import REHEARSED_STEPS, Limit, Script
from bench.machine.memory import is_out_of_memory
from bench.machine.variables import as_the_user_had
from bench.random_state import seed_everything
from bench.recipes import own_packages
from bench.recipes.assembly import techniques_of
from bench.recipes.combination import SAME_WORK, effect_of
from bench.recipes.references import FilePaths
from bench.recipes.script import (
    LEAST_SECONDS,
    LEAST_STEPS,
    MOST_STEPS,
    ScriptSettings,
    check_code,
    script_name,
)
from bench.recipes.source import given_by
from bench.records.failures import LOG
from bench.records.measurement import Advice
from bench.records.recipe import Recipe
from bench.technique import Technique
from bench.trial.failure import ScriptFailed
from bench.trial.rehearsal import attributed
from bench.trial.script_flops import Counting
from bench.trial.script_metric import Reading
from bench.trial.script_place import own_place, put_code
from bench.trial.script_timeline import Course, Learnt, course_of, learnt
from bench.trial.spec import TrialSpec

REHEARSED = Limit(REHEARSED_STEPS, 0.0, REHEARSED_STEPS)
"""Two steps, and one whose FLOPs are counted."""
UNLIKELY = 7_340_033
"""Added to the seed of a rehearsal: no script gives this one to itself."""


@dataclass(frozen=True)
class ScriptRun:
    """A script that was run, and what was seen of it."""

    script: Script
    course: Course
    metric: float | None
    flops: Advice | None = None


def run_script(
    trial: TrialSpec, techniques: Sequence[Technique], on_trained: Callable[[], None],
    look: Callable[[Script, Path], None] = lambda script, folder: None,
) -> ScriptRun:  # fmt: skip
    """Run a trial's script to its end, or for as many steps as its kind asks for.

    It works in a folder of its own, and is seeded as far as `python` would seed it by chance.
    `look` is given the script before it starts, and the folder.
    Raises `BenchError` for what the user must fix, `NotApplicable` for a technique that can't be
    applied to it or had nothing to change, `Diverged` where a loss is not finite.
    """
    settings = ScriptSettings.model_validate(trial.recipe.settings)
    _check_judged(techniques, settings)
    script = Script(
        torch.device(trial.device), Recorder(trial.device == "cuda"), limit=_limit(trial, settings),
        model=settings.model, rehearsed=trial.kind == "build", on_enough=on_trained,
    )  # fmt: skip
    place = own_place(settings, script_name(trial.recipe), Path(trial.scratch) / "folder")
    mirror = place.mirror
    put_code(place, given_by(trial.recipe.files, trial.places))
    look(script, mirror.folder)
    program = _program(settings, place.path, mirror.folder, trial.seed)
    reading = Reading(settings.metric, mirror.folder)
    seed = trial.seed + UNLIKELY if script.rehearsed else trial.seed
    counting = Counting(script) if script.rehearsed else None
    reads = ReadOnce(script) if script.rehearsed and settings.threads is None else None
    ending, reported = _run(script, techniques, settings, program, seed)
    mirror.check()
    if script.rehearsed:
        check_device(script)
        _check_seeds(techniques, settings, torch.initial_seed() != seed)
    if not ending.early:
        on_trained()
    log = Path(trial.scratch) / LOG
    _check_ending(ending, settings, log)
    if reads:
        reads.check(settings.module or settings.script)
    metric = reading.read(reported, log) if trial.kind == "full" else None
    return ScriptRun(script, _course(script), metric, counting.facts() if counting else None)


def train_script(recipe: Recipe, places: FilePaths, device: torch.device, seed: int) -> Learnt:
    """Run a recipe's script for real, in its own working folder, to its end; measure nothing.

    Raises `BenchError` where the script there is not what was measured.
    """
    settings = ScriptSettings.model_validate(recipe.settings)
    techniques = techniques_of(recipe, places)
    folder = Path(settings.data_dir)
    path = Path(os.path.normpath(folder / settings.script))
    check_code(recipe, path)
    recorder = LossRecorder()  # nothing is timed
    script = Script(device, recorder, model=settings.model)
    program = _program(settings, path, folder, seed)
    ending, _ = _run(script, techniques, settings, program, seed)
    _check_ending(ending, settings, None)
    return learnt(recorder)


def _course(script: Script) -> Course:
    course = course_of(list(script.recorder.events()), script.recorder.values())
    for step, loss in enumerate(course.losses, 1):
        if not math.isfinite(loss):
            raise Diverged(f"the loss was {loss} at step {step}")
    return course


def _limit(trial: TrialSpec, settings: ScriptSettings) -> Limit | None:
    if trial.kind == "full":
        return None
    if trial.kind == "build":
        return REHEARSED
    if settings.steps is not None:
        return Limit(settings.steps, 0.0, settings.steps)
    return Limit(trial.least_steps or LEAST_STEPS, LEAST_SECONDS, MOST_STEPS)


def check_device(script: Script) -> None:
    """Raise `BenchError` where a script trains elsewhere than its time and memory are read.

    Losses on a GPU tell where; without any, the weights do: not all of these may be kept aside.
    """
    own = script.device.type
    weights = {p.device for model in script.models for p in model.parameters()}
    weights = {one for one in weights if one.type != "meta"}
    losses = {loss.device for loss in script.recorder.losses if isinstance(loss, torch.Tensor)}
    used = losses or weights
    if used and all(one.type != own for one in used):
        other = min(one.type for one in used)
        given = f", or give --device {other}" if other in ("cpu", "cuda") else ""
        raise BenchError(
            f"the script trains on {other}, and its trials are measured on {own}: let its own "
            f"arguments choose {own}{given}"
        )
    on_gpus = {one.index for one in losses | weights if one.type == "cuda"}
    if own == "cuda" and on_gpus and torch.cuda.current_device() not in on_gpus:
        raise BenchError(
            f"the script trains on cuda:{min(on_gpus)}, and cuda:{torch.cuda.current_device()} is "
            "measured: let it train on that, or call torch.cuda.set_device; CUDA_VISIBLE_DEVICES "
            "chooses another GPU"
        )


def _check_judged(techniques: Sequence[Technique], settings: ScriptSettings) -> None:
    """Refuse what changes the course of training where nothing tells what that costs."""
    if effect_of(techniques) in SAME_WORK:
        return
    if settings.metric is None:
        raise NotApplicable(
            "it changes what is learnt, and the script tells no metric: give --metric "
            "'val_acc=([\\d.]+)', or --metric NAME and bench.report(NAME=...) in the script"
        )


def _check_seeds(techniques: Sequence[Technique], settings: ScriptSettings, own: bool) -> None:
    """Refuse what changes the course of training of a script that has one seed of its own."""
    if effect_of(techniques) not in SAME_WORK and own and settings.seed_argument is None:
        raise NotApplicable(
            "it changes what is learnt, and the script seeds itself, so that quality would be seen "
            "on one seed only: give --seed-argument: --seed, or seed= where it takes seed=0"
        )


def _run(
    script: Script, techniques: Sequence[Technique], settings: ScriptSettings, program: Program,
    seed: int,
) -> tuple[Ending, Reported]:  # fmt: skip
    """Run a program with techniques, and hold these to having changed something.

    Only a rehearsal lays a failure at their door: the script's first steps are known to work
    without them. What fails later may be the script's own fault.
    """
    for technique in techniques:
        technique.intercept(script)
    if settings.loader is not None:
        change = read_by(settings.loader, script)
        script.each_loader(change, f"loader={settings.loader}")
    _find_modules_as_alone(script)
    reported = Reported()
    seed_everything(seed)  # what the script seeds itself, it seeds anew
    try:
        with (
            own_streams(),
            Patches() as patches,
            contextlib.chdir(program.folder),
            torch.compiler.set_stance("force_eager" if script.rehearsed else "default"),
            attributed(techniques if script.rehearsed else (), "the script fails with it"),
        ):
            patches.replace(bench, "report", reported)
            ending = watched(script, program)
    except BenchError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        print_error()
        said = _described(error, program.folder)
        raise (BenchError if script.rehearsed else ScriptFailed)(said) from error
    script.check_acted()
    return ending, reported


def _find_modules_as_alone(script: Script) -> None:
    """Let a script, and what it starts, find modules as they would without a trial around them."""
    script.throughout(own_packages.lent)
    script.throughout(as_the_user_had)


def _program(settings: ScriptSettings, path: Path, folder: Path, seed: int) -> Program:
    name, more = settings.seed_argument, list[str]()
    if name is not None:
        more = [f"{name}{seed}"] if name.endswith("=") else [name, str(seed)]
    return Program(path, settings.module, [*settings.arguments, *more], folder)


def _described(error: Exception, folder: Path) -> str:
    """Return what an exception says, and where in the script's own files it came from."""
    places = traceback.extract_tb(error.__traceback__)
    own = [place for place in places if Path(place.filename).is_relative_to(folder)]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    if isinstance(error, SyntaxError):
        where = f" ({Path(error.filename or '').name}, line {error.lineno})"
        return f"{error.msg}{where}"
    if isinstance(error, EOFError):
        return f"the script asks for input, and a trial has none to give{where}: give it arguments"
    return f"{reason_of(error)}{where}"


def _check_ending(ending: Ending, settings: ScriptSettings, log: Path | None) -> None:
    """Raise where a script gave nothing to measure."""
    name = settings.module or settings.script
    text = log.read_text(errors="replace") if log and log.is_file() else ""
    lines = text.strip().splitlines()
    said = f": {shown(lines[-1][:200])}" if lines else ""
    bad = ending.code not in (None, 0)
    if not ending.steps and bad:
        raise BenchError(f"{name} ended with {ending.code!r} before its first step{said}")
    if not ending.steps:
        raise BenchError(
            f"{name} ended without a step of an optimizer of torch.optim in its own process: there "
            "is no training to measure (what other processes train is not seen)"
        )
    if bad:
        raise ScriptFailed(f"{name} ended with {ending.code!r}{said}")
