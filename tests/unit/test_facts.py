"""What only advises costs no trial: it is unknown then, and the record says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
import torch
from torch import Tensor, nn

from bench.errors import reason_of
from bench.records.measurement import Advice, Status
from bench.trial.facts import advised, advisory_facts
from bench.trial.measure import _Watch, observe
from bench.trial.spec import TrialSpec
from tests.contract.cases import PICTURES
from tests.contract.child import in_child
from tests.jobs import linear_job
from tests.records import recipe


def spec(folder: Path) -> TrialSpec:
    return TrialSpec(
        arm="baseline", pair=0, seed=0, kind="full", recipe=recipe(), metric="accuracy",
        device="cpu", threads=1, scratch=str(folder), count_flops=True, cross_check=True,
    )  # fmt: skip


def test_a_sample_that_can_not_be_drawn_leaves_the_rest_known(tmp_path: Path) -> None:
    def sample(items: int) -> tuple[Tensor]:
        raise LookupError("there is no test part")

    facts = advisory_facts(spec(tmp_path), job := replace(linear_job(), sample=sample), job.model)
    assert facts.model_flops_per_step == 2 * (2 * 8 * 6 * 2)
    assert facts.model_bytes is not None
    assert facts.model_bytes > 56
    assert facts.inference == ()
    reason = "LookupError: there is no test part"
    assert facts.unknown == {
        "inference": reason, "forward_flops_per_item": reason, "flops_check": reason,
    }  # fmt: skip


def test_a_try_tells_the_loss_of_the_items_held_out(tmp_path: Path) -> None:
    job, trial = linear_job(), spec(tmp_path)
    assert job.validate is not None
    tried = advisory_facts(trial.model_copy(update={"validates": True}), job, job.model)
    assert tried.validation_loss == job.validate(job.model)
    assert advisory_facts(trial, job, job.model).validation_loss is None


def test_a_state_that_no_file_holds_has_an_unknown_size_with_the_reason(tmp_path: Path) -> None:
    model = nn.Linear(6, 2)
    model.register_buffer("wide", torch.ones(2, dtype=torch.cdouble))
    facts = advisory_facts(spec(tmp_path), linear_job(model=model), model)
    assert facts.model_bytes is None
    assert facts.unknown == {"model_bytes": "wide is complex128, which safetensors can't hold"}
    assert len(facts.inference) == 2


def test_an_error_that_can_not_say_what_it_is_is_named_by_its_type() -> None:
    class Dumb(Exception):  # noqa: N818 - as a user might name it
        def __str__(self) -> str:
            raise ZeroDivisionError

    def tell() -> Advice:
        raise Dumb

    found = advised(Advice(model_bytes=8), "inference", tell)
    assert found == Advice(model_bytes=8, unknown={"inference": "Dumb"})


def test_a_reason_is_one_line_that_can_be_shown_and_written_anywhere() -> None:
    assert reason_of(ValueError("\n\nline 2\nline 3")) == "ValueError: line 2"
    assert reason_of(ValueError("bad \udcff name \x1b[31m")) == (
        "ValueError: bad \\udcff name \\x1b[31m"
    )
    assert len(reason_of(ValueError("y" * 10_000_000))) == 300


def test_workers_that_have_ended_with_their_loader_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = iter([2**40, 0])
    monkeypatch.setattr("bench.trial.measure.children_bytes", lambda: next(held))
    watch = _Watch(torch.device("cpu"), None, None)
    watch.look_at_workers(1)
    found = watch.read().peak_rss_bytes
    assert found is None or found > 2**40  # None: no /proc


def test_workers_of_a_job_s_own_loader_are_looked_at_while_they_live(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks: list[int] = []

    def held() -> int:
        looks.append(0 if looks else 2**40)  # with the epoch they are gone
        return looks[-1]

    recipe, places = PICTURES.recipe()
    trial = spec(tmp_path).model_copy(
        update={"recipe": recipe, "places": places, "kind": "step", "least_steps": 2}
    )
    monkeypatch.setattr("bench.trial.measure.children_bytes", held)

    def check() -> None:
        found = observe(trial, monotonic()).measurement
        assert found.status is Status.OK, found.reason
        assert looks == [2**40, 0]
        assert found.peak_rss_bytes is None or found.peak_rss_bytes > 2**40  # None: no /proc

    in_child(check)
