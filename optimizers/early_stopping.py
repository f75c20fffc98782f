"""Early stopping: end training when the loss on held-out items no longer falls.

What:    a part of the training data is held out; its loss is taken after every few epochs and after
         the last, and when it has not improved for `patience` epochs training ends. The best
         weights seen are what is deployed. The test part is never looked at.
Helps:   trainings that are longer than they need to be.
Hurts:   small data (the held-out part is missed in training, and its loss is noisy); validation
         costs time too, which counts as training time.
Effect:  learning; a gain is less work.
Source:  Prechelt, Early Stopping - But When?, 1998.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field
from torch import nn

from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.model.unsaved import put_back, unsaved
from bench.model.weights_file import copied_state
from bench.records.plain_loop import PlainLoop
from bench.technique import Effect, Probe, SettingsT, Stage, Technique

WRITTEN = """
if (epoch + 1) % {every} == 0 or epoch + 1 == job.epochs:
    snapshot = deployed()
    value = job.validate(snapshot)
    if value < best_value - {min_delta}:
        best_value, best_epoch = value, epoch + 1
        best_weights = copy.deepcopy(snapshot.state_dict())
    over = over or epoch + 1 - best_epoch >= {patience}
"""
RESTORED = """
if best_weights is not None:
    made.load_state_dict(best_weights)
"""
UNSAVED = """
if best_epoch == epoch + 1:
    best_buffers = {{name: buffer.clone() for name, buffer in snapshot.named_buffers()}}
"""
UNSAVED_RESTORED = """
    with torch.no_grad():
        for name, buffer in made.named_buffers():
            buffer.copy_(best_buffers[name])
"""
Stop = Callable[[Job, Progress], bool]
Finish = Callable[[Job, nn.Module], nn.Module]


class EarlyStopping(Technique):
    """Stop when the validation loss stalls, and deploy the best weights."""

    name: ClassVar[str] = "early-stopping"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING
    less_work: ClassVar[bool] = True

    patience: int = Field(
        10, ge=1, description="epochs without improvement before the stop",
        json_schema_extra={"range": [3, 5, 10, 20]},
    )  # fmt: skip
    min_delta: float = Field(0.0, ge=0, description="the least fall of the loss that counts")
    every: int = Field(2, ge=1, description="epochs between validations")
    fraction: float = Field(
        0.2, gt=0, lt=1, description="share of the training part held out, if none is yet"
    )

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Hold a validation part out where the baseline can and none is held out yet."""
        if getattr(settings, "validation_fraction", None) == 0:
            return settings.model_copy(update={"validation_fraction": self.fraction})
        return settings

    def apply(self, job: Job) -> Job:
        """Wrap `stop` and `finish`."""
        if job.validate is None:
            raise NotApplicable(
                "the baseline holds out no validation part: its job has no `validate`"
            )
        if job.epochs <= self.every:
            raise NotApplicable(
                f"the training has {job.epochs} epochs, and every={self.every} looks at none before"
                " the last: there is nothing to stop, and no other weights to choose"
            )
        watch = _Watch(self)
        job = job.wrap("stop", watch.stop, by=self.name)
        return job.wrap("finish", watch.finish, by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Look at the held-out loss after epochs, and restore the best weights at the end."""
        numbers = {"every": self.every, "min_delta": self.min_delta, "patience": self.patience}
        first = 'best_value, best_epoch, best_weights = float("inf"), 0, None'
        loop.add("optimizer", first, by=self.name)
        saved = job.model.state_dict()
        more = any(name not in saved for name, _ in job.model.named_buffers())
        loop.add("epoch", (WRITTEN + UNSAVED * more).format(**numbers), by=self.name)
        loop.add("end", RESTORED + UNSAVED_RESTORED * more, by=self.name)


@dataclass
class _Watch:
    """The best validation loss seen, when, and the weights that had it."""

    rule: EarlyStopping
    best: float = float("inf")
    epoch: int = 0
    weights: dict[str, object] | None = None
    besides: dict[str, object] = field(default_factory=dict)
    """What a state dict leaves out, as it was with these weights."""

    def stop(self, old: Stop) -> Stop:
        def stop(job: Job, progress: Progress) -> bool:
            if progress.epoch % self.rule.every and progress.epoch < job.epochs:
                return old(job, progress)
            self._look(job, progress.epoch)
            stalled = progress.epoch - self.epoch >= self.rule.patience
            return old(job, progress) or stalled

        return stop

    def finish(self, old: Finish) -> Finish:
        def finish(job: Job, model: nn.Module) -> nn.Module:
            if self.weights is not None:
                model.load_state_dict(self.weights)
                put_back(model, self.besides)
            return old(job, model)

        return finish

    def _look(self, job: Job, epoch: int) -> None:
        assert job.validate is not None
        model = job.snapshot(job.model)
        value = job.validate(model)
        if value < self.best - self.rule.min_delta:
            self.best, self.epoch = value, epoch
            self.weights, self.besides = copied_state(model), unsaved(model)
