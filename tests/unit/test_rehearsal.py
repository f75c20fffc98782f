"""A rehearsal makes real steps, and tells what would have been measured in vain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError, Diverged, NotApplicable
from bench.job import Job, plain_backward
from bench.records.measurement import Evaluation
from bench.trial.evaluated import check_evaluations, check_metric
from bench.trial.rehearsal import (
    BATCHES,
    attributed,
    check_exact,
    deployed,
    rehearse,
    shortened,
)
from bench.trial.training import train
from optimizers.compile import Compile
from optimizers.ema import Ema
from optimizers.mixed_precision import MixedPrecision
from optimizers.pruning import Pruning
from tests.jobs import cross_entropy, linear_job


class ByMethod(nn.Module):
    """A model whose loss may call it in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores."""
        found: Tensor = self.net(x)
        return found

    def encode(self, x: Tensor) -> Tensor:
        """Return scores by another name."""
        found: Tensor = self.net(x)
        return found

    def training_step(self, batch: Any) -> Tensor:
        """Return the loss of a batch, calling itself."""
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


def by_method(**parts: Any) -> Job:
    return linear_job(model=ByMethod(), **parts)


def around() -> Job:
    model = ByMethod()
    return linear_job(model=model, loss=lambda _, batch: cross_entropy(model, batch))


@pytest.mark.parametrize(
    "job",
    [
        by_method(loss=lambda m, b: nn.functional.cross_entropy(m.encode(b[0]), b[1])),
        by_method(loss=lambda m, b: m.training_step(b)),
        around(),
    ],
    ids=["another method", "a method that calls itself", "a model from around it"],
)
def test_a_compiled_model_that_no_step_calls_is_not_applicable(job: Job) -> None:
    with pytest.raises(NotApplicable, match="no step calls what compile changes of the model"):
        rehearse(Compile().apply(job))


def test_a_compiled_model_that_steps_call_is_rehearsed_without_compiling() -> None:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    found = rehearse(Compile().apply(by_method()))
    assert len(found.losses) == BATCHES
    assert not torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_a_part_that_the_baselines_own_step_never_calls_is_changed_in_vain() -> None:
    def own(job: Job, batch: Any, optimizer: Any, mark: Any) -> Tensor:
        loss = cross_entropy(job.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    for technique, part in ((MixedPrecision(), "loss"), (Ema(), "update")):
        with pytest.raises(NotApplicable, match=f"no step calls the job's {part}"):
            rehearse(technique.apply(linear_job(step=own)))


def test_the_last_epoch_is_rehearsed_where_a_technique_may_change_it() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    assert len(rehearse(linear_job(model=model)).losses) == BATCHES
    rehearsed = Pruning().apply(linear_job(model=model))
    assert len(rehearse(rehearsed).losses) == 2 * BATCHES
    assert model[0].out_features == 4


def test_a_head_that_only_trains_is_met_before_a_training_is_measured() -> None:
    class Aux(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 16), nn.Linear(16, 2)
            self.side = nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Any:
            hidden = torch.relu(self.a(x))
            return (self.b(hidden), self.side(hidden)) if self.training else self.b(hidden)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return sum((nn.functional.cross_entropy(y, batch[1]) for y in model(batch[0])),
                   start=torch.zeros(()))  # fmt: skip

    with (
        pytest.raises(NotApplicable, match=r"failed: .*shapes cannot be multiplied"),
        attributed([Pruning()], "a rehearsed step failed"),
    ):
        rehearse(Pruning().apply(linear_job(model=Aux(), loss=loss)))


def test_what_is_exact_by_its_word_is_compared_with_the_combination_without_it() -> None:
    def build(whole: bool) -> Job:
        job = MixedPrecision().apply(linear_job())
        scaled = replace(job, backward=lambda loss: plain_backward(1.5 * loss))
        return scaled if whole else job

    with pytest.raises(NotApplicable, match=r"checkpointing changes no step .* is 0\.\d+ instead"):
        check_exact(rehearse(build(True)), build, "checkpointing")
    check_exact(rehearse(build(False)), lambda whole: build(False), "checkpointing")


def test_nothing_is_told_of_a_training_that_does_not_repeat_itself() -> None:
    seeds = iter(range(9))

    def build(whole: bool) -> Job:
        return linear_job(next(seeds))

    check_exact(rehearse(build(True)), build, "checkpointing")


def test_a_shortened_job_is_one_epoch_of_few_steps() -> None:
    assert len(train(shortened(linear_job())).losses) == BATCHES


class Own(MixedPrecision):
    """A technique whose own code lies in this file."""


def test_what_fails_under_a_technique_is_not_applicable_and_its_own_mistake_is_not_hidden() -> None:
    with (
        pytest.raises(NotApplicable, match="a step failed: ValueError: no masks"),
        attributed([MixedPrecision()], "a step failed"),
    ):
        raise ValueError("no masks")
    for techniques in ([Own()], []):
        with pytest.raises(ValueError, match="no masks"), attributed(techniques, "a step failed"):
            raise ValueError("no masks")


def test_a_technique_installed_beside_torch_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    packages = Path(__file__).parents[2]  # as if this file and torch lay in one folder
    monkeypatch.setattr(torch, "__file__", str(packages / "torch" / "__init__.py"))
    with pytest.raises(ValueError, match="no masks"), attributed([Own()], "a step failed"):
        raise ValueError("no masks")


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (0.5, "evaluate gave 0.5; it gives metrics by name"),
        ({"accuracy": None}, "evaluate gave accuracy=None, which is no number"),
        (
            {"accuracy": 0.5, "table": [[1, 2]]},
            r"evaluate gave table=\[\[1, 2\]\], which is",
        ),
        ({"accuracy": "0.5"}, "evaluate gave accuracy=0.5, which is no number"),
        ({"accuracy": 10**400}, "evaluate gave accuracy=10*, which is no number"),
        ({0: 0.5}, "evaluate gave a metric called 0; names are texts"),
    ],
)
def test_an_evaluation_of_no_numbers_is_the_users_to_mend(metrics: Any, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        check_metric(metrics, "accuracy")


def test_a_metric_beyond_the_bounds_of_its_target_is_refused_and_rounding_is_not() -> None:
    check_metric({"accuracy": 1 + 1e-7}, "accuracy", (0, 1))
    check_metric({"accuracy": math.nan, "other": 7}, "accuracy", (0, 1))
    with pytest.raises(BenchError, match=r"gave accuracy=85\.3, beyond the bounds \(0, 1\)"):
        check_metric({"accuracy": 85.3}, "accuracy", (0, 1))
    course = [
        Evaluation(epoch=epoch, step=epoch, train_seconds=epoch, values={"r2": value})
        for epoch, value in ((1, 0.2), (2, -3.0))
    ]
    check_evaluations(course[:1], "r2", (0, 1))
    with pytest.raises(Diverged, match=r"gave r2=-3, beyond its target's bounds \(0, 1\)"):
        check_evaluations(course, "r2", (0, 1))


def test_a_number_of_any_library_is_a_metric() -> None:
    found: Any = {"accuracy": torch.tensor(0.5), "other": np.float32(1), "nan": math.nan}
    check_metric(found, "other")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda loss: (loss, {}), "loss gave a tuple; it gives a tensor of one number"),
        (lambda loss: loss.item(), "loss gave a float; it gives a tensor of one number"),
        (lambda loss: loss.repeat(8), r"loss gave the shape \(8,\); it gives one number"),
        (lambda loss: loss.detach(), "loss gave a tensor without a gradient: detached"),
    ],
)
def test_a_loss_that_can_not_be_followed_backwards_says_what_it_gave(
    change: Callable[[Tensor], Any], said: str
) -> None:
    with pytest.raises(BenchError, match=said):
        rehearse(linear_job(loss=lambda model, batch: change(cross_entropy(model, batch))))


def test_what_is_no_optimizer_says_what_it_is() -> None:
    job = linear_job(make_optimizer=lambda model: [torch.optim.SGD(model.parameters(), 0.1)])
    with pytest.raises(BenchError, match="make_optimizer gave a list; it makes one optimizer"):
        rehearse(job)


def test_memory_that_is_short_is_left_to_the_trials() -> None:
    with pytest.raises(MemoryError), attributed([MixedPrecision()], "a step failed"):
        raise MemoryError


def test_what_is_deployed_is_asked_for_items_and_evaluated_before_a_training_is_measured() -> None:
    asked: list[int] = []

    def sample(items: int) -> tuple[Tensor]:
        asked.append(items)
        return (torch.zeros(items, 6),)

    assert deployed(linear_job(sample=sample)).keys() == {"accuracy"}
    assert asked[-2:] == [1, 32]


def test_an_evaluation_of_the_model_around_it_judges_no_other_one() -> None:
    model = nn.Linear(6, 2)

    def accuracy_of(asked: nn.Module) -> dict[str, float]:
        return {"accuracy": float(asked(torch.ones(1, 6)).argmax())}

    held = linear_job(model=model, evaluate=lambda given: accuracy_of(model))
    given = linear_job(model=nn.Linear(6, 2), evaluate=accuracy_of)
    assert "accuracy" in deployed(held)
    for job in (held, given):
        averaged = Ema().apply(job)
        rehearse(averaged)
        if job is given:
            assert "accuracy" in deployed(averaged)
        else:
            with pytest.raises(NotApplicable, match="evaluate asks the model that was trained"):
                deployed(averaged)


def test_a_batch_whose_items_can_not_be_counted_is_met_in_the_rehearsal() -> None:
    with pytest.raises(ValueError, match="no items here"):
        rehearse(linear_job(items=uncountable))


def uncountable(batch: Any) -> int:
    raise ValueError("no items here")


@pytest.mark.parametrize("found", [0.3, -3, None, "8", float("nan"), torch.tensor([4, 4])], ids=str)
def test_items_that_can_not_be_counted_are_told_before_anything_is_trained(found: object) -> None:
    job: Any = linear_job(items=lambda batch: found)
    with pytest.raises(BenchError, match=r"items gave .*; it gives how many items a batch holds"):
        rehearse(job)
