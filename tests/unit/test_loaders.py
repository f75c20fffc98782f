"""A baseline from a model and two loaders."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import bench
from bench.cli import template
from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress
from bench.metrics import ItemMean
from bench.recipes import registry
from bench.testing import CPU, Case, stepped
from bench.trial.training import train
from optimizers.dynamic_lr import DynamicLR
from optimizers.limit_steps import LimitSteps

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def loader(size: int = 8, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(X, Y), size, **options)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).float().mean()


def baseline(**changes: Any) -> Any:
    given: dict[str, Any] = {
        "model": lambda: nn.Linear(4, 2), "train": loader(shuffle=True), "test": loader(25),
        "loss": nn.functional.cross_entropy, "metrics": {"accuracy": accuracy}, "epochs": 2,
        "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    }  # fmt: skip
    return bench.from_loaders(**{**given, **changes})


def job(seed: int = 0, settings: dict[str, Any] | None = None, **changes: Any) -> Job:
    made = baseline(**changes)
    torch.manual_seed(seed)
    built: Job = made.job(registry.make_settings(made, settings or {}), CPU, seed)
    return built


def rows(of: Job) -> list[list[int]]:
    """Return which items each batch of an epoch holds."""
    place = {tuple(x.tolist()): at for at, x in enumerate(X)}
    return [[place[tuple(x.tolist())] for x in batch[0]] for batch in of.batches(Progress(1))]


def test_it_trains_and_is_judged_by_its_first_metric() -> None:
    made = baseline()
    assert (made.target.metric, made.settings().epochs, made.settings().batch_size) == (
        "accuracy", 2, 8,
    )  # fmt: skip
    result = train(job(settings={"epochs": 6}))
    assert result.evaluations[-1].values["accuracy"] > 0.9
    assert len(result.losses) == 6 * 8


def test_the_order_of_items_follows_from_the_seed_alone() -> None:
    assert rows(job(seed=1)) == rows(job(seed=1)) != rows(job(seed=2))
    one, other = job(seed=1), job(seed=1)
    torch.manual_seed(99)
    assert rows(one) == rows(other)


def test_a_generator_of_the_loader_is_left_alone_and_does_not_tie_two_jobs() -> None:
    own = torch.Generator().manual_seed(5)
    before = own.get_state()
    given = loader(shuffle=True, generator=own)
    assert rows(job(seed=1, train=given)) == rows(job(seed=1, train=given))
    assert torch.equal(own.get_state(), before)


def test_drawing_a_batch_leaves_the_training_s_random_state() -> None:
    made = job()
    before = torch.get_rng_state()
    list(made.batches(Progress(1)))
    made.evaluate(made.model)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_size_of_batches_is_a_setting() -> None:
    assert [len(batch) for batch in rows(job(settings={"batch_size": 25}))] == [25, 25, 10]
    assert job(settings={"batch_size": 25}).epoch_steps == 3


def test_a_function_makes_another_model_for_every_seed_and_a_model_is_the_same() -> None:
    assert not torch.equal(job(seed=1).model.weight, job(seed=2).model.weight)  # type: ignore[arg-type]
    given = nn.Linear(4, 2)
    one, other = job(seed=1, model=given).model, job(seed=2, model=given).model
    assert torch.equal(one.weight, other.weight)  # type: ignore[arg-type]
    assert one is not other is not given


class Named(nn.Module):
    """Takes its inputs by name, and answers with a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 2)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> dict[str, Tensor | None]:
        return {"logits": self.net(x if scale is None else x * scale[:, None]), "extra": None}


class Items(Dataset[Any]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, at: int) -> dict[str, Any]:
        return {"x": X[at], "labels": int(Y[at]), "scale": torch.tensor(1.0)}


def by_name(**changes: Any) -> dict[str, Any]:
    return {
        "model": Named, "train": DataLoader(Items(), 8), "test": DataLoader(Items(), 25),
        "loss": lambda out, y: nn.functional.cross_entropy(out["logits"], y),
        "metrics": {"accuracy": lambda out, y: accuracy(out["logits"], y)},
        **changes,
    }  # fmt: skip


def test_inputs_may_have_names_and_answers_parts() -> None:
    made = job(**by_name())
    asked: Any = made.sample
    assert asked(3)["x"].shape == (3, 4)
    assert asked(40)["scale"].shape == (40,)
    assert train(made).evaluations[-1].values["accuracy"] > 0.5


def test_another_part_can_be_the_target() -> None:
    made = job(label=0, train=DataLoader(TensorDataset(Y, X), 8), test=[(Y, X)])
    assert torch.equal(made.sample(2)[0], X[:2])
    with pytest.raises(BenchError, match=r"a batch of \['x', 'labels', 'scale'\] has no part 'y'"):
        job(**by_name(label="y"))


def test_metrics_see_the_whole_test_part_at_once() -> None:
    seen = []

    def noting(outputs: Tensor, targets: Tensor) -> float:
        seen.append((outputs.shape, targets.shape))
        return 1.0

    made = job(metrics={"accuracy": noting})
    made.evaluate(made.model)
    assert seen == [((60, 2), (60,))]


def test_outputs_that_can_t_be_joined_are_the_user_s_to_fix() -> None:
    made = job(model=lambda: nn.Identity(), test=[(torch.zeros(2, 3), Y[:2]), (X[:2], Y[:2])])
    with pytest.raises(BenchError, match=r"can't be joined .* pad them to one length"):
        made.evaluate(made.model)


def test_a_batch_that_is_one_tensor_is_its_own_target() -> None:
    made = job(
        model=lambda: nn.Linear(4, 4), train=[X[:30], X[30:]], test=[X],
        loss=nn.functional.mse_loss, metrics={"neg_mse": lambda out, x: -(out - x).square().mean()},
    )  # fmt: skip
    losses, _ = stepped(made, 4)
    assert losses[-1] < losses[0]


def test_what_is_held_out_is_validated_item_by_item() -> None:
    made = job(held_out=loader(50))
    assert made.validate is not None
    model = made.model.eval()
    assert made.validate(model) == pytest.approx(
        nn.functional.cross_entropy(model(X), Y).item(), rel=1e-5
    )
    assert job().validate is None


def test_further_parts_go_to_the_job() -> None:
    made = job(clip=0.5, epochs=1)
    assert made.clip == 0.5


class Noisy(Items):
    def __getitem__(self, at: int) -> dict[str, Any]:
        noise = torch.randn(4) + random.random() + float(np.random.rand())
        return {**super().__getitem__(at), "x": X[at] + noise, "name": f"item {at}"}


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return zip(X, Y, strict=True)


def test_data_has_the_same_hash_twice_and_other_data_another() -> None:
    def digest(train: Any, test: Any = None) -> str:
        made = job(train=train, test=test or loader(25))
        return made.data.sha256

    assert digest(loader()) == digest(loader())
    whole, half = Subset(TensorDataset(X, Y), range(60)), Subset(TensorDataset(X, Y), range(30))
    assert digest(DataLoader(whole, 8)) != digest(DataLoader(half, 8))
    other = DataLoader(TensorDataset(X + 1, Y), 8)
    assert digest(other) != digest(loader())
    assert digest([(X, Y)]) != digest([(X + 1, Y)])


class Held(Dataset[Any]):
    """Items that are made of what it holds, in one of the ways in which people keep them."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, at: int) -> Any:
        return X[at % 60], Y[at % 60]


CHANGED = 77
"""None of the items that are looked at one by one."""


@pytest.mark.parametrize(
    "keep",
    [
        lambda column: torch.tensor(column), np.array, list, pd.Series, "".join,
        lambda column: {"a": column}, lambda column: [Held(column)],
        lambda column: pd.DataFrame({"a": column, "b": "text"}),
    ],
    ids=["tensor", "array", "list", "series", "text", "dict", "nested", "frame"],
)  # fmt: skip
def test_a_hash_covers_items_that_a_data_set_holds(keep: Any) -> None:
    def digest(changed: bool) -> str:
        column: list[Any] = list(range(1000))
        column[CHANGED] += changed
        held = keep(list(map(str, column)) if keep == "".join else column)
        return job(train=DataLoader(Held(held), 8)).data.sha256

    assert digest(changed=False) == digest(changed=False)
    assert digest(changed=False) != digest(changed=True)


def test_a_hash_covers_what_is_held_out() -> None:
    cards = [
        job(held_out=DataLoader(TensorDataset(X + shift, Y), 8)).data for shift in (0.0, 0.0, 1.0)
    ]
    assert cards[0] == cards[1] != cards[2]
    assert cards[0].sha256 != job().data.sha256


def test_what_a_hash_does_not_cover_is_said() -> None:
    (note,) = job(train=DataLoader(Held(None), 8)).data.notes
    assert note == "the data's hash covers 64 of 1000 items: they are read one by one"
    (note,) = job(train=DataLoader(Stream(), 8)).data.notes
    assert note == "the data's hash covers no item of a stream"
    assert job().data.notes == ()


def test_augmented_items_have_one_hash() -> None:
    one, other = (job(**by_name(train=DataLoader(Noisy(), 8))).data for _ in range(2))
    assert one == other
    assert (one.train_items, one.test_items) == (60, 60)


def test_a_stream_is_trained_on_as_it_comes() -> None:
    made = job(train=DataLoader(Stream(), 8))
    assert "batch_size" not in baseline(train=DataLoader(Stream(), 8)).settings.model_fields
    assert made.epoch_steps is None
    assert len(train(made).losses) == 16


def test_without_metrics_nothing_could_be_judged() -> None:
    with pytest.raises(BenchError, match="metrics is empty"):
        baseline(metrics={})


def test_the_short_template_trains(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    told = template.write(file, loaders=True)
    assert told.endswith(f"bench --baseline {file}:MyModel --baseline-only")
    assert len(file.read_text().splitlines()) < 30
    losses, _ = stepped(Case(f"{file}:MyModel").job("mixed-precision"), 20)
    assert losses[-1] < losses[0]


DRAWN: dict[str, tuple[dict[str, Any], int | None]] = {
    "all": ({"shuffle": True}, None),
    "some": ({"sampler": SubsetRandomSampler(range(16))}, 16),
    "more than there are": ({"sampler": WeightedRandomSampler([1.0] * 60, 200)}, 200),
    "whole batches": ({"drop_last": True}, 56),
}


@pytest.mark.parametrize("how", DRAWN)
def test_an_epoch_has_the_items_that_are_drawn(how: str) -> None:
    options, items = DRAWN[how]
    made = job(train=loader(**options))
    assert (made.epoch_items, made.data.train_items) == (items, 60)
    assert sum(map(len, rows(made))) == (items or 60)


def test_batches_of_a_list_or_a_dataset_are_counted_by_their_items() -> None:
    assert job(train=DataLoader(TensorDataset(X, Y), batch_sampler=[[0, 1], [2]])).epoch_items == 3
    made = [(X[:8], Y[:8]), (X[8:20], Y[8:20])]
    assert job(train=DataLoader(made, batch_size=None)).data.train_items == 20  # type: ignore[arg-type]


def test_what_needs_the_items_of_an_epoch_is_refused_on_a_stream() -> None:
    made = job(train=DataLoader(Stream(), 8))
    for technique in (LimitSteps(), DynamicLR()):
        with pytest.raises(NotApplicable, match="how many items an epoch has is not known"):
            technique.apply(made)
    assert train(DynamicLR(per="epoch").apply(made)).losses


def test_a_batch_of_one_part_is_what_it_is_to_give_back() -> None:
    alone = DataLoader(TensorDataset(X), 8)
    made = job(
        train=alone, test=alone, model=lambda: nn.Linear(4, 4), loss=nn.functional.mse_loss,
        metrics={"mse": lambda outputs, targets: (outputs - targets).square().mean()},
    )  # fmt: skip
    assert len(train(made).losses) == 2 * 8


@pytest.mark.parametrize("kind", [np.array, list, torch.Tensor.float])
def test_the_scores_of_items_may_be_of_any_make(kind: Any) -> None:
    made = job(metrics={"accuracy": lambda out, y: kind(out.argmax(1) == y)})
    found = made.evaluate(made.model)["accuracy"]
    assert isinstance(found, ItemMean)
    assert found == pytest.approx(job().evaluate(made.model)["accuracy"])


@pytest.mark.parametrize("shape", [(60, 3), (2,)])
def test_a_metric_of_another_shape_is_refused_by_its_name(shape: tuple[int, ...]) -> None:
    made = job(metrics={"recall": lambda outputs, targets: torch.ones(shape)})
    said = re.escape(f"the metric recall gave the shape {shape}; it gives one number, or one of")
    with pytest.raises(BenchError, match=said):
        made.evaluate(made.model)
