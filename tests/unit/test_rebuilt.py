"""A model built again from its recipe and weights is the one that was trained, or is not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError, NotApplicable
from bench.records.checkpoint import Inputs
from bench.records.recipe import Recipe
from bench.records.recipe import Use as UseOf
from bench.use.checkpoint import Loaded
from bench.use.made_up import inputs_of, made_up
from bench.use.plain import Plain
from bench.use.program import apart, close, compared, exported, operator_in
from bench.use.rebuilt import KEPT_APART, built, unlike
from bench.use.row_by_row import check_row_by_row
from tests.jobs import linear_job

CPU = torch.device("cpu")
SIX = Inputs(shape=(6,), dtype="float32", low=-1.0, high=1.0)


class Shifted(nn.Module):
    """A linear model of what is moved by numbers that no file of weights holds."""

    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 2)
        self.register_buffer("shift", torch.zeros(6), persistent=False)
        self.shifts = [0.0] * 6

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.linear(rows + self.shift + torch.tensor(self.shifts))
        return found


def in_a_buffer(model: Shifted) -> None:
    model.shift.fill_(1.0)


def in_an_attribute(model: Shifted) -> None:
    model.shifts = [1.0] * 6


@pytest.mark.parametrize("keep", [in_a_buffer, in_an_attribute])
def test_what_a_model_keeps_outside_of_its_weights_is_seen(
    keep: Callable[[Shifted], None],
) -> None:
    model = Shifted()
    job, use = linear_job(model=model), Plain(lambda: linear_job(model=Shifted()), SIX, {})
    assert unlike(use, job, model) is None
    keep(model)
    assert unlike(use, job, model) == KEPT_APART


def test_a_recipe_of_several_processes_is_built_in_one() -> None:
    group = UseOf(name="data-parallel", settings={"processes": 2})
    settings = {"dataset": "UnitTest", "depth": 1, "hidden": 4, "output": 4}
    job = built(Recipe(baseline="timehut", settings=settings, techniques=(group,)), {}, 0)
    assert job.group.size == 1


def centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(0)


def by_chance(rows: Tensor) -> Tensor:
    return rows + torch.rand_like(rows)


def loaded(model: Callable[[Tensor], Tensor]) -> Loaded:
    made = Loaded.__new__(Loaded)
    record = type("Record", (), {"inputs": SIX})()
    told = {"folder": Path("it"), "record": record, "device": CPU, "model": model}
    for name, value in told.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize("model", [centred, by_chance])
def test_a_model_that_has_no_answer_to_one_row_alone_is_not_served(
    model: Callable[[Tensor], Tensor],
) -> None:
    check_row_by_row(loaded(torch.sin))
    with pytest.raises(BenchError, match="the model in it answers a row otherwise alone than"):
        check_row_by_row(loaded(model))


def test_made_up_rows_are_of_the_range_of_the_data() -> None:
    found = inputs_of(torch.tensor([[3, 7, 4], [5, 3, 3]]))
    assert (found.shape, found.dtype, found.low, found.high) == ((3,), "int64", 3.0, 7.0)
    rows = made_up(found, 50)
    assert rows.dtype is torch.int64
    assert (int(rows.min()), int(rows.max())) == (3, 7)
    positive = made_up(inputs_of(torch.tensor([[0.5, torch.nan, 2.0]])), 50)
    assert 0.5 <= float(positive.min()) < float(positive.max()) <= 2.0
    with pytest.raises(NotApplicable, match="int64, of which none can be made up"):
        made_up(Inputs(shape=(3,), dtype="int64"), 1)


def test_an_answer_without_a_number_agrees_with_itself_alone() -> None:
    nan, one = torch.tensor([torch.nan, 2.0]), torch.tensor([1.0, 2.0])
    assert apart(nan, nan) == 0.0
    assert apart(one, nan) == apart(nan, one) == torch.inf
    assert apart(torch.tensor([torch.inf, 4.0]), torch.tensor([torch.inf, 3.0])) == 0.25
    with pytest.raises(NotApplicable, match="with no number, so that nothing can be compared"):
        compared(lambda rows: rows * torch.nan, lambda rows: rows * torch.nan, SIX, CPU)


class Branching(nn.Module):
    """A model whose way depends on its rows."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows * 2 if rows.sum() > 0 else rows * 3


def test_what_can_not_be_exported_is_said_with_its_line_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(NotApplicable, match=r"test_rebuilt\.py, line \d+: return rows \* 2 if"):
        exported(Branching(), SIX, CPU)
    assert capfd.readouterr() == ("", "")
    fixed = ValueError("Constraints violated (items)!\n  - your code specialized it to be 2. If\n")
    assert operator_in(fixed).endswith("your code specialized it to be 2.")


def test_complex_answers_are_compared_in_both_their_parts() -> None:
    one, other = torch.tensor([1 + 1j]), torch.tensor([1 - 1j])
    assert apart(one, other) == 2.0
    assert not close([one], [other])
    assert close([one], [other.conj()])
