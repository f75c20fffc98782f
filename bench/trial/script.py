"""Run a script in a trial's process, and say what its training took and gave."""

from __future__ import annotations

import contextlib
import math
import os
import random
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import bench
from bench.errors import BenchError, Diverged, NotApplicable, reason_of, shown
from bench.interception.events import Recorder
from bench.interception.folder import Mirror, mirrored
from bench.interception.loading import read_by
from bench.interception.output import Reported, found_in
from bench.interception.patches import Patches
from bench.interception.program import Ending, Program, watched
from bench.interception.script import Limit, Script
from bench.machine.memory import is_out_of_memory
from bench.model.weights_file import file_bytes
from bench.recipes.combination import SAME_WORK, effect_of
from bench.recipes.script import LEAST_STEPS, MOST_STEPS, ScriptSettings
from bench.recipes.source import given_by
from bench.records.measurement import Advice, Evaluation, Parameters, Training
from bench.technique import Technique
from bench.trial.facts import advised, timed
from bench.trial.rehearsal import attributed
from bench.trial.script_timeline import Course, course_of
from bench.trial.spec import TrialSpec

LOG = "trial.log"
REHEARSED = Limit(2, 0.0, 2)
LEAST_SECONDS = 3.0
"""How long a trial that only steps goes on at least."""


class ScriptFailed(Exception):  # noqa: N818 - what became of a trial
    """The script's own code raised, or ended with another code than 0."""


@dataclass(frozen=True)
class ScriptRun:
    """A script that was run, and what was seen of it."""

    script: Script
    course: Course
    metric: float | None


def run_script(
    trial: TrialSpec, techniques: Sequence[Technique], on_trained: Callable[[], None]
) -> ScriptRun:
    """Run a trial's script to its end, or for as many steps as its kind asks for.

    Raises `BenchError` for what the user must fix, `NotApplicable` for a technique that can't be
    applied to it or had nothing to change, `Diverged` where a loss is not finite.
    """
    settings = ScriptSettings.model_validate(trial.recipe.settings)
    _check_judged(techniques, settings)
    script = Script(
        torch.device(trial.device), Recorder(trial.device == "cuda"), limit=_limit(trial, settings),
        model=settings.model, rehearsed=trial.kind == "build", on_enough=on_trained,
    )  # fmt: skip
    for technique in techniques:
        technique.intercept(script)
    if settings.loader is not None:
        change = read_by(settings.loader, script.rehearsed)
        script.each_loader(change, f"loader={settings.loader}")
    ending, reported = _watched(trial, techniques, settings, script)
    script.check_acted()
    _check_ending(ending, settings, Path(trial.scratch) / LOG)
    if not ending.early:
        on_trained()
    course = course_of(list(script.recorder.events()), script.recorder.values())
    _check_losses(course)
    return ScriptRun(script, course, _metric(trial, settings, reported))


def _limit(trial: TrialSpec, settings: ScriptSettings) -> Limit | None:
    if trial.kind == "full":
        return None
    if trial.kind == "build":
        return REHEARSED
    if settings.steps is not None:
        return Limit(settings.steps, 0.0, settings.steps)
    return Limit(LEAST_STEPS, LEAST_SECONDS, MOST_STEPS)


def _check_judged(techniques: Sequence[Technique], settings: ScriptSettings) -> None:
    """Refuse what changes the course of training where nothing tells what that costs."""
    if effect_of(techniques) in SAME_WORK:
        return
    if settings.metric is None:
        raise NotApplicable(
            "it changes what is learnt, and the script tells no metric: give --metric "
            "'val_acc=([\\d.]+)', or --metric NAME and bench.report(NAME=...) in the script"
        )
    if settings.seed_argument is None:
        raise NotApplicable(
            "it changes what is learnt, and quality would be seen on one seed only: give "
            "--seed-argument, such as --seed-argument=--seed"
        )


def _watched(
    trial: TrialSpec, techniques: Sequence[Technique], settings: ScriptSettings, script: Script
) -> tuple[Ending, Reported]:
    """Run the script in a folder of its own, seeded as far as `python` would seed it by chance."""
    mirror, reported = mirrored(Path(settings.data_dir), Path(trial.scratch) / "folder"), Reported()
    program = _program(trial, settings, mirror)
    random.seed(trial.seed)
    np.random.seed(trial.seed % 2**32)
    try:
        with (
            Patches() as patches,
            contextlib.chdir(mirror.folder),
            torch.compiler.set_stance("force_eager" if script.rehearsed else "default"),
            attributed(techniques, "the script fails with it"),
        ):
            patches.replace(bench, "report", reported)
            ending = watched(script, program, settings.loader)
    except BenchError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        traceback.print_exc()
        said = _described(error, mirror.folder)
        raise (BenchError if script.rehearsed else ScriptFailed)(said) from error
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    mirror.check()
    return ending, reported


def _program(trial: TrialSpec, settings: ScriptSettings, mirror: Mirror) -> Program:
    """Put the recipe's own code into the mirror, and return what is to be run there."""
    path = Path(os.path.normpath(mirror.folder / settings.script))
    for name, source in given_by(trial.recipe.files, trial.places).items():
        place = path.parent / name
        content = source.read()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(content)
    seed = [] if settings.seed_argument is None else [settings.seed_argument, str(trial.seed)]
    return Program(path, settings.module, [*settings.arguments, *seed], mirror.folder)


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


def _check_ending(ending: Ending, settings: ScriptSettings, log: Path) -> None:
    """Raise where a script gave nothing to measure."""
    name = settings.module or settings.script
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    said = f": {shown(lines[-1][:200])}" if lines else ""
    bad = ending.code not in (None, 0)
    if not ending.steps and bad:
        raise BenchError(f"{name} ended with {ending.code!r} before its first step{said}")
    if not ending.steps:
        raise BenchError(
            f"{name} ended without a step of an optimizer of torch.optim: there is no training to "
            "measure"
        )
    if bad:
        raise ScriptFailed(f"{name} ended with {ending.code!r}{said}")


def _check_losses(course: Course) -> None:
    for step, loss in enumerate(course.losses, 1):
        if not math.isfinite(loss):
            raise Diverged(f"the loss was {loss} at step {step}")


def _metric(trial: TrialSpec, settings: ScriptSettings, reported: Reported) -> float | None:
    """Return the metric of a whole training."""
    if settings.metric is None or trial.kind != "full":
        return None
    if settings.metric.isidentifier():
        if settings.metric in reported.values:
            return reported.values[settings.metric]
        known = ", ".join(reported.values) or "nothing"
        raise BenchError(
            f"the script reported {known}, not {settings.metric}: call "
            f"bench.report({settings.metric}=...), or give --metric a pattern over its output"
        )
    return found_in(Path(trial.scratch) / LOG, settings.metric)


def training_of(run: ScriptRun, trial: TrialSpec) -> Training:
    """Return what a script's training took and gave."""
    course, line = run.course, run.course.timeline
    if run.metric is not None and not math.isfinite(run.metric):
        raise Diverged(f"the metric is {run.metric} after training")
    told = {} if run.metric is None else {trial.metric: run.metric}
    at_end = Evaluation(
        epoch=0, step=len(line.steps), train_seconds=line.seconds, values=told
    )  # fmt: skip
    found = timed(line)
    away = {"evaluate": course.evaluate_seconds} if course.evaluate_seconds else {}
    return found.model_copy(
        update={
            "metric": run.metric,
            "metrics": (at_end,) if told else (),
            "losses": tuple(course.losses),
            "train_seconds": line.seconds,
            "phase_seconds": {**found.phase_seconds, **away},
        }
    )


def advice_of(run: ScriptRun, scratch: Path) -> Advice:
    """Return what is known of the trained models, beside what is judged."""
    models = run.script.models
    weights = {id(p): p for model in models for p in model.parameters()}.values()
    known = Advice(
        parameters=Parameters(
            trainable=sum(p.numel() for p in weights if p.requires_grad),
            frozen=sum(p.numel() for p in weights if not p.requires_grad),
            buffers=sum(b.numel() for model in models for b in model.buffers()),
        )
    )
    if len(models) != 1:
        why = f"the script trains {len(models)} modules that it calls by themselves"
        return known.model_copy(update={"unknown": {"model_bytes": why}})
    return advised(known, "model_bytes", lambda: Advice(model_bytes=file_bytes(models[0], scratch)))
