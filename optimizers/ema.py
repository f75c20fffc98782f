"""EMA: deploy an exponential moving average of the weights instead of the last ones.

What:    after every update each weight's average moves towards it by 1 - decay (faster at first,
         so that the start is forgotten); the averaged weights are what is validated, evaluated and
         deployed. Buffers, such as batch norm's statistics, are the current ones. Averages of
         16-bit weights are kept in 32 bits, where their small moves aren't rounded away.
Helps:   quality, and with it time to target: noise of the last steps averages out.
Hurts:   memory by one copy of the weights, and a little time every step. Short trainings, where
         the average lags behind. Baselines that average their weights already are refused.
Effect:  learning.
Source:  Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992;
         Tarvainen and Valpola, Mean Teachers Are Better Role Models, NeurIPS 2017; the warm-up of
         the decay is TensorFlow's, min(decay, (1 + n) / (10 + n)).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import NotApplicable
from bench.job import Job, deploys_what_it_trains
from bench.model.copies import copied
from bench.model.halves import HALVES, widened
from bench.model.inner_optimizers import groups_of
from bench.records.plain_loop import PlainLoop
from bench.technique import Effect, Parts, Stage, Technique

FIRST = """
weights = [p for group in optimizer.param_groups for p in group["params"]]
means, updates = None, 0
"""
WRITTEN = """
updates += 1
if means is None:
    means = [weight.detach().clone() for weight in weights]
with torch.no_grad():
    kept = min({decay}, (1 + updates) / (10 + updates))
    torch._foreach_lerp_(means, weights, 1 - kept)
"""
DEPLOYED = """
made, mean_of = copy.deepcopy(model), {id(w): mean for w, mean in zip(weights, means)}
with torch.no_grad():
    for theirs, ours in zip(made.parameters(), model.parameters()):
        if id(ours) in mean_of:
            theirs.copy_(mean_of[id(ours)])
return made
"""
Update = Callable[[Optimizer], None]
Snapshot = Callable[[nn.Module], nn.Module]


class Ema(Technique):
    """Average the weights over the steps."""

    name: ClassVar[str] = "ema"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING
    touches: ClassVar[Parts | None] = Parts()

    decay: float = Field(
        0.999, gt=0, lt=1, description="share of the average that is kept at a step, in the end"
    )

    def apply(self, job: Job) -> Job:
        """Wrap `update`, claim `snapshot`, having seen that the model can be copied."""
        if not deploys_what_it_trains(job):
            raise NotApplicable(
                "the baseline deploys other weights than it trains: it averages them already"
            )
        if job.losses:
            raise NotApplicable(
                f"the baseline's optimizers take turns: {', '.join(job.losses)}; averages follow "
                "one that trains all weights"
            )
        copied(job.model)
        average = _Average(self.decay)
        job = job.wrap("update", average.update, by=self.name)
        return job.claim("snapshot", average.snapshot, by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Average after each update, and deploy a copy with the averages."""
        if any(weight.dtype in HALVES for weight in job.model.parameters()):
            raise NotApplicable(
                "averages of 16-bit weights, which are kept in 32 bits, are not written out: bench "
                "train trains with them"
            )
        loop.add("optimizer", FIRST, by=self.name)
        loop.add("updated", WRITTEN.format(decay=self.decay), by=self.name)
        loop.add("deployed", DEPLOYED, by=self.name)


class _Average:
    """The averages of what an optimizer trains, in one foreach call a step."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._weights: list[Tensor] = []
        self._means: list[Tensor] = []
        self._updates = 0

    def update(self, old: Update) -> Update:
        def update(optimizer: Optimizer) -> None:
            old(optimizer)
            self._follow([p for group in groups_of(optimizer) for p in group["params"]])
            self._updates += 1
            kept = min(self._decay, (1 + self._updates) / (10 + self._updates))
            with torch.no_grad():
                torch._foreach_lerp_(self._means, [*map(widened, self._weights)], 1 - kept)

        return update

    def _follow(self, weights: list[Tensor]) -> None:
        """Start anew where the optimizer has other weights than before (pruned ones, say)."""
        if [id(w) for w in weights] != [id(w) for w in self._weights]:
            self._weights = weights
            self._means = [widened(w.detach().clone()) for w in weights]
            self._updates = 0

    def snapshot(self, model: nn.Module) -> nn.Module:
        """Return a copy of the model with the averages for weights."""
        means = {id(w): mean for w, mean in zip(self._weights, self._means, strict=True)}
        made = copied(model)
        with torch.no_grad():
            for theirs, ours in zip(made.parameters(), model.parameters(), strict=True):
                if id(ours) in means:
                    theirs.copy_(means[id(ours)])
        return made
