"""How many items the batches of a script's own making hold, and which may be read ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import NotApplicable
from bench.trial.spec import TrialSpec
from tests.scripts.cases import intercepted, losses_of, trial_of

BEGIN = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
losses, data = [], TensorDataset(torch.randn(20, 3, 2), torch.ones(20))
model = nn.Sequential(nn.Dropout(), nn.Linear(2, 1))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
def fit(batches, inputs=lambda batch: torch.stack(list(batch[0]))):
    for epoch in range(2):
        for batch in batches:
            loss = model(inputs(batch)).pow(2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
"""
LISTS = "fit(DataLoader(data, 4, collate_fn=lambda items: tuple(zip(*items))))"
ALONE = "fit(DataLoader(data, 1, collate_fn=lambda items: tuple(zip(*items))))"
TIME_FIRST = """
def collate(items):
    return torch.stack([x for x, _ in items], 1)
fit(DataLoader(data, 4, collate_fn=collate), inputs=lambda x: x)
"""
MADE_BEFORE = """
whole = [(torch.randn(5, 2),) for _ in range(4)]
fit(DataLoader(whole, 1, collate_fn=lambda items: items[0]))
"""
AT_RANDOM = """
class Sampler:
    def __len__(self):
        return 5
    def __iter__(self):
        for _ in range(5):
            yield torch.randint(20, (4,)).tolist()
fit(DataLoader(data, batch_sampler=Sampler()))
"""
TOGETHER = """
source, target = (DataLoader(data, 4, shuffle=True) for _ in range(2))
fit(zip(source, target), inputs=lambda pair: torch.cat([pair[0][0], pair[1][0]]))
"""
EARLY = """
batches = iter(DataLoader(data, 4, shuffle=True))
model[1].reset_parameters()
fit(batches, inputs=lambda batch: batch[0])
"""
KEEPS = """
import itertools, random
import numpy as np
RNG = np.random.default_rng(0)
class Noisy(torch.utils.data.Dataset):
    def __init__(self):
        self.kept = {made}
    def __len__(self):
        return 20
    def __getitem__(self, i):
        return data[i][0] + {drawn}
fit(DataLoader(Noisy(), 4), inputs=lambda x: x)
"""
COLLATES = """
def collating(scale):
    own = torch.Generator()
    return lambda items: torch.stack([x for x, _ in items]) * scale * torch.rand(1, generator=own)
fit(DataLoader(data, 4, collate_fn=collating(2)), inputs=lambda x: x)
"""
CHOOSES = """
import numpy as np
class Sampler:
    def __init__(self):
        self.rng = np.random.default_rng(0)
    def __len__(self):
        return 5
    def __iter__(self):
        for _ in range(5):
            yield self.rng.integers(20, size=4).tolist()
fit(DataLoader(data, batch_sampler=Sampler()), inputs=lambda batch: batch[0])
"""
CONSUMES = """
class Sampler:
    consumed = 0
    def __len__(self):
        return 5
    def __iter__(self):
        for first in range(self.consumed, 40, 4):
            self.consumed += 4
            yield [at % 20 for at in range(first, first + 4)]
fit(DataLoader(data, batch_sampler=Sampler()), inputs=lambda batch: batch[0])
"""
COUNTS = """
import time
class Counting(torch.utils.data.Dataset):
    def __init__(self):
        self.cache, self.size, self.hits, self.seconds = {}, 0, 0, 0.0
    def __len__(self):
        return 20
    def __getitem__(self, i):
        begun = time.perf_counter()
        self.hits += i in self.cache
        x = self.cache.setdefault(i, data[i][0])
        self.size = len(self.cache)
        self.seconds += time.perf_counter() - begun
        return x
def collating():
    made = [0]
    def collate(items):
        made[0] += 1
        return torch.stack(items)
    return collate
fit(DataLoader(Counting(), 4, collate_fn=collating()), inputs=lambda x: x)
"""
LATE = """
class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return torch.randn(3, 2)
train, late = DataLoader(data, 4, shuffle=True), DataLoader(Noisy(), 4)
for epoch in range(2):
    fit(train, inputs=lambda batch: batch[0])
    with torch.no_grad():
        for x in late:
            model(x)
"""
ANEW = """
for epoch in range(3):
    made = DataLoader(data, 4, shuffle=True)
    fit(made, inputs=lambda batch: batch[0])
    print("workers", made.num_workers)
"""
OWN = "shuffle=True, generator=torch.Generator().manual_seed(1)"


def trial(text: str, folder: Path, **given: str) -> TrialSpec:
    (folder / "own.py").write_text(BEGIN + text)
    return trial_of("own", folder, folder=folder, **given)


@pytest.mark.parametrize(
    ("text", "items"), [(LISTS, 4), (ALONE, 1), (TIME_FIRST, 4), (MADE_BEFORE, 5), (AT_RANDOM, 4)]
)
def test_a_batch_is_of_the_items_that_the_loader_asked_for(
    text: str, items: int, tmp_path: Path
) -> None:
    run = intercepted(trial(text, tmp_path))
    assert {step.items for step in run.course.timeline.steps} == {items}
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")


@pytest.mark.parametrize("text", [LISTS, TIME_FIRST])
def test_batches_read_by_a_thread_are_of_as_many_items(text: str, tmp_path: Path) -> None:
    run = intercepted(trial(text, tmp_path, loader="thread"))
    assert {step.items for step in run.course.timeline.steps} == {4}
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")


def test_items_that_a_sampler_chooses_batch_by_batch_are_not_read_ahead(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="the sampler of a DataLoader draws random numbers"):
        intercepted(trial(AT_RANDOM, tmp_path, loader="thread", kind="build"))


@pytest.mark.parametrize("text", [TOGETHER, EARLY])
def test_an_order_that_workers_would_have_drawn_earlier_is_not_read_by_them(
    text: str, tmp_path: Path
) -> None:
    for kind in ("build", "step"):  # of a probe nothing is rehearsed before
        with pytest.raises(NotApplicable, match="between the beginning of a DataLoader and its fi"):
            intercepted(trial(text, tmp_path, loader="1", kind=kind))
    run = intercepted(trial(text, tmp_path, loader="thread"))
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")


@pytest.mark.parametrize("order", ["shuffle=False", OWN])
def test_an_order_that_nothing_else_has_part_in_is_read_by_workers(
    order: str, tmp_path: Path
) -> None:
    text = EARLY.replace("shuffle=True", order)
    intercepted(trial(text, tmp_path, loader="1", kind="build"))
    run = intercepted(trial(text, tmp_path, loader="1", kind="step"))
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")


@pytest.mark.parametrize("loader", ["thread", "1"])
@pytest.mark.parametrize(
    ("made", "drawn", "name"),
    [
        ("np.random.default_rng(0)", "self.kept.normal()", "dataset.kept"),
        ("np.random.RandomState(0)", "self.kept.normal()", "dataset.kept"),
        ("[random.Random(0)]", "self.kept[0].random()", r"dataset.kept\[0\]"),
        ("torch.Generator()", "torch.rand(1, generator=self.kept)", "dataset.kept"),
        ("itertools.count()", "next(self.kept)", "dataset.kept"),
        ("0", "(vars(self).update(kept=self.kept + 1) or self.kept)", "dataset.kept"),
        ("None", "RNG.normal()", "__main__.RNG"),
    ],
)
def test_items_that_draw_from_what_they_keep_are_not_read_ahead(
    made: str, drawn: str, name: str, loader: str, tmp_path: Path
) -> None:
    text = KEEPS.format(made=made, drawn=drawn)
    with pytest.raises(NotApplicable, match=rf"draw random numbers, or count, .*\({name}\)"):
        intercepted(trial(text, tmp_path, loader=loader, kind="build"))


def test_what_is_collated_with_random_numbers_of_its_own_is_not_read_ahead(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match=r"draw random numbers, or count, .*\(collate_fn"):
        intercepted(trial(COLLATES, tmp_path, loader="1", kind="build"))


@pytest.mark.parametrize("loader", ["thread", "1"])
@pytest.mark.parametrize("text", [CHOOSES, CONSUMES], ids=["chooses", "consumes"])
def test_items_that_a_sampler_chooses_by_what_it_keeps_are_read_ahead(
    text: str, loader: str, tmp_path: Path
) -> None:
    intercepted(trial(text, tmp_path, loader=loader, kind="build"))
    run = intercepted(trial(text, tmp_path, loader=loader))
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")


def test_items_that_a_sampler_chooses_by_what_others_may_draw_from_are_not_read_ahead(
    tmp_path: Path,
) -> None:
    shared = CHOOSES.replace("self.rng.", "RNG.").replace(
        "class", "RNG = np.random.default_rng()\nclass"
    )
    with pytest.raises(NotApplicable, match="the sampler of a DataLoader draws random numbers"):
        intercepted(trial(shared, tmp_path, loader="1", kind="build"))


@pytest.mark.parametrize("loader", ["thread", "1"])
def test_counts_that_change_no_item_are_read_ahead(loader: str, tmp_path: Path) -> None:
    intercepted(trial(COUNTS, tmp_path, loader=loader, kind="build"))
    run = intercepted(trial(COUNTS, tmp_path, loader=loader))
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")


def test_what_is_collated_by_a_count_is_not_read_ahead(tmp_path: Path) -> None:
    counted = COUNTS.replace("return torch.stack(items)", "return torch.stack(items) * made[0]")
    with pytest.raises(NotApplicable, match=r"or count, .*collate_fn \(made\)\[0\]"):
        intercepted(trial(counted, tmp_path, loader="1", kind="build"))


@pytest.mark.parametrize("loader", ["thread", "1"])
def test_a_loader_that_no_rehearsal_comes_to_is_left_as_it_is(loader: str, tmp_path: Path) -> None:
    intercepted(trial(LATE, tmp_path, loader=loader, kind="build"))
    run = intercepted(trial(LATE, tmp_path, loader=loader))
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")


def test_a_loader_that_is_made_anew_for_each_epoch_is_read_as_the_first_one(
    tmp_path: Path,
) -> None:
    run = intercepted(trial(ANEW, tmp_path, loader="1"))
    assert tuple(run.course.losses) == losses_of(tmp_path / "own.py")
    assert (tmp_path / "trial.log").read_text() == "workers 1\n" * 3
