"""Give lazily made layers their shapes, before anything is counted, copied or changed."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bench.errors import BenchError
from bench.job import Job
from bench.model.calls import ask
from bench.model.train_mode import evaluating
from bench.random_state import undisturbed

ITEMS = 2


def with_shapes(job: Job) -> Job:
    """Run a sample through a model with lazy layers, in evaluation mode; random state is kept.

    Raises `BenchError` where that leaves a layer without its shape.
    """
    if not unshaped(job.model):
        return job
    with torch.no_grad(), undisturbed(job.device), evaluating(job.model):
        ask(job.model, job.sample(ITEMS))
    if left := unshaped(job.model):
        raise BenchError(
            f"the model's lazy layer {left[0]} has no shape yet, and model(*sample({ITEMS})) gives "
            "it none: run the model once before it is given to the job"
        )
    return job


def unshaped(model: nn.Module) -> list[str]:
    """Return the names of the modules whose parameters or buffers have no shape yet."""
    return [
        name or "(the model itself)"
        for name, module in model.named_modules()
        if any(map(is_lazy, [*module.parameters(recurse=False), *module.buffers(recurse=False)]))
    ]
