"""`bench train`: train with a recipe for real and keep the weights; nothing is measured."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from bench.cli import parse
from bench.cli.output import say
from bench.errors import BenchError, Diverged
from bench.recipes.script import is_script
from bench.recipes.source import given_by
from bench.recipes.trust import described
from bench.records.claim import read_exported
from bench.records.files import write_text
from bench.records.recipe import Recipe

UNFINISHED = "unfinished.pt"
SILENT_SECONDS = 600.0
"""How long processes that train together wait for one: the first writes files meanwhile."""


def train_recipe(
    path: Path,
    data_dir: Path | None,
    device: str,
    threads: int | None,
    seed: int,
    output: Path,
    quiet: bool,
    resume: bool = False,
) -> Iterator[str]:
    """Train the recipe in `path`; write a checkpoint and ``training.json`` to `output`.

    The weights are those of the deployed model (averaged, restored, pruned, as the recipe says).
    Until then ``unfinished.pt`` holds the whole state after each epoch; `resume` goes on from it.
    Raises `BenchError` when the folder can't be written, before training starts, when there is
    nothing to resume, and on divergence; of a script, which goes on then, that is said.
    """
    threads = parse.threads_of(threads)
    exported = read_exported(path)
    values = {"data_dir": str(data_dir)} if data_dir else {}
    recipe = exported.recipe.model_copy(update={"settings": exported.recipe.settings | values})
    folder = path.resolve().parent
    places = {name: str(folder / name) for name in recipe.files}
    if recipe.files:
        say(f"running {described(given_by(recipe.files, places).values())}")
    if is_script(recipe):
        yield from _train_script(recipe, places, device, threads, seed, output, resume)
        return
    with made(output):
        metrics = _trained(recipe, places, device, threads, seed, output, quiet, resume)
    yield f"training {recipe.arm} of {recipe.baseline} (recipe {recipe.id}, seed {seed})"
    yield ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    yield f"wrote {output / 'model.safetensors'}, checkpoint.json and training.json"


def _train_script(
    recipe: Recipe, places: dict[str, str], device: str, threads: int | None, seed: int,
    output: Path, resume: bool,
) -> Iterator[str]:  # fmt: skip
    """Run a script with a recipe in its own working folder; what it saves is where it saves it."""
    import torch

    from bench.machine.device import choose_device
    from bench.recipes.resolve import threads_of
    from bench.recipes.script import ScriptBaseline, ScriptSettings
    from bench.trial.failure import ScriptFailed
    from bench.trial.script import train_script

    if resume:
        raise BenchError("a script goes on by itself, if it can: --resume is for baselines")
    settings = ScriptSettings.model_validate(recipe.settings)
    check_writable(output)
    torch.set_num_threads(threads_of(ScriptBaseline(settings.script), settings, threads))
    try:
        found = train_script(recipe, places, torch.device(choose_device(device)), seed)
    except ScriptFailed as error:
        raise BenchError(f"{settings.script}: {error}") from None
    _keep(recipe, seed, found.losses, output)
    yield f"ran {settings.script} with {recipe.arm} (recipe {recipe.id}) in {settings.data_dir}"
    last = f", the last loss {found.losses[-1]:.4f}" if found.losses else ""
    yield f"{found.steps} steps{last}; wrote {output / 'training.json'}"


def _keep(recipe: Recipe, seed: int, losses: Sequence[float], output: Path) -> None:
    """Write what a script's training gave; say where a loss was not finite, which JSON has not."""
    record = {
        "format": 1, "recipe_id": recipe.id, "recipe": recipe.model_dump(mode="json"),
        "seed": seed, "losses": [one if math.isfinite(one) else None for one in losses],
    }  # fmt: skip
    with made(output):
        write_text(output / "training.json", json.dumps(record, indent=1) + "\n")
    bad = [step for step, loss in enumerate(losses, 1) if not math.isfinite(loss)]
    if bad:
        say(
            f"the loss was {losses[bad[0] - 1]} at step {bad[0]}; {len(bad)} of {len(losses)} "
            "losses are not finite, and null in training.json"
        )


def check_writable(folder: Path) -> None:
    """Raise `BenchError` where a folder can't be made, or written to; make none.

    What trains in the meantime may look for a folder of that name, or make it.
    """
    try:
        there = folder.absolute()
        while not os.path.lexists(there):
            there = there.parent
        TemporaryFile(dir=there).close()
    except OSError as error:
        raise BenchError(f"can't write to {folder}: {error.strerror}") from None


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder that can be written to; take it away where training leaves nothing in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BenchError(f"can't write to {folder}: {error.strerror}") from None
    try:
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def _trained(
    recipe: Recipe, places: dict[str, str], device: str, threads: int | None, seed: int,
    output: Path, quiet: bool, resume: bool,
) -> dict[str, float]:  # fmt: skip
    """Train in this process, or in as many as the recipe asks for; return the last metrics."""
    from bench.launch import torchrun
    from bench.machine.device import choose_device
    from bench.recipes import assembly
    from bench.recipes.combination import group_size

    size = group_size(assembly.techniques_of(recipe, places))
    if size == 1:
        return _train(recipe, places, device, threads, seed, output, quiet, resume)
    chosen = choose_device(device)
    torchrun.check_machine(size, chosen)
    given = recipe, places, chosen, threads, seed, output, quiet, resume
    with TemporaryDirectory() as folder:
        try:
            found = torchrun.together(size, chosen, _train, given, Path(folder), SILENT_SECONDS)
        except torchrun.ProcessEnded as ended:
            raise BenchError(ended.said or f"{ended}, and the training with it") from None
    metrics: dict[str, float] = found[0]
    return metrics


def _train(  # long: imports and all that a checkpoint holds, in the order of time
    recipe: Recipe, places: dict[str, str], device: str, threads: int | None, seed: int,
    output: Path, quiet: bool, resume: bool,
) -> dict[str, float]:  # fmt: skip
    import torch

    from bench.group import of_process
    from bench.job import Progress
    from bench.launch.torchrun import threads_of_each
    from bench.machine.device import choose_device
    from bench.model import weights_file
    from bench.recipes import assembly, registry
    from bench.recipes.resolve import threads_of
    from bench.trial.checkpoint import Checkpointer
    from bench.trial.training import train
    from bench.use import checkpoint

    baseline = assembly.baseline_of(recipe, places)
    settings = registry.make_settings(baseline, recipe.settings)
    group = of_process()
    torch.set_num_threads(threads_of_each(group.size, threads_of(baseline, settings, threads)))
    job = assembly.build(recipe, places, torch.device(choose_device(device)), seed)
    weights_file.check(job.snapshot(job.model) if group.size > 1 else job.model)

    def tell(progress: Progress) -> None:
        loss = progress.epoch_losses[-1]
        say(f"epoch {progress.epoch}/{progress.total_epochs}  loss {loss:.4f}")

    unfinished = output / UNFINISHED
    leads = group.rank == 0
    note = say if leads else lambda text: None
    keeper = Checkpointer(unfinished, recipe, seed, resume, note, leads)
    try:
        result = train(job, on_epoch=tell if leads and not quiet else None, keeper=keeper)
    except Diverged as error:
        raise BenchError(f"training diverged: {error}") from None
    if group.size > 1:
        whole = job.snapshot(job.model)  # all of them gather it, before the first goes on alone
        job = replace(job, snapshot=lambda model: whole)
    if not leads:
        return {}
    for left_out in weights_file.write(result.model, output / "model.safetensors"):
        say(f"not in model.safetensors: {left_out}")
    record = {
        "format": 1,
        "recipe_id": recipe.id,
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "epochs": result.progress.epoch,
        "epoch_losses": result.progress.epoch_losses,
        "losses": result.losses,
        "metrics": [e.model_dump(mode="json") for e in result.evaluations],
    }
    write_text(output / "training.json", json.dumps(record, indent=1) + "\n")
    kept = checkpoint.write(output, recipe, places, seed, job, result)
    if kept.form is None:
        say(f"the checkpoint can't be loaded for use: {kept.why_not}")
    unfinished.unlink(missing_ok=True)
    return result.evaluations[-1].values
