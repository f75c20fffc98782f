"""Switches of float32 are put back, by whichever of torch's two ways a baseline has set them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from bench.job import Progress
from bench.model.float32 import KINDS, Float32, compute_in_full
from bench.model.parts_of_loss import parts_of_loss
from bench.testing import global_state
from optimizers.cuda_optimizations import switches
from tests.jobs import linear_job

newer = pytest.mark.skipif(not Float32.now().newer, reason="before torch 2.9 there is one way")


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    before = Float32.now()
    yield
    before.put_back()


def said(op: str) -> str:
    """Return what the newer switch of an operator of CUDA's says."""
    return Float32.now().newer[KINDS.index(("cuda", op))]


@newer
def test_a_loss_is_taken_apart_where_a_baseline_turns_tf32_on_in_the_newer_way() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    before, seen = Float32.now(), list[str]()
    job = linear_job()
    own = job.loss

    def loss(model: torch.nn.Module, batch: object) -> torch.Tensor:
        seen.append(said("matmul"))
        return own(model, batch)

    batch = next(iter(job.batches(Progress(3))))
    assert parts_of_loss(job, batch, job.split(batch, 2), loss).is_mean
    assert seen
    assert "tf32" not in seen
    assert Float32.now() == before
    assert said("matmul") == "tf32"
    assert global_state()["float32"] == before


@newer
def test_tf32_is_turned_on_for_a_step_and_left_as_it_was_set_in_the_newer_way() -> None:
    for op in ("matmul", "conv"):  # what torch.backends.cudnn.conv.fp32_precision sets
        torch._C._set_fp32_precision_setter("cuda", op, "ieee")
    before = Float32.now()
    with switches(benchmark=False, tf32=True):
        assert (said("matmul"), said("conv")) == ("tf32", "tf32")
    assert Float32.now().newer == before.newer


@newer
def test_what_is_taken_over_from_a_switch_of_all_is_computed_in_full_too() -> None:
    torch.backends.cudnn.fp32_precision = "tf32"
    try:
        compute_in_full()
        assert not {"tf32", "bf16"} & {*Float32.now().newer}
    finally:
        torch.backends.cudnn.fp32_precision = "none"


def test_the_older_switches_are_put_back() -> None:
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    before = Float32.now()
    compute_in_full()
    assert (Float32.now().products, Float32.now().convolutions) == ("highest", False)
    before.put_back()
    assert Float32.now() == before
