"""Write a recipe of a user's own model as one script of plain PyTorch, which needs no bench."""

from __future__ import annotations

import ast
import pprint
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from textwrap import indent
from typing import TYPE_CHECKING

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from bench import job as parts
from bench.data.loaders import FromLoaders
from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress
from bench.model.lazy import unshaped
from bench.random_state import undisturbed
from bench.recipes import assembly, registry
from bench.recipes.resolve import threads_of
from bench.recipes.source import given_by
from bench.records.plain_loop import Place, PlainLoop
from bench.records.recipe import Recipe, file_in
from bench.use.plain_source import Plain, imported, imports_engine, names_in, plain_source

if TYPE_CHECKING:
    from bench.baseline import Baseline

TEMPLATE = "plain_script.py.jinja"
NOTHING = "§"
"""Stands in a line where nothing is to be."""
IMPORTS = {
    "argparse": "import argparse", "contextlib": "import contextlib", "copy": "import copy",
    "json": "import json", "math": "import math", "pathlib": "import pathlib",
    "random": "import random",
    **dict.fromkeys(("Callable", "Iterable", "Iterator", "Mapping"),
                    "from collections.abc import Callable, Iterable, Iterator, Mapping"),
    **dict.fromkeys(("dataclass", "field"), "from dataclasses import dataclass, field"),
    "SimpleNamespace": "from types import SimpleNamespace", "Any": "from typing import Any\n",
    "np": "import numpy as np", "torch": "import torch",
    **dict.fromkeys(("BaseModel", "ConfigDict"), "from pydantic import BaseModel, ConfigDict"),
    **dict.fromkeys(("tree_map", "tree_map_only"),
                    "from torch.utils._pytree import tree_map, tree_map_only"),
    "checkpoint": "from torch.utils.checkpoint import checkpoint",
    **dict.fromkeys(("BatchSampler", "DataLoader"),
                    "from torch.utils.data import BatchSampler, DataLoader"),
}  # fmt: skip
"""What each name of ours is imported by, in the order of the script."""
DEFAULTS: Mapping[str, object] = {
    "step": parts.plain_step, "backward": parts.plain_backward, "update": parts.plain_update,
    "schedule": parts.no_schedule, "stop": parts.never_stop, "finish": parts.finish_nothing,
    "snapshot": parts.same_model,
}  # fmt: skip


def plain_script(
    recipe: Recipe, places: Mapping[str, str], device: torch.device, threads: int | None, name: str
) -> str:
    """Return the text of a script, to be called `name`, that trains a recipe.

    Raises `NotApplicable` for what can't be written out, and nothing is then.
    """
    baseline = assembly.baseline_of(recipe, places)
    user, beside = _user(recipe, places)
    job, loop = _written(recipe, places, device)
    settings = registry.make_settings(baseline, recipe.settings)
    _check(baseline, settings, job, loop, device)
    made, source_file = recipe.baseline.rpartition(":")[2], str(file_in(recipe.baseline))
    if type(baseline).__name__ == made:
        made = f"{made}()"
    text = _rendered(
        loop=loop, baseline=re.sub(r'["\\]', "", baseline.name), recipe=recipe.id,
        arm=recipe.arm, file=name, made=made, beside=", ".join(beside), source=user.source,
        source_file=source_file, before=_before(user), definitions=loop.definitions,
        settings=pprint.pformat(recipe.settings, sort_dicts=False, width=90),
        threads=threads_of(baseline, settings, threads), device=repr(device.type),
        **_of_job(job, loop),
    )  # fmt: skip
    return _with_imports(text, user, source_file)


def _user(recipe: Recipe, places: Mapping[str, str]) -> tuple[Plain, list[str]]:
    """Return the baseline's own file, and the names of those that it imports from beside it."""
    file = file_in(recipe.baseline)
    if file is None:
        raise NotApplicable(
            f"{recipe.baseline} is a baseline of this package: its data, metrics and weights are"
            " read by parts of bench, so that no script without bench trains it; bench train does"
        )
    sources = given_by(recipe.files, places)
    own = {file_in(use.name) for use in recipe.techniques} - {None}
    if own:
        raise NotApplicable(f"the technique of {min(map(str, own))} is one of your own, and"
                            " knows no lines for a plain script")  # fmt: skip
    beside = [name for name in recipe.files if name != file]
    for name in beside:
        if imports_engine(sources[name].read().decode(), recipe.files):
            raise NotApplicable(f"{name} imports bench too: a plain script has one file that may")
    return plain_source(file, sources[file].read().decode(), recipe.files), beside


def _written(
    recipe: Recipe, places: Mapping[str, str], device: torch.device
) -> tuple[Job, PlainLoop]:
    """Have each technique applied, to see that it can be, and written; return the plain job."""
    assembly.build(recipe, places, device, seed=0)
    job, loop = assembly.build(recipe.plain(), places, device, seed=0), PlainLoop(device.type)
    for technique in assembly.techniques_of(recipe, places):
        with undisturbed(device):
            try:
                technique.write_loop(loop, job)
            except NotApplicable as reason:
                raise NotApplicable(f"{technique.name} can't be written out: {reason}") from None
    return job, loop


def _check(
    baseline: Baseline, settings: object, job: Job, loop: PlainLoop, device: torch.device
) -> None:
    """Raise `NotApplicable` for what the lines of the script would do otherwise."""
    wrong = next(_objections(baseline, settings, job, loop, device), None)
    if wrong is not None:
        raise NotApplicable(f"{wrong}, which stands in no plain script: bench train trains with it")


def _objections(
    baseline: Baseline, settings: object, job: Job, loop: PlainLoop, device: torch.device
) -> Iterator[str]:
    if getattr(settings, "loader", None):
        yield f"loader={getattr(settings, 'loader', None)} reads batches ahead"
    if job.losses:
        yield f"several optimizers take turns ({', '.join(job.losses)})"
    if job.step is not parts.plain_step:
        yield "the job makes its steps by itself"
    if job.update is not parts.plain_update and (
        job.clip is not None or loop.step != "optimizer.step()"
    ):
        yield "the job updates by itself, and gradients are to be clipped or unscaled before it"
    if job.backward is not parts.plain_backward and loop.backward != "loss.backward()":
        yield "the job goes backward by itself, and the loss is to be scaled"
    with undisturbed(device):
        if unshaped(baseline.job(settings, device, 0).model):
            yield "the model's lazy layers get their shapes from a sample"
    if isinstance(baseline, FromLoaders):
        for loader in (baseline.train, baseline.test, baseline.held_out):
            if isinstance(loader, DataLoader) and (
                isinstance(loader.dataset, IterableDataset)
                or type(loader.batch_sampler) is not BatchSampler
            ):
                yield "a loader streams, or has a batch sampler of its own"


def _of_job(job: Job, loop: PlainLoop) -> dict[str, object]:
    """Return which parts of a job the loop has lines for."""
    own = {f"own_{name}" if name == "update" else name: getattr(job, name) is not plain
           for name, plain in DEFAULTS.items()}  # fmt: skip
    progress = "Progress(job.epochs"
    progress += f", epoch_steps={job.epoch_steps})" if job.epoch_steps is not None else ")"
    scheduler, plateau = None, False
    if job.make_scheduler is not None:
        scheduler = job.scheduler_steps
        made = job.make_scheduler(
            job.make_optimizer(job.model), Progress(job.epochs, epoch_steps=job.epoch_steps)
        )
        plateau = isinstance(made, ReduceLROnPlateau)
    snapshot = "return job.snapshot(model)" if own["snapshot"] else "return model"
    return {
        **own, "clip": job.clip, "progress": progress, "scheduler": scheduler, "plateau": plateau,
        "ends": own["stop"] or "over" in loop.at("epoch"),
        "backward": "job.backward(loss)" if own["backward"] else loop.backward,
        "at": _places(loop, {"deployed": snapshot}), "loss": _loss(loop),
    }  # fmt: skip


def _places(loop: PlainLoop, otherwise: Mapping[Place, str]) -> Callable[[Place, int], str]:
    """Return what gives the lines at a place, indented but for the first."""

    def at(place: Place, spaces: int) -> str:
        found = loop.at(place) or otherwise.get(place, NOTHING)
        return indent(found, " " * spaces).strip()

    return at


def _loss(loop: PlainLoop) -> Callable[[str, int], str]:
    """Return what gives the lines that compute the loss of a batch, or of a part of it."""

    def loss(of: str, spaces: int) -> str:
        line = f"loss = job.loss(trained, {of})"
        if loop.around:
            line = f"with {', '.join(loop.around)}:\n    {line}"
        return indent(line, " " * spaces).strip()

    return loss


def _before(user: Plain) -> tuple[str, ...]:
    """Return what stands before the user's file: what the loop itself needs, too."""
    progress = next(iter(plain_source("", "from bench.job import Progress").before))
    return tuple(dict.fromkeys((*user.before, progress)))


def _rendered(**values: object) -> str:
    from jinja2 import Environment, StrictUndefined

    made = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    template = files("bench.use").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return made.from_string(template).render(imports=NOTHING, **values)


def _with_imports(text: str, user: Plain, file: str) -> str:
    """Return the script with the imports of what it names, and no line of nothing.

    Raises `BenchError` where the user's file calls something of its own as the script does.
    """
    lines = [line for line in text.split("\n") if line.strip() != NOTHING]
    ours = _parsed("\n".join(lines).replace(user.source, ""), file)
    defined = {n.name for n in ours.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    read = {*names_in([ours], ast.Load)}
    needed = {name: line for name, line in IMPORTS.items() if name in read}
    imports = "\n".join(dict.fromkeys(needed.values()))
    taken = user.names & {*defined, *needed, "SETTINGS"}
    if both := sorted(taken | _hidden(user, imports, defined, file)):
        raise BenchError(f"{file} has a {both[0]} of its own, and the script another: rename it")
    whole = text.replace(NOTHING, imports, 1)
    whole = "\n".join(line for line in whole.split("\n") if line.strip() != NOTHING)
    return re.sub(r"\n{4,}", "\n\n\n", whole).rstrip() + "\n"


def _hidden(user: Plain, imports: str, defined: set[str], file: str) -> set[str]:
    """Return what the user's imports, which come after ours, put in the place of ours.

    A name that is imported from some module may be the same one of another.
    """
    ours, theirs = imported(_parsed(imports, file)), imported(_parsed(user.source, file))
    modules = {name: what for name, what in ours.items() if "." not in what}
    return {n for n, what in theirs.items() if n in defined or modules.get(n, what) != what}


def _parsed(text: str, file: str) -> ast.Module:
    return ast.parse(text, file)
