"""Targets as probabilities, and whether a loss takes them so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.batches import inputs_of, select_items, with_inputs
from bench.errors import NotApplicable
from bench.model.differences import difference
from bench.model.outputs import checked_targets
from bench.targets import Targets
from tests.jobs import Labelled, cross_entropy, linear_job

X, Y = torch.arange(6.0).view(3, 2), torch.tensor([0, 2, 1])
BATCHES: list[Any] = [(X, Y), [X, Y], {"x": X, "y": Y}, Labelled(X, Y)]


def test_classes_become_one_hot_rows() -> None:
    assert Targets(classes=3).soft(Y).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_probabilities_stay_as_they_are() -> None:
    shares = torch.tensor([[0.3, 0.7], [0.5, 0.5]])
    assert torch.equal(Targets(classes=2).soft(shares), shares)
    assert torch.equal(Targets().soft(shares), shares)


def test_smoothing_spreads_a_share_over_all_classes() -> None:
    (row,) = Targets(classes=4).smoothed(torch.tensor([1]), 0.2).tolist()
    assert row == pytest.approx([0.05, 0.85, 0.05, 0.05])


def test_smoothing_moves_independent_labels_towards_a_half() -> None:
    (row,) = Targets().smoothed(torch.tensor([[0.0, 1.0, 1.0]]), 0.2).tolist()
    assert row == pytest.approx([0.1, 0.9, 0.9])


@pytest.mark.parametrize("batch", BATCHES, ids=lambda b: type(b).__name__)
def test_items_of_a_batch_are_selected_in_every_part(batch: Any) -> None:
    found = select_items(batch, torch.tensor([2, 0]))
    assert type(found) is type(batch)
    x, y = found.values() if isinstance(found, dict) else found
    assert x.tolist() == [[4, 5], [0, 1]]
    assert y.tolist() == [1, 0]


def test_the_inputs_are_the_first_tensor_however_deep() -> None:
    nested: dict[str, Any] = {"views": (X, X + 1), "y": Y}
    assert inputs_of(nested) is X
    found = with_inputs(nested, X * 2)
    assert torch.equal(found["views"][0], X * 2)
    assert found["views"][1] is nested["views"][1]
    assert found["y"] is Y


def test_a_loss_that_takes_probabilities_is_taken_at_its_word() -> None:
    job = linear_job(targets=Targets(classes=2))
    before = {name: value.clone() for name, value in job.model.state_dict().items()}
    state = torch.get_rng_state()
    assert checked_targets(job) == Targets(classes=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert job.model.training
    assert all(torch.equal(v, before[name]) for name, v in job.model.state_dict().items())


def test_a_job_that_says_nothing_of_its_targets_is_refused() -> None:
    with pytest.raises(NotApplicable, match="doesn't say what its targets are"):
        checked_targets(linear_job())


def test_a_loss_that_fails_on_probabilities_is_refused() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.nll_loss(model(batch[0]).log_softmax(1), batch[1])

    with pytest.raises(NotApplicable, match="takes no class probabilities"):
        checked_targets(linear_job(loss=loss, targets=Targets(classes=2)))


def test_a_loss_with_weights_of_classes_is_refused_though_their_mean_is_one() -> None:
    def weighted(model: nn.Module, batch: Any) -> Tensor:
        weight = torch.tensor([0.2, 1.8])
        return nn.functional.cross_entropy(model(batch[0]), batch[1], weight=weight)

    with pytest.raises(NotApplicable, match=r"for the same classes \(class 0 alone\)"):
        checked_targets(linear_job(loss=weighted, targets=Targets(classes=2)))


def test_a_loss_that_reads_probabilities_as_something_else_is_refused() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        twice = batch[1].dim() == 2
        return cross_entropy(model, batch) * (2 if twice else 1)

    with pytest.raises(NotApplicable, match="takes class probabilities for something else: "):
        checked_targets(linear_job(loss=loss, targets=Targets(classes=2)))


def test_a_loss_that_is_no_number_for_probabilities_is_refused() -> None:
    def padded(model: nn.Module, batch: Any) -> Tensor:
        never = torch.tensor([False, False, True])
        scores = nn.functional.pad(model(batch[0]), (0, 1)).masked_fill(never, -torch.inf)
        return nn.functional.cross_entropy(scores, batch[1])

    def known(model: nn.Module, batch: Any) -> Tensor:
        if batch[1].dim() == 1:
            return cross_entropy(model, batch)
        return padded(model, (batch[0], nn.functional.pad(batch[1], (0, 1))))

    with pytest.raises(NotApplicable, match="for something else: nan for one-hot rows"):
        checked_targets(linear_job(loss=known, targets=Targets(classes=2)))


def test_a_class_without_a_chance_adds_nothing_to_the_divergence() -> None:
    own, wanted = torch.randn(2, 4, 3)
    never = torch.tensor([False, False, True])
    own.requires_grad_(True)
    found = Targets(classes=3).divergence(
        own.masked_fill(never, -torch.inf), wanted.masked_fill(never, -torch.inf)
    )
    expected = Targets(classes=2).divergence(own[:, :2], wanted[:, :2])
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    (slope,) = torch.autograd.grad(found, own)
    assert bool(slope.isfinite().all())


def test_answers_that_are_infinite_in_other_places_are_apart() -> None:
    one, other = torch.tensor([1.0, -torch.inf, torch.nan]), torch.tensor([1.0, 2.0, torch.nan])
    assert difference(one, one.clone()) == 0
    assert difference(one, other) == torch.inf
    assert difference(-one, one) == torch.inf
    assert difference(torch.tensor([2.0, 4.0]), torch.tensor([2.0, 3.0])) == 0.25
