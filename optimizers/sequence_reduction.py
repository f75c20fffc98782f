"""Sequence reduction: train on shorter series, on whole ones at the end.

What:    series are cropped, each to a random window of its own, or only every n-th step is kept;
         the last epochs see them whole. The model and its evaluation stay as they are.
Helps:   models whose work grows with the length, above all attention, where it grows squared; nets
         that overfit, as windows are ever new (with until=1 all through; tta answers on windows).
Hurts:   what depends on the whole length or on detail that striding loses; nets that only take one
         length are not applicable.
Effect:  learning; a gain is less work.
Source:  Li et al., The Stability-Efficiency Dilemma, NeurIPS 2022; windows of ECGs: Strodthoff et
         al., Deep Learning for ECG Analysis, JBHI 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.batches import Batch, inputs_of, with_inputs
from bench.errors import NotApplicable
from bench.job import Batches, Job, Progress
from bench.model.outputs import check_alone, like, objection
from bench.technique import Effect, Stage, Technique

TARGETS = frozenset({"y", "label", "labels", "target", "targets"})
"""Names under which a batch holds what is to be answered, and not more of its inputs."""


class SequenceReduction(Technique):
    """Shorten the series of the first epochs."""

    name: ClassVar[str] = "sequence-reduction"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING
    less_work: ClassVar[bool] = True

    share: float = Field(
        0.5, gt=0, lt=1, description="share of the length that is kept",
        json_schema_extra={"range": [0.25, 0.5, 0.75]},
    )  # fmt: skip
    how: Literal["crop", "stride"] = Field(
        "crop", description="crop: a random window of each; stride: every n-th step"
    )
    until: float = Field(
        0.75, gt=0, le=1, description="share of the epochs after which series are whole"
    )
    dim: Literal[1, 2] | None = Field(
        None, description="dim of time in (B, T, C) or (B, C, T); null: the longer one"
    )

    def apply(self, job: Job) -> Job:
        """Wrap `batches`, having seen that the model takes shorter series."""
        sample = job.sample(2)
        series = inputs_of(sample)
        dim, draw = self._dim(series), np.random.default_rng(torch.initial_seed())
        whole, kept = series.shape[dim], self.shortened(series, dim, draw)
        if kept.shape[dim] >= whole:
            raise NotApplicable(f"series of {whole} steps would not become shorter: lower share")
        check_alone(sample, series, [dim], kept.shape[dim])
        if said := objection(job, with_inputs(sample, kept)):
            raise NotApplicable(
                f"the model takes no series of {kept.shape[dim]} steps, trained on {whole}: {said}"
            )

        unchecked = True

        def wrapper(old: Batches) -> Batches:
            def batches(progress: Progress) -> Iterator[Batch]:
                nonlocal unchecked
                whole = progress.epoch >= self.until * progress.total_epochs
                for batch in old(progress):
                    if whole:
                        yield batch
                        continue
                    seen = like(series, inputs_of(batch))
                    short = self.shortened(seen, dim, draw)
                    if unchecked:
                        beside = _without_targets(job, batch)
                        check_alone(beside, seen, [dim], short.shape[dim])
                        unchecked = False
                    yield with_inputs(batch, short)

            return batches

        return job.wrap("batches", wrapper, by=self.name)

    def shortened(self, series: Tensor, dim: int, draw: np.random.Generator) -> Tensor:
        """Return series shortened along `dim`: windows differ from item to item, strides don't."""
        length = series.shape[dim]
        if self.how == "stride":
            steps = torch.arange(0, length, round(1 / self.share), device=series.device)
            return series.index_select(dim, steps)
        kept = max(1, round(length * self.share))
        starts = draw.integers(0, length - kept + 1, len(series)).tolist()
        return torch.stack(
            [one.narrow(dim - 1, at, kept) for one, at in zip(series, starts, strict=True)]
        )

    def _dim(self, series: Tensor) -> int:
        shape = tuple(series.shape[1:])
        if len(shape) != 2:
            raise NotApplicable(f"the inputs have the shape {shape}: these are no series")
        if self.dim is not None:
            return self.dim
        if shape[0] == shape[1]:
            raise NotApplicable(f"the inputs have the shape {shape}: say which is time, dim=1 or 2")
        return 1 if shape[0] > shape[1] else 2


def _without_targets(job: Job, batch: Batch) -> Batch:
    """Return what of a batch may say more of its inputs: lengths, masks."""
    if isinstance(batch, Mapping):
        return {key: value for key, value in batch.items() if str(key).lower() not in TARGETS}
    if isinstance(batch, tuple | list) and (job.targets is not None or len(batch) == 2):
        return [*batch[:1], *batch[2:]]
    return batch
