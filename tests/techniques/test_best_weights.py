"""A baseline that deploys the weights that validated best, with techniques that deploy others."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.job import Job
from bench.model.best_weights import BestWeights
from bench.trial.training import train
from optimizers.compile import Compile
from optimizers.ema import Ema
from tests.jobs import linear_job

RANKS = (2.0, 1.0, 3.0)
"""The second epoch of three is the best."""


def deploying_the_best() -> tuple[Job, list[nn.Module]]:
    """Return a job and the models that it validates, copied as they were."""
    seen: list[nn.Module] = []

    def validate(model: nn.Module) -> float:
        seen.append(copy.deepcopy(model))
        return RANKS[len(seen) - 1]

    best = BestWeights()
    return linear_job(stop=best.look, finish=best.restore, validate=validate), seen


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_weights_that_validated_best_are_deployed() -> None:
    job, seen = deploying_the_best()
    deployed = train(job).model
    assert torch.equal(weights(deployed), weights(seen[1]))
    assert not torch.equal(weights(deployed), weights(seen[2]))


def test_with_averages_the_best_average_is_deployed() -> None:
    job, seen = deploying_the_best()
    plain, raw = deploying_the_best()
    train(plain)
    deployed = train(Ema().apply(job)).model
    assert torch.equal(weights(deployed), weights(seen[1]))
    assert not torch.equal(weights(seen[1]), weights(raw[1]))


def test_a_compiled_model_is_deployed_with_its_best_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_ = torch.compile

    def eager(model: nn.Module, **settings: Any) -> Any:
        return compile_(model, backend="eager")

    monkeypatch.setattr(torch, "compile", eager)
    torch.compiler.reset()
    job, seen = deploying_the_best()
    deployed = train(Compile().apply(job)).model
    assert torch.equal(weights(deployed), weights(seen[1]))
    assert not torch.equal(weights(deployed), weights(seen[2]))
