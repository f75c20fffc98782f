"""`bench federate`: train a recipe on data that is shared out, and exchange weights alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import say, tell
from bench.cli.parse import threads_of
from bench.cli.train import made
from bench.errors import BenchError
from bench.records.checkpoint import NAME, WEIGHTS, read_checkpoint
from bench.records.claim import read_exported
from bench.records.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from bench.job import Job
    from bench.use.flower import Round

EXTRA = (
    'federated training needs flwr: pip install "trainpairs[federated]", then pip install '
    "--no-deps flwr==1.42.0, whose own pins want an older typer"
)
ROW = "{:>5}  {:>8}  {:>7}  {:>{width}}  {:>11}  {}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be trained, and how it is shared out."""

    source: Path
    """A recipe's file, or a checkpoint's folder."""
    clients: int
    rounds: int
    epochs: int
    seed: int
    data_dir: Path | None
    device: str
    threads: int | None
    output: Path
    trust: bool


def federate(asked: Asked) -> None:
    """Print a line a round, beside training on all the data at once; write a checkpoint."""
    threads_of(asked.threads)
    try:
        from bench.use.flower import simulated
    except ImportError as error:
        raise BenchError(f"{EXTRA} ({error.name} is missing)") from None
    from bench.use.federated import Plan, central, check_job, dealt, local, sizes

    recipe, places, weights = _read(asked)
    plan = Plan(asked.rounds, asked.epochs, asked.seed)
    server = _job(recipe, places, asked, weights)
    items = check_job(server)
    rows = dealt(items.count, items.groups, asked.clients, asked.seed)
    clients = [
        local(_job(recipe, places, asked, weights), own, asked.seed + number)
        for number, own in enumerate(rows)
    ]
    of = "" if items.groups is None else f", {len(set(items.groups.tolist()))} groups kept together"
    tell(f"{recipe.arm} of {recipe.baseline} (recipe {recipe.id}): {items.count} items{of},"
         f" shared out as {sizes(rows)}")  # fmt: skip
    metric = _metric(recipe, places)
    whole = central(_job(recipe, places, asked, weights), plan)
    together = [evaluation.values.get(metric) for evaluation in whole]
    heads = ("round", "averaged", "loss", metric, "all at once", "not averaged")
    tell(ROW.format(*heads, width=len(metric)))
    told: list[Round] = []

    def tell_round(found: Round) -> None:
        told.append(found)
        tell(_line(found, metric, together))

    with made(asked.output):
        server.model.load_state_dict(dict(simulated(server, clients, plan, tell_round)))
        _keep(asked, recipe, places, server, told[-1])
    tell(f"wrote {asked.output / WEIGHTS} and {NAME}")


def _keep(
    asked: Asked, recipe: Recipe, places: Mapping[str, str], server: Job, last: Round
) -> None:
    """Write a checkpoint of the averaged weights."""
    from bench.job import Progress
    from bench.model import weights_file
    from bench.records.measurement import Evaluation
    from bench.trial.scheduling import Rates
    from bench.trial.training import Trained
    from bench.use import checkpoint

    epochs = asked.rounds * asked.epochs
    model = server.snapshot(server.model)
    values = {name: value for name, value in last.metrics.items() if math.isfinite(value)}
    found = Evaluation(epoch=epochs, step=0, train_seconds=0.0, values=values)  # its values alone
    result = Trained(Progress(epochs, epoch=epochs), model, Rates(None, False), evaluations=[found])
    weights_file.write(model, asked.output / WEIGHTS)
    kept = checkpoint.write(asked.output, recipe, places, asked.seed, server, result)
    if kept.form is None:
        say(f"the checkpoint can't be loaded for use: {kept.why_not}")


def _line(found: Round, metric: str, together: list[float | None]) -> str:
    """Return a round's line of the table."""
    whole = together[found.number - 1] if found.number <= len(together) else None
    why = "; ".join(f"client {client}: {reason}" for client, reason in found.left_out.items())
    averaged = ",".join(map(str, found.averaged)) or "none"
    numbers = (found.loss, found.metrics.get(metric), whole)
    row = ROW.format(found.number, averaged, *map(_shown, numbers), why, width=len(metric))
    return row.rstrip()


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def _read(asked: Asked) -> tuple[Recipe, Mapping[str, str], Path | None]:
    """Return the recipe, where its code lies, and the weights that a training begins with."""
    from bench.recipes import trust
    from bench.recipes.source import given_by

    path = asked.source
    folder = path if path.is_dir() else path.resolve().parent
    if path.is_dir():
        record = read_checkpoint(path)
        if record.form != "recipe":
            raise BenchError(f"{path / NAME} is of a model that its recipe doesn't build: federate"
                             " the recipe")  # fmt: skip
        recipe, weights = record.recipe, path / WEIGHTS
    else:
        recipe, weights = read_exported(path).recipe, None
    values = {"data_dir": str(asked.data_dir)} if asked.data_dir else {}
    recipe = recipe.model_copy(update={"settings": recipe.settings | values})
    places = {name: str(folder / name) for name in recipe.files}
    code = given_by(recipe.files, places)
    if weights:
        trust.check(code, path, asked.trust, say)
    elif code:
        say(f"running {trust.described(code.values())}")
    return recipe, places, weights


def _job(recipe: Recipe, places: Mapping[str, str], asked: Asked, weights: Path | None) -> Job:
    import torch

    from bench.machine.device import choose_device
    from bench.recipes import assembly, registry, resolve
    from bench.use.rebuilt import with_weights

    baseline = assembly.baseline_of(recipe, places)
    settings = registry.make_settings(baseline, recipe.settings)
    torch.set_num_threads(resolve.threads_of(baseline, settings, asked.threads))
    device: torch.device = torch.device(choose_device(asked.device))
    job = assembly.build(recipe, places, device, asked.seed)
    if weights:
        with_weights(job.model, weights)
    return job


def _metric(recipe: Recipe, places: Mapping[str, str]) -> str:
    from bench.recipes import assembly, registry
    from bench.recipes.resolve import target_of

    baseline = assembly.baseline_of(recipe, places)
    return target_of(baseline, registry.make_settings(baseline, recipe.settings)).metric
