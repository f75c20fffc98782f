"""Limit steps: end every epoch after so many steps, or after a share of them.

What:    an epoch ends early; the next one draws anew, so that over several epochs most items are
         seen where the baseline shuffles. An epoch of a report's 50 steps of 64 items is a part of
         one: the items that were seen stand beside the epochs.
Helps:   data sets that hold more than a training needs; evaluations that come too seldom.
Hurts:   quality, where training was not done before: it is a shorter training, by another name.
Effect:  learning; a gain is less work.
Source:  Keras documentation, Model.fit, steps_per_epoch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from bench.batches import Batch, first_size, select_items
from bench.data.sampling import items_an_epoch
from bench.errors import NotApplicable
from bench.job import Batches, Job, Progress
from bench.random_state import undisturbed
from bench.technique import Effect, Stage, Technique


class LimitSteps(Technique):
    """Cut `batches` short."""

    name: ClassVar[str] = "limit-steps"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING
    less_work: ClassVar[bool] = True

    steps: int | None = Field(None, ge=1, description="steps of an epoch; null: a share of them")
    share: float = Field(
        0.35, gt=0, lt=1, description="share of an epoch's steps, where no number",
        json_schema_extra={"range": [0.2, 0.35, 0.5, 0.7]},
    )  # fmt: skip

    def apply(self, job: Job) -> Job:
        """Wrap `batches`, having seen that an epoch has more."""
        with undisturbed(job.device):
            sizes = sizes_of(job)
        most = self.steps or max(1, math.floor(self.share * len(sizes)))
        if most >= len(sizes):
            raise NotApplicable(
                f"the steps of an epoch are {len(sizes)}, no more than the {most} to end it at"
            )

        def wrapper(old: Batches) -> Batches:
            def batches(progress: Progress) -> Iterator[Batch]:
                return first(most, old(progress))

            return batches

        job = job.wrap("batches", wrapper, by=self.name)
        return replace(job, epoch_items=sum(sizes[:most]), epoch_steps=most)


def sizes_of(job: Job) -> list[int]:
    """Return the items of each step of the first epoch; where they may change, as in its first.

    Raises `NotApplicable` where nothing tells how many steps there are.
    """
    start = Progress(job.epochs, epoch_steps=job.epoch_steps)
    if job.fixed is not None:
        return [len(rows) for rows in job.fixed.rows(start)]
    if "batches" in job.taken and job.again is not None:  # others may wait for training to begin
        job = job.again({})
    batch = next(iter(job.batches(start)))
    items = job.items(batch)
    if not (job.epoch_steps or job.epoch_items) and _counts_otherwise(job, batch, items):
        raise NotApplicable(
            f"a batch of {first_size(batch)} items counts as {items} (tokens, say), and how many "
            f"steps an epoch of {items_an_epoch(job)} has can't be told; give the job epoch_steps, "
            "such as len(loader)"
        )
    return [items] * (job.epoch_steps or math.ceil(items_an_epoch(job) / items))


def _counts_otherwise(job: Job, batch: Batch, items: int) -> bool:
    """Tell whether a batch's items are not what is selected of it, which a training part has."""
    if job.select is not select_items:  # laid out otherwise: it counts what it selects
        return False
    try:
        return items != first_size(batch)
    except NotApplicable:  # it holds no tensors
        return False


def first(most: int, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield so many batches; raise `NotApplicable` when there are not even as many."""
    count = 0
    for batch in itertools.islice(batches, most):
        count += 1
        yield batch
    if count < most:
        raise NotApplicable(f"an epoch was over after {count} steps, before {most} to end it at")
