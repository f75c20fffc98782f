"""Ensemble: train the model several times, from other seeds, and average what they say.

What:    after the training the same is done again from other seeds, each with its own weights and
         order of items, and with all other techniques that were applied; the deployed model answers
         with the mean of the members' outputs.
Helps:   quality and calibration; how much single seeds differ tells how much to expect.
Hurts:   training takes as many times longer as there are members, which is counted, and so do
         inference, size and the memory of what is deployed.
Effect:  model.
Source:  Hansen and Salamon, Neural Network Ensembles, 1990; Lakshminarayanan et al., Simple and
         Scalable Predictive Uncertainty Estimation Using Deep Ensembles, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from bench.batches import Outputs
from bench.job import Job
from bench.model.outputs import checked_scores, mean_of
from bench.random_state import undisturbed
from bench.technique import Effect, Parts, Stage, Technique
from bench.trial.training import train

Finish = Callable[[Job, nn.Module], nn.Module]
APART = 10_007
"""Between the seeds of members: a run's pairs take seeds that follow each other."""


class Ensemble(Technique):
    """Deploy the mean of several trainings."""

    name: ClassVar[str] = "ensemble"
    stage: ClassVar[Stage] = Stage.DEPLOY
    effect: ClassVar[Effect] = Effect.MODEL
    touches: ClassVar[Parts | None] = Parts()

    members: int = Field(3, ge=2, le=10, description="trainings, the first one included")

    def apply(self, job: Job) -> Job:
        """Wrap `finish`, where the others are trained."""
        checked_scores(job)
        make, seed = job.sibling, torch.initial_seed()
        assert make is not None, "the assembly gives it to every technique"

        def wrapper(old: Finish) -> Finish:
            def finish(job: Job, model: nn.Module) -> nn.Module:
                members = [old(job, model)]
                with undisturbed(job.device):
                    for number in range(1, self.members):
                        other = replace(make(seed + number * APART), evaluate=_unjudged)
                        members.append(train(replace(other, evaluate_every=0)).model)
                return Members(members)

            return finish

        return job.wrap("finish", wrapper, by=self.name)


def _unjudged(model: nn.Module) -> Mapping[str, float]:
    return {}


class Members(nn.Module):
    """Models that answer together, with the mean."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, *inputs: object, **named: object) -> Outputs:
        """Return the mean of the answers."""
        return mean_of([member(*inputs, **named) for member in self.members])
