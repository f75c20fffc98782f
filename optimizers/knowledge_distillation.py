"""Knowledge distillation: train a teacher first, and let the model learn from its answers too.

What:    the teacher is the same baseline in other settings (or an exported recipe). It is trained
         at the start of every trial, so what it costs is part of the training's time and memory.
         The loss is then mixed with a comparison of both: of the softened probabilities of each
         head or label (logits), or of which items look alike to what the last linear layer sees.
Helps:   a small student, which learns more from a larger teacher than from labels alone.
Hurts:   training time: that of the teacher, and its forward pass in every step.
Effect:  learning.
Source:  Hinton et al., Distilling the Knowledge in a Neural Network, 2015; Tung and Mori,
         Similarity-Preserving Knowledge Distillation, ICCV 2019, for features.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Progress, Schedule
from bench.model.calls import ask
from bench.model.compiled import is_compiled
from bench.model.hooks import UNHEARD, Calls, listening
from bench.model.nested import rows_in, scores_in
from bench.model.outputs import check_classes, objection
from bench.model.train_mode import evaluating
from bench.model.untouched import untouched
from bench.random_state import undisturbed
from bench.recipes.assembly import build
from bench.records.claim import read_exported
from bench.targets import Targets
from bench.technique import Effect, Probe, SettingsT, Stage, Technique
from bench.trial.training import train

Loss = Callable[[nn.Module, Batch], Tensor]


class KnowledgeDistillation(Technique):
    """Mix the loss with a comparison to a teacher."""

    name: ClassVar[str] = "knowledge-distillation"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING

    teacher: dict[str, Any] = Field(
        {}, description='the baseline\'s settings for the teacher, as {"hidden": 512}'
    )
    teacher_recipe: Path | None = Field(
        None, description="an exported recipe to train as the teacher, in place of settings"
    )
    student: dict[str, Any] = Field(
        {}, description="the baseline's settings for the model itself, where they change"
    )
    match: Literal["logits", "features"] = Field("logits", description="what is compared")
    weight: float = Field(0.5, gt=0, le=1, description="share of the comparison in the loss")
    temperature: float = Field(4.0, gt=0, description="softens the class probabilities (logits)")

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Put the student's settings into the baseline's."""
        return type(settings).model_validate({**settings.model_dump(), **self.student})

    def apply(self, job: Job) -> Job:
        """Wrap `schedule`, where the teacher is trained, and `loss`."""
        if job.losses:
            raise NotApplicable(
                f"the baseline has several losses, {', '.join(job.losses)}: which of them is to "
                "learn from a teacher can't be told"
            )
        with undisturbed(job.device):
            untold = self.match == "logits" and job.targets is None
            lesson = _Lesson(self, self._teacher(job), untold)
            shapes = [lesson.shape(model, job) for model in (job.model, lesson.teacher)]
        unknown = job.targets is None and shapes[0][1:] == (1,)  # a softmax of it is always 1
        if self.match == "logits" and (unknown or shapes[0] != shapes[1] or len(shapes[0]) != 2):
            raise NotApplicable(f"match=logits needs logits (items, classes), or targets: {shapes}")
        job = job.wrap("schedule", lesson.schedule, by=self.name)
        return job.wrap("loss", lesson.loss, by=self.name)

    def _teacher(self, job: Job) -> Job:
        if self.teacher_recipe is None:
            assert job.again is not None, "the assembly gives it to every job"
            return job.again(self.teacher)
        recipe = read_exported(self.teacher_recipe).recipe
        folder = self.teacher_recipe.resolve().parent
        places = {name: str(folder / name) for name in recipe.files}
        return build(recipe, places, job.device, torch.initial_seed())


class _Lesson:
    """A teacher, trained once, and the comparison with it."""

    not_remembered: ClassVar[frozenset[str]] = frozenset({"_untold", "_part"})

    def __init__(self, rule: KnowledgeDistillation, teacher: Job, untold: bool) -> None:
        self._rule, self._job, self._untold = rule, teacher, untold
        self._targets = teacher.targets or Targets(classes=0)  # untold: one of some classes
        self._part = 0
        """Which of the rows in an answer are compared, where the loss has told it."""
        self.teacher = teacher.model.eval()
        self._trained = False

    def shape(self, model: nn.Module, job: Job) -> tuple[int, ...]:
        if said := objection(job, job.sample(2)):
            raise NotApplicable(f"the model does not take its own sample: {said}")
        kept = untouched(model)
        with torch.no_grad(), kept, evaluating(model), self._listening(model) as heard:
            ask(model, job.sample(2))
        return tuple(self._compared(heard)[0].shape)

    def schedule(self, old: Schedule) -> Schedule:
        def schedule(optimizer: Optimizer, progress: Progress) -> None:
            if not self._trained:
                unjudged = replace(self._job, evaluate=lambda model: {}, evaluate_every=0)
                with undisturbed(self._job.device):
                    self.teacher = train(unjudged).model.eval()
                self._trained = True
            old(optimizer, progress)

        return schedule

    def loss(self, old: Loss) -> Loss:
        def loss(model: nn.Module, batch: Batch) -> Tensor:
            if self._untold:
                self._part = check_classes(replace(self._job, model=model), batch, old)
                self._untold = False
            with self._listening(model) as heard:
                own = old(model, batch)
            with torch.no_grad(), self._listening(self.teacher) as right:
                for args, kwargs in heard.calls:
                    self.teacher(*args, **kwargs)
            pairs = zip(self._compared(heard), self._compared(right), strict=True)
            gaps = [self._gap(one, other) for one, other in pairs]
            return own.lerp(torch.stack(gaps).mean().to(own.dtype), self._rule.weight)

        return loss

    def _gap(self, answer: Tensor, wanted: Tensor) -> Tensor:
        if self._rule.match == "features":
            return (_likeness(answer) - _likeness(wanted)).square().sum(1).mean()
        softer = (x / self._rule.temperature for x in (answer, wanted))
        return self._targets.divergence(*softer) * self._rule.temperature**2

    def _listening(self, model: nn.Module) -> AbstractContextManager[Calls]:
        return listening(model, _last_linear(model) if self._rule.match == "features" else None)

    def _compared(self, heard: Calls) -> list[Tensor]:
        features = self._rule.match == "features"
        found = heard.inside if features else heard.answers
        if not found:
            raise NotApplicable(f"match={self._rule.match}: {UNHEARD}")
        return [scores_in(one) if features else self._scores(rows_in(one)) for one in found]

    def _scores(self, rows: list[Tensor]) -> Tensor:
        """Return the scores in an answer of several parts: one for each class, where that is known.

        Otherwise they are what the loss was found to take for scores.
        """
        width = self._targets.classes or sum(self._targets.heads)
        if len(rows) == 1 or not width:
            return rows[min(self._part, len(rows) - 1)]
        fitting = [one for one in rows if one.dim() == 2 and one.shape[1] == width]
        if not fitting:
            shapes = ", ".join(str(tuple(one.shape)) for one in rows)
            raise NotApplicable(f"match=logits: none of the answers, {shapes}, has {width} scores")
        return fitting[0]


def _last_linear(model: nn.Module) -> nn.Module:
    if is_compiled(model):
        raise NotApplicable("features can't be watched inside of a compiled model; match logits")
    found = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not found:
        raise NotApplicable("features are what the last linear layer sees; the model has none")
    return found[-1]


def _likeness(features: Tensor) -> Tensor:
    """Return how alike items are, ``(items, items)``, each row of norm 1."""
    flat = features.float().flatten(1)
    return F.normalize(flat @ flat.T, dim=1)
