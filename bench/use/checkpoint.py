"""Write a checkpoint that tells all it takes to use it, and load one.

Weights are safetensors, and what is said of them JSON: neither can run anything. A model is built
as its recipe says; a recipe's own code, and an exported program (whose reader evaluates texts of
the file), are run only where the user has named them: wrote them here, or says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from bench import __version__
from bench.data.layout import dim_of_items
from bench.deployment import Deployment, Use
from bench.errors import BenchError, NotApplicable, reason_of
from bench.model.calls import arguments
from bench.model.nested import tensors_in
from bench.recipes import assembly, registry, resolve, trust
from bench.recipes.source import Source, given_by
from bench.records.checkpoint import (
    FITTED,
    NAME,
    PROGRAM,
    WEIGHTS,
    Checkpoint,
    Inputs,
    read_checkpoint,
    sealed,
)
from bench.records.files import appearing, write_text
from bench.use.made_up import can_make_up, inputs_of, made_up
from bench.use.plain import Plain, facts_of
from bench.use.program import exported, read_program, save
from bench.use.rebuilt import SAMPLED, built, tensors_of, unlike, with_weights

if TYPE_CHECKING:
    from bench.baseline import Baseline
    from bench.job import Job
    from bench.records.recipe import Recipe
    from bench.trial.training import Trained


MISFITS = (KeyError, ValueError, TypeError, IndexError, RuntimeError, AttributeError)
"""What is raised where a checkpoint was edited, so that its parts don't belong together."""


@dataclass(frozen=True)
class Loaded:
    """A trained model, ready for use."""

    folder: Path
    record: Checkpoint
    model: nn.Module
    """Makes scores of rows ``(K, ...)``; in evaluation mode, without gradients."""
    use: Use
    device: torch.device


def write(
    folder: Path, recipe: Recipe, places: Mapping[str, str], seed: int, job: Job, result: Trained
) -> Checkpoint:
    """Write what is needed beside ``model.safetensors``, which is there, and return the record."""
    baseline = assembly.baseline_of(recipe, places)
    plain = Deployment(facts=facts_of(job))
    deployed = job.deployment(result.model) if job.deployment else plain
    inputs = _inputs(job)
    _clear(folder)
    _copy_code(folder, recipe, places)
    if deployed.tensors:
        _save_fitted(folder / FITTED, deployed.tensors)
    use = _use(baseline, recipe, places, deployed, inputs, seed)
    form, why = _form(folder, use, job, result.model, inputs)
    names = [name for name in (WEIGHTS, FITTED, PROGRAM) if (folder / name).is_file()]
    record = Checkpoint(
        version=__version__, recipe_id=recipe.id, recipe=recipe, seed=seed,
        epochs=result.progress.epoch, metric_name=_metric(baseline, recipe),
        metrics=result.evaluations[-1].values, data=job.data, unit=baseline.unit, inputs=inputs,
        labels=deployed.labels, facts=dict(deployed.facts), form=form, why_not=why,
        files={name: _digest(folder / name) for name in names},
    )  # fmt: skip
    write_text(folder / NAME, sealed(record).model_dump_json(indent=1) + "\n")
    trust.remember(_code(folder, record))
    return record


def load(
    folder: Path, device: torch.device, trusted: bool = False,
    note: Callable[[str], None] = lambda text: None, data_dir: Path | None = None,
) -> Loaded:  # fmt: skip
    """Return the model of a checkpoint; raise `BenchError` for one that is damaged or foreign.

    Code that comes with it is run where the user has named it before, or vouches for it: `trusted`.
    `data_dir` is where its data set lies on this machine, for examples.
    """
    record = read_checkpoint(folder)
    _check_files(folder, record)
    trust.check(_code(folder, record), folder, trusted, note)
    if record.form is None:
        raise BenchError(f"the model in {folder} can't be loaded: {record.why_not}")
    if record.inputs is None:
        raise BenchError(f"the model in {folder} takes another input than one tensor with its items"
                         " along the first dimension; such a one can be trained, and not be used by"
                         " this command")  # fmt: skip
    moved = {"data_dir": str(data_dir)} if data_dir else {}
    recipe = record.recipe.model_copy(update={"settings": record.recipe.settings | moved})
    try:
        model, use = _made(folder, record, recipe, device)
        _rehearse(model, use, record.inputs, device)
    except MISFITS as error:
        raise BenchError(f"{folder / NAME} doesn't fit the model that it describes"
                         f" ({reason_of(error, 120)}); train again") from error  # fmt: skip
    return Loaded(folder, record, model, use, device)


def _made(
    folder: Path, record: Checkpoint, recipe: Recipe, device: torch.device
) -> tuple[nn.Module, Use]:
    places = _places(folder, recipe)
    fitted = tensors_of(folder / FITTED) if FITTED in record.files else {}
    deployed = Deployment(record.labels, record.facts, fitted)
    baseline = assembly.baseline_of(recipe, places)
    use = _use(baseline, recipe, places, deployed, record.inputs, record.seed)
    if record.form == "program":
        return use.whole(read_program(folder / PROGRAM, device)).to(device), use
    network = with_weights(use.network(), folder / WEIGHTS).to(device)
    network.eval()
    for weight in network.parameters():
        weight.requires_grad_(False)  # one by one: a scripted module has no such method
    return use.whole(network).to(device), use


def _rehearse(model: nn.Module, use: Use, inputs: Inputs, device: torch.device) -> None:
    """Have one made-up row answered: what is said of the labels and their scores has to fit."""
    if can_make_up(inputs):
        with torch.no_grad():
            use.answer(model(made_up(inputs, 1).to(device)).cpu())


def _use(
    baseline: Baseline, recipe: Recipe, places: Mapping[str, str], deployed: Deployment,
    inputs: Inputs | None, seed: int,
) -> Use:  # fmt: skip
    """Return how a baseline says that its model is used, else what can be known without it."""
    make = getattr(baseline, "use", None)
    if make is None:
        return Plain(lambda: built(recipe, places, seed), inputs, deployed.facts)
    made: Use = make(registry.make_settings(baseline, recipe.settings), deployed)
    return made


def _metric(baseline: Baseline, recipe: Recipe) -> str:
    settings = registry.make_settings(baseline, recipe.settings)
    return resolve.target_of(baseline, settings).metric


def _clear(folder: Path) -> None:
    """Take away what an earlier training left that this one may not write."""
    for name in (NAME, FITTED, PROGRAM):
        (folder / name).unlink(missing_ok=True)


def _form(
    folder: Path, use: Use, job: Job, model: nn.Module, inputs: Inputs | None
) -> tuple[Literal["recipe", "program"] | None, str | None]:
    """Return in which form the model can be loaded again; else None and why not."""
    if (changed := unlike(use, job, model)) is None:
        return "recipe", None
    if inputs is None:
        return None, f"{changed}, and it takes more than one tensor"
    answering = use.whole(model) if isinstance(use, Plain) else model
    try:
        program = exported(answering, inputs, job.device)
    except NotApplicable as reason:
        return None, f"{changed}, and {reason}"
    with appearing(folder / PROGRAM) as temporary:
        save(program, temporary)
    return "program", None


def _inputs(job: Job) -> Inputs | None:
    args, named = arguments(job.sample(1))
    if named or len(args) != 1 or not isinstance(args[0], Tensor) or dim_of_items(job):
        return None
    return inputs_of(tensors_in(job.sample(SAMPLED))[0])


def _copy_code(folder: Path, recipe: Recipe, places: Mapping[str, str]) -> None:
    for name, source in given_by(recipe.files, places).items():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read())


def _save_fitted(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    with appearing(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, str(temporary))


def _check_files(folder: Path, record: Checkpoint) -> None:
    """Raise `BenchError` where a file of a checkpoint is missing, or is not what was written."""
    for name, digest in record.files.items():
        if name not in (WEIGHTS, FITTED, PROGRAM):
            raise BenchError(f"{folder / NAME} names the file {name}, which no checkpoint has")
        if not (folder / name).is_file():
            raise BenchError(f"{folder / name} is missing; copy the whole checkpoint")
        if _digest(folder / name) != digest:
            raise BenchError(f"{folder / name} is not what was written: it is damaged, or of"
                             " another training; copy the whole checkpoint again")  # fmt: skip
    if WEIGHTS not in record.files or (record.form == "program" and PROGRAM not in record.files):
        raise BenchError(f"{folder / NAME} names no weights; train again")


def _code(folder: Path, record: Checkpoint) -> dict[str, Source]:
    """Return what of a checkpoint is code: the recipe's own files, and a program."""
    code = given_by(record.recipe.files, _places(folder, record.recipe))
    if record.form == "program":
        code[PROGRAM] = Source(folder / PROGRAM, record.files[PROGRAM])
    return code


def _places(folder: Path, recipe: Recipe) -> dict[str, str]:
    return {name: str(folder / name) for name in recipe.files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
