"""Build a trained model again from its recipe and its weights, and see that it answers as it did.

A file of weights is not all of a model: buffers with ``persistent=False``, and what stands in
attributes, are those of a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.model.calls import ask
from bench.model.nested import tensors_in
from bench.model.train_mode import evaluating
from bench.model.weights_file import state_of
from bench.recipes import assembly, registry
from bench.recipes.source import given_by
from bench.use.program import close

if TYPE_CHECKING:
    from bench.deployment import Use
    from bench.job import Job
    from bench.records.recipe import Recipe

SAMPLED = 8
"""Items of the data that the model built again has to answer as the trained one does."""
CHANGED = "techniques changed what it is made of"
KEPT_APART = (
    "with its weights alone it answers otherwise: it keeps more, in buffers with persistent=False"
    " or in attributes, or draws random numbers as it answers"
)


def built(recipe: Recipe, places: Mapping[str, str], seed: int) -> Job:
    """Build a recipe's job on the CPU, in this process also where several train together."""
    sources = given_by(recipe.files, places)
    alone = tuple(
        use for use in recipe.techniques
        if registry.make_technique(use.name, use.settings, sources).group_size() == 1
    )  # fmt: skip
    here = recipe.model_copy(update={"techniques": alone})
    return assembly.build(here, places, torch.device("cpu"), seed)


def unlike(use: Use, job: Job, model: nn.Module) -> str | None:
    """Say why what the recipe builds is, with the weights, not the model that was trained.

    None where it is: then it answers items of the data in the same way.
    """
    state = state_of(model)
    if state.left_out:
        return CHANGED
    network = use.network().to(job.device)
    if _differing(network, state.tensors):
        return CHANGED
    _fill(network, state.tensors)
    with torch.no_grad(), evaluating(network), evaluating(model):
        same, asked = ask(network, job.sample(SAMPLED)), ask(model, job.sample(SAMPLED))
    return None if close(tensors_in(same), tensors_in(asked)) else KEPT_APART


def with_weights(network: nn.Module, path: Path) -> nn.Module:
    """Return a network with the weights of a file; raise `BenchError` where they don't fit."""
    tensors = tensors_of(path)
    if wrong := _differing(network, tensors):
        raise BenchError(
            f"the weights in {path.parent} are not those of its recipe's model: {wrong[0]} and"
            f" {len(wrong) - 1} others differ; train again"
        )
    _fill(network, tensors)
    return network


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; raise `BenchError` where it can't be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise BenchError(f"{path} can't be read ({reason}); train again") from error


def _differing(network: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors that a network and a file don't have alike."""
    own = state_of(network).tensors
    return sorted(
        name for name in {*own, *tensors}
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape
    )  # fmt: skip


def _fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    same = state_of(network).same
    network.load_state_dict({**tensors, **{name: tensors[of] for name, of in same.items()}})
