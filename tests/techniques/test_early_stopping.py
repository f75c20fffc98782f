"""early-stopping with validation losses made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from baselines.timehut import TimeHUTSettings
from bench.errors import NotApplicable
from bench.job import Job
from bench.trial.training import Trained, train
from optimizers.early_stopping import EarlyStopping
from tests.contract.cases import SMALL, Case, probe_for
from tests.jobs import linear_job


def rigged(values: Sequence[float], seen: list[nn.Module] | None = None, **parts: Any) -> Job:
    """Return a job of 20 epochs whose validation gives `values` in turn, then the last forever."""
    left = list(values)

    def validate(model: nn.Module) -> float:
        if seen is not None:
            seen.append(model)
        return left.pop(0) if len(left) > 1 else left[0]

    return linear_job(**{"epochs": 20, "validate": validate, **parts})


def trained(values: Sequence[float], seen: list[nn.Module] | None = None, **rule: Any) -> Trained:
    return train(EarlyStopping(**{"every": 1, **rule}).apply(rigged(values, seen)))


def test_training_ends_when_patience_does() -> None:
    assert trained([5, 4, 3, 9], patience=4).progress.epoch == 3 + 4


def test_patience_is_counted_in_epochs_not_in_validations() -> None:
    assert trained([5, 4, 9], patience=4, every=2).progress.epoch == 4 + 4


def test_patience_shorter_than_the_time_between_validations_waits_for_one() -> None:
    assert trained([5, 4, 9], patience=1, every=3).progress.epoch == 9


def test_a_loss_that_keeps_falling_trains_to_the_end() -> None:
    assert trained([20 - n for n in range(20)], patience=1).progress.epoch == 20


def test_a_fall_below_the_least_does_not_count() -> None:
    falling = [1 - 0.01 * n for n in range(20)]
    assert trained(falling, patience=3, min_delta=0.5).progress.epoch == 1 + 3
    assert trained(falling, patience=3, min_delta=0.005).progress.epoch == 20


def test_a_validation_that_is_no_number_never_counts_as_best() -> None:
    assert trained([3.0, float("nan")], patience=5).progress.epoch == 1 + 5


def weights_after(epochs: int) -> torch.Tensor:
    model = train(linear_job(epochs=epochs)).model
    assert isinstance(model, nn.Linear)
    return model.weight.detach()


def test_the_best_weights_are_deployed() -> None:
    model = trained([5, 4, 3, 9], patience=4).model
    assert isinstance(model, nn.Linear)
    assert torch.equal(model.weight, weights_after(3))
    assert not torch.equal(model.weight, weights_after(7))


def test_the_best_weights_are_deployed_where_training_was_not_stopped() -> None:
    model = trained([5, 1, 9], patience=100).model
    assert isinstance(model, nn.Linear)
    assert torch.equal(model.weight, weights_after(2))


def test_validation_is_of_the_snapshot() -> None:
    average, seen = nn.Linear(6, 2), list[nn.Module]()
    job = rigged([1.0], seen, snapshot=lambda model: average)
    train(EarlyStopping(every=1, patience=2).apply(job))
    assert set(seen) == {average}


def test_the_test_part_is_never_looked_at_while_training() -> None:
    ended = False

    def evaluate(model: nn.Module) -> Mapping[str, float]:
        assert ended
        return {"accuracy": 0.5}

    def on_trained() -> None:
        nonlocal ended
        ended = True

    job = EarlyStopping(every=1, patience=2).apply(rigged([1.0], evaluate=evaluate))
    train(job, on_trained=on_trained)


def test_a_stop_of_the_baseline_still_stops() -> None:
    job = rigged([20 - n for n in range(20)], stop=lambda job, progress: progress.epoch == 5)
    assert train(EarlyStopping(every=2).apply(job)).progress.epoch == 5


def test_without_a_validation_part_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="holds out no validation part"):
        EarlyStopping().apply(linear_job(validate=None))


def settings_after(fraction: float) -> TimeHUTSettings:
    technique = EarlyStopping()
    settings = TimeHUTSettings(validation_fraction=fraction)
    found = technique.configure(settings, probe_for(technique))
    assert isinstance(found, TimeHUTSettings)
    return found


def test_a_part_is_held_out_of_training() -> None:
    assert settings_after(0.0).validation_fraction == 0.2


def test_a_part_that_is_held_out_already_is_kept() -> None:
    assert settings_after(0.4).validation_fraction == 0.4


def test_held_out_items_are_not_trained_on() -> None:
    case = Case("timehut", SMALL["timehut"])
    plain, stopping = case.job().data, case.job("early-stopping").data
    assert stopping.train_items < plain.train_items
    assert stopping.test_items == plain.test_items


def test_an_extra_state_that_is_no_tensor_comes_back_with_the_best_weights() -> None:
    class Counting(nn.Linear):
        calls: int = 0

        def get_extra_state(self) -> dict[str, int]:
            return {"calls": self.calls}

        def set_extra_state(self, state: Any) -> None:
            self.calls = state["calls"]

    model = Counting(6, 2)
    job = rigged([1.0, 9.0], model=model)

    def count(old: Any) -> Any:
        def update(optimizer: torch.optim.Optimizer) -> None:
            model.calls += 1
            old(optimizer)

        return update

    job = EarlyStopping(every=1, patience=2).apply(job.wrap("update", count, by="test"))
    result = train(job)
    assert result.progress.epoch == 3
    assert model.calls == 4  # of the first epoch


def test_the_last_epoch_is_looked_at_too() -> None:
    seen: list[nn.Module] = []
    train(EarlyStopping(every=2).apply(rigged([5, 4, 3], seen, epochs=5)))
    assert len(seen) == 3


def test_a_training_that_ends_before_the_first_look_is_refused() -> None:
    with pytest.raises(NotApplicable, match="has 2 epochs, and every=2 looks at none before"):
        EarlyStopping(every=2).apply(linear_job(epochs=2))
