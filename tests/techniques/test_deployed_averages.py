"""tta and ensemble deploy means of answers, trained as everything else that was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.errors import NotApplicable
from bench.model.nested import mapped, tensors_in
from bench.model.outputs import mean_of
from bench.targets import Targets
from bench.testing import Case
from bench.trial.training import train
from optimizers.ensemble import APART, Members
from optimizers.tta import TestTimeAugmentation as Tta
from optimizers.tta import Views
from tests.contract.cases import CONV_NET, PICTURES, SMALL
from tests.jobs import linear_job

SHORT = Case(CONV_NET.baseline, {"epochs": 2})


def answers(model: nn.Module, case: Case) -> Any:
    with torch.no_grad():
        return model.eval()(*case.job().sample(4))


def test_views_are_the_input_and_shifts_to_both_sides() -> None:
    assert Tta(views=5, reach=0.1).places(100) == ((0, 5, -5, 10, -10), None)
    assert Tta(views=2, reach=0.1).places(100) == ((0, 10), None)
    assert Tta(views=5, reach=0.1).places(10) == ((0, 1, -1), None)


def test_windows_reach_from_end_to_end() -> None:
    assert Tta(views=7, window=0.25).places(1000) == ((0, 125, 250, 375, 500, 625, 750), 250)
    assert Tta(views=1, window=0.25).places(1000) == ((0,), 250)
    assert Tta(views=5, window=0.8).places(10) == ((0, 1, 2), 8)
    with pytest.raises(ValidationError, match="give window or reach, not both"):
        Tta(window=0.5, reach=0.2)


def test_the_deployed_model_answers_with_the_mean_over_views() -> None:
    class Edges(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, 0, [0, -1]]

    x = torch.arange(10.0).reshape(1, 1, 10)
    assert torch.equal(Views(Edges(), (0, 1, -1), False)(x), torch.tensor([[10 / 3, 17 / 3]]))
    assert torch.equal(Views(Edges(), (0,), True)(x), torch.tensor([[4.5, 4.5]]))
    assert torch.equal(Views(Edges(), (0, 7), False, 3)(x), torch.tensor([[3.5, 5.5]]))
    assert torch.equal(Views(Edges(), (7,), True, 3)(x), torch.tensor([[8.0, 8.0]]))


def test_tta_leaves_training_as_it_is() -> None:
    plain, viewed = train(PICTURES.job()), train(PICTURES.job("tta:reach=0.3"))
    assert viewed.losses == plain.losses
    assert not torch.equal(answers(viewed.model, PICTURES), answers(plain.model, PICTURES))


def test_an_ensemble_is_the_mean_of_trainings_from_other_seeds() -> None:
    together = train(SHORT.job("ensemble:members=3"))
    alone = [train(SHORT.job(seed=number * APART)).model for number in range(3)]
    found = answers(together.model, SHORT)
    expected = torch.stack([answers(model, SHORT) for model in alone]).mean(0)
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, answers(alone[0], SHORT), atol=1e-3)


def test_an_ensemble_costs_what_its_members_cost() -> None:
    result = train(SHORT.job("ensemble:members=4"))
    alone = [train(SHORT.job()) for _ in range(3)]
    assert result.losses == alone[0].losses
    assert result.finish_seconds > min(one.timeline.seconds for one in alone)


@pytest.mark.parametrize("order", [("tta", "ensemble"), ("ensemble", "tta")])
def test_members_are_trained_with_the_other_techniques(order: tuple[str, str]) -> None:
    names = [f"{name}:members=2" if name == "ensemble" else name for name in order]
    model = train(SHORT.job("mixup", *names)).model
    members = [train(SHORT.job("mixup", seed=n * APART)).model for n in range(2)]
    shifts, _ = Tta().places(20)
    expected = torch.stack([answers(Views(m, shifts, False), SHORT) for m in members]).mean(0)
    assert torch.allclose(answers(model, SHORT), expected, atol=1e-6)


def test_training_random_numbers_are_not_moved_by_members() -> None:
    job = SHORT.job("ensemble")
    train(job)
    after = torch.rand(1)
    other = SHORT.job()
    train(other)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize("name", ["tta", "ensemble"])
def test_embeddings_have_no_mean(name: str) -> None:
    with pytest.raises(NotApplicable, match="its job has no targets"):
        Case("timehut", SMALL["timehut"]).job(name)


def test_inputs_without_an_axis_have_no_views() -> None:
    with pytest.raises(NotApplicable, match="no axis to shift along"):
        Tta().apply(linear_job(targets=Targets(classes=2)))
    with pytest.raises(NotApplicable, match="give no other view"):
        PICTURES.job("tta:views=1")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(40, 2))
    job = linear_job(sample=lambda n: (torch.zeros(n, 2, 20),), targets=Targets(classes=2))
    with pytest.raises(NotApplicable, match="takes no windows of 10 places, of 20: mat1"):
        Tta(window=0.5).apply(replace(job, model=flat))


class Said:
    """A plain object."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits, self.kept, self.name = logits, {"logits": logits}, "said"


class Spoken(nn.Module):
    """A linear model that answers with a plain object."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: torch.Tensor) -> Said:
        return Said(x * self.weight)


def test_answers_that_are_plain_objects_are_averaged_too() -> None:
    members = Members([Spoken(1.0), Spoken(3.0)])
    x = torch.arange(4.0).view(2, 2)
    found = members(x)
    assert isinstance(found, Said)
    assert torch.equal(found.logits, 2 * x)
    assert torch.equal(found.kept["logits"], 2 * x)
    assert found.name == "said"


def test_an_object_that_refers_to_itself_is_looked_at_once() -> None:
    said = Said(torch.ones(2))
    said.kept["self"] = said  # type: ignore[assignment]  # as trees know their root
    assert len(tensors_in(said)) == 2
    changed: Any = mapped(said, lambda x: x + 1)
    assert changed.kept["self"] is changed
    assert torch.equal(said.logits, torch.ones(2))


def test_answers_without_a_tensor_have_no_mean() -> None:
    with pytest.raises(NotApplicable, match="answers with a list, in which no tensor is"):
        mean_of([["a"], ["b"]])
