"""What a job says of its items and targets is so."""

from __future__ import annotations

import pytest
import torch

from bench.errors import NotApplicable
from bench.job import Progress
from bench.model.outputs import checked_targets
from tests.contract.cases import Case


def test_the_loss_is_the_mean_of_the_losses_of_items(case: Case) -> None:
    job = case.job()
    if job.item_losses is None:
        pytest.skip("the job gives no losses of items")
    batch = next(iter(job.batches(Progress(job.epochs))))
    job.model.eval()
    losses = job.item_losses(job.model, batch)
    assert losses.shape == (job.items(batch),)
    assert torch.allclose(losses.mean(), job.loss(job.model, batch), rtol=1e-5)


def test_targets_are_what_the_job_says(case: Case) -> None:
    job = case.job()
    if job.targets is None:
        with pytest.raises(NotApplicable):
            checked_targets(job)
        return
    inputs, targets = next(iter(job.batches(Progress(job.epochs))))
    soft = checked_targets(job).soft(targets)
    job.model.eval()
    loss = job.loss(job.model, (inputs, targets))
    assert torch.allclose(job.loss(job.model, (inputs, soft)), loss, rtol=1e-5)
