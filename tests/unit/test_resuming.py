"""A training that is ended after some epoch and taken up again goes on as if nothing had been."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.batches import Batch
from bench.errors import BenchError
from bench.job import Job, Progress
from bench.model.carried import CannotRemember
from bench.model.unsaved import put_back
from bench.model.weights_file import state_of
from bench.records.recipe import Recipe
from bench.testing import Case, refusal
from bench.trial.checkpoint import Checkpointer
from bench.trial.training import Trained, train
from bench.trial.training_state import PartsState
from tests.contract.cases import QUICK, SMALL, TINY
from tests.jobs import linear_job

RECIPE = Recipe(baseline="x", settings={})


class Killed(Exception):  # noqa: N818 - what a kill is to a training
    """Raised where a process would have been ended."""


def keeper(path: Path, resume: bool = False, note: Any = lambda text: None) -> Checkpointer:
    return Checkpointer(path / "unfinished.pt", RECIPE, 0, resume, note)


def ended_after(job: Job, epochs: int, path: Path) -> None:
    """Train until the step after some whole epochs."""

    def wrapper(old: Any) -> Any:
        def batches(progress: Progress) -> Iterator[Batch]:
            for batch in old(progress):
                if progress.epoch == epochs:
                    random.random(), np.random.random(), torch.rand(1)
                    raise Killed
                yield batch

        return batches

    with pytest.raises(Killed):
        train(job.wrap("batches", wrapper, by="test"), keeper=keeper(path))


def taken_up(case: Case, path: Path, *techniques: str) -> tuple[Trained, Trained]:
    """Return a whole training, and one that was ended after its first epoch and taken up."""
    whole = train(case.job(*techniques))
    ended_after(case.job(*techniques), 1, path)
    torch.manual_seed(99)
    again = unended(case.job(*techniques))
    return whole, train(again, keeper=keeper(path, resume=True))


def unended(job: Job) -> Job:
    """Return a job with its batches wrapped as often as those of one that is ended."""
    return job.wrap("batches", lambda old: lambda progress: iter(old(progress)), by="test")


def assert_same(whole: Trained, again: Trained) -> None:
    assert again.losses == whole.losses
    assert again.progress == whole.progress
    assert [e.values for e in again.evaluations] == [e.values for e in whole.evaluations]
    state, other = state_of(whole.model).tensors, state_of(again.model).tensors
    assert all(torch.equal(state[name], other[name]) for name in state)


@pytest.mark.parametrize("name", SMALL)
def test_every_baseline_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    assert_same(*taken_up(Case(name, SMALL[name]), tmp_path))


@pytest.mark.parametrize("name", QUICK)
def test_every_technique_goes_on_bit_for_bit_or_says_why_not(name: str, tmp_path: Path) -> None:
    fit = [case for case in TINY if refusal(case, name) is None]
    if not fit:
        pytest.skip("applies to none of the small nets")
    case = Case(fit[0].baseline, {**fit[0].settings, "epochs": 4})
    try:
        assert_same(*taken_up(case, tmp_path, name))
    except BenchError as reason:
        said = str(reason)
        assert "can't be resumed: " in said
        assert "can't be kept" in said or "change their shapes" in said


class Annealed(nn.Module):
    """Answers by its weights, and by how often it was trained, which no state dict holds."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.steps = nn.Linear(6, 2), 0
        self.register_buffer("mean", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, 6)`` to ``(B, 2)``."""
        if self.training:
            self.steps += 1
            self.mean += 0.1
        found: torch.Tensor = self.layer(x * self.mean) / self.steps
        return found


def test_what_a_model_keeps_besides_its_state_goes_on_too(tmp_path: Path) -> None:
    def job() -> Job:
        torch.manual_seed(0)
        return linear_job(model=Annealed())

    whole = train(job())
    ended_after(job(), 1, tmp_path)
    assert_same(whole, train(unended(job()), keeper=keeper(tmp_path, resume=True)))


def test_a_training_whose_epochs_were_over_only_finishes(tmp_path: Path) -> None:
    whole = train(linear_job(), keeper=keeper(tmp_path))
    job = linear_job().wrap("step", lambda old: None, by="test")  # a step would fail
    assert_same(whole, train(job, keeper=keeper(tmp_path, resume=True)))


def test_seconds_before_the_end_count_too(tmp_path: Path) -> None:
    job = linear_job(evaluate_every=1)
    ended_after(job, 2, tmp_path)
    again = train(unended(linear_job(evaluate_every=1)), keeper=keeper(tmp_path, resume=True))
    seconds = [e.train_seconds for e in again.evaluations]
    assert len(seconds) == 3
    assert seconds == sorted(seconds)


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nothing to resume: there is no"):
        train(linear_job(), keeper=keeper(tmp_path, resume=True))


def test_a_checkpoint_of_another_seed_is_refused(tmp_path: Path) -> None:
    ended_after(linear_job(), 1, tmp_path)
    other = Checkpointer(tmp_path / "unfinished.pt", RECIPE, 7, resume=True)
    with pytest.raises(BenchError, match="of seed 0, not 7"):
        train(linear_job(), keeper=other)


def test_a_torn_checkpoint_is_one_line(tmp_path: Path) -> None:
    ended_after(linear_job(), 1, tmp_path)
    path = tmp_path / "unfinished.pt"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BenchError, match=r"can't be read .*start anew"):
        train(linear_job(), keeper=keeper(tmp_path, resume=True))


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"format": 1, "x": Evil()}, tmp_path / "unfinished.pt")
    with pytest.raises(BenchError, match="can't be read"):
        train(linear_job(), keeper=keeper(tmp_path, resume=True))
    assert not (tmp_path / "ran").exists()


def test_what_can_t_be_kept_is_said_and_training_goes_on_without(tmp_path: Path) -> None:
    found: dict[str, object] = {}

    def stop(job: Job, progress: Progress) -> bool:
        found["now"] = object()
        return False

    said: list[str] = []
    result = train(linear_job(stop=stop), keeper=keeper(tmp_path, note=said.append))
    assert result.progress.epoch == 3
    assert not (tmp_path / "unfinished.pt").exists()
    assert len(said) == 1
    assert "stop[found] changes while it trains, and a object can't be kept" in said[0]


class Counts:
    """Remembers in every way that there is."""

    def __init__(self, weights: Any) -> None:
        self.epochs, self.seen, self.means = 0, [0.0], {"a": torch.zeros(2)}
        self.lowest, self.table = np.float64(9), np.zeros(3)
        self.weights: Any = None
        self._source = weights

    def look(self, job: Job, progress: Progress) -> bool:
        self.epochs += 1
        self.seen.append(float(self.epochs))
        self.means["a"] += 1
        self.table[1] += 2
        self.lowest = np.float64(0.1) / self.epochs
        self.weights = list(job.model.parameters())
        return False


def test_attributes_closures_and_references_come_back() -> None:
    def made() -> tuple[Job, Counts, Any]:
        counts, calls = Counts(None), 0

        def schedule(optimizer: Any, progress: Progress) -> None:
            nonlocal calls
            calls += 1

        job = linear_job(stop=counts.look, schedule=schedule)
        return job, counts, lambda: calls

    job, counts, calls = made()
    optimizer = job.make_optimizer(job.model)
    memory = PartsState(job, optimizer)
    for epoch in (1, 2):
        job.schedule(optimizer, Progress(3, epoch))
        job.stop(job, Progress(3, epoch))
    kept = memory.taken()
    other, others, other_calls = made()
    PartsState(other, other.make_optimizer(other.model)).put_back(kept)
    assert (others.epochs, others.seen, other_calls()) == (2, [0.0, 1.0, 2.0], calls())
    assert torch.equal(others.means["a"], counts.means["a"])
    assert others.table.tolist() == [0, 4, 0]
    assert others.lowest == counts.lowest == 0.05
    assert [id(w) for w in others.weights] == [id(p) for p in other.model.parameters()]


def test_a_checkpoint_with_numbers_of_numpy_is_read_back(tmp_path: Path) -> None:
    counts = Counts(None)
    ended_after(linear_job(stop=counts.look), 2, tmp_path)
    again = Counts(None)
    train(unended(linear_job(stop=again.look)), keeper=keeper(tmp_path, resume=True))
    assert (again.epochs, again.table.tolist()) == (3, [0, 6, 0])


@pytest.mark.parametrize("container", [set(), deque()])
def test_a_container_that_can_t_be_kept_is_not_silently_lost(container: Any) -> None:
    def stop(job: Job, progress: Progress) -> bool:
        (container.add if isinstance(container, set) else container.append)(progress.epoch)
        return False

    job = linear_job(stop=stop)
    memory = PartsState(job, job.make_optimizer(job.model))
    job.stop(job, Progress(3, 1))
    with pytest.raises(CannotRemember, match="can't be kept"):
        memory.taken()


def test_an_iterator_can_t_be_kept() -> None:
    rows = iter(range(10))
    job = linear_job(stop=lambda job, progress: next(rows) > 8)
    with pytest.raises(CannotRemember, match="range_iterator, whose place can't be kept"):
        PartsState(job, job.make_optimizer(job.model))


class Counting(nn.Linear):
    """Counts its calls in an extra state, which is no tensor."""

    calls: Any = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls = self.calls + 1
        return super().forward(x)

    def get_extra_state(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def set_extra_state(self, state: Any) -> None:
        self.calls = state["calls"]


def test_an_extra_state_that_is_no_tensor_goes_on_too(tmp_path: Path) -> None:
    whole = train(linear_job(model=Counting(6, 2)))
    ended_after(linear_job(model=Counting(6, 2)), 1, tmp_path)
    job = unended(linear_job(model=Counting(6, 2)))
    train(job, keeper=keeper(tmp_path, resume=True))
    assert isinstance(whole.model, Counting)
    assert isinstance(job.model, Counting)
    assert job.model.calls == whole.model.calls


def test_an_extra_state_of_other_objects_is_named_once(tmp_path: Path) -> None:
    said: list[str] = []
    model = Counting(6, 2)
    model.calls = np.int64(0)
    train(linear_job(model=model), keeper=keeper(tmp_path, note=said.append))
    assert said == ["this training couldn't be resumed: _extra_state holds more than plain values,"
                    " which can't be kept"]  # fmt: skip


class Lookahead(torch.optim.Optimizer):
    """Steps by another optimizer, and every third time goes half the way back to slow weights."""

    def __init__(self, weights: list[nn.Parameter], aliased: bool) -> None:
        super().__init__(weights, {"lr": 0.05})
        self.inner = torch.optim.SGD(weights, lr=0.05, momentum=0.9)
        if aliased:
            self.param_groups = self.inner.param_groups
        self.slow, self.count = [weight.detach().clone() for weight in weights], 0
        self.weights = weights

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # torch's has two forms
        self.inner.step()
        self.count += 1
        for slow, weight in zip(self.slow, self.weights, strict=True):
            if self.count % 3 == 0:
                weight.copy_(slow.lerp_(weight, 0.5))


def halved(optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    for group in optimizer.param_groups:
        group["lr"] = 0.05 / 2**progress.epoch


@pytest.mark.parametrize("aliased", [True, False])
def test_an_optimizer_that_steps_by_another_goes_on_too(aliased: bool, tmp_path: Path) -> None:
    def job() -> Job:
        return linear_job(
            schedule=halved, make_optimizer=lambda m: Lookahead([*m.parameters()], aliased)
        )

    whole = train(job())
    ended_after(job(), 1, tmp_path)
    assert_same(whole, train(unended(job()), keeper=keeper(tmp_path, resume=True)))


class Stateful(nn.Linear):
    """Adds to its answer what it remembers of the last batch."""

    last: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = super().forward(x)
        if self.last is not None:
            found = found + self.last
        if self.training:
            self.last = found.detach().mean(0)
        return found


def test_a_state_that_a_model_carries_over_batches_goes_on_too(tmp_path: Path) -> None:
    def job() -> Job:
        torch.manual_seed(0)
        return linear_job(model=Stateful(6, 2))

    whole = train(job())
    ended_after(job(), 1, tmp_path)
    assert_same(whole, train(unended(job()), keeper=keeper(tmp_path, resume=True)))


class Carrying(nn.Linear):
    """Adds to its answer what it carries in tuples, lists, dicts and generators."""

    def __init__(self) -> None:
        super().__init__(6, 2)
        start = torch.zeros(2)
        self.state: Any = (start, start)
        self.queue = deque([torch.zeros(2)], maxlen=3)
        self.counts: dict[str, Any] = {"calls": 0, "of": [1.0]}
        self.draw, self.other = torch.Generator().manual_seed(1), np.random.default_rng(1)
        self.old, self.third = np.random.RandomState(1), random.Random(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, 6)`` to ``(B, 2)``."""
        found = super().forward(x) + self.state[0].detach() - self.state[1].detach() / 2
        found = found + sum(self.queue) * self.counts["calls"] / sum(self.counts["of"]) / 9
        if self.training:
            drawn = self.other.random() + self.old.rand() + self.third.random()
            found = found + torch.rand(2, generator=self.draw) * drawn
            self.state = found.mean(0), found.amax(0)
            self.queue.append(found.detach().amin(0))
            self.counts["calls"] += 1
            self.counts["of"].append(float(self.counts["calls"]))
        return torch.as_tensor(found)


def test_what_a_model_carries_in_containers_and_generators_goes_on_too(tmp_path: Path) -> None:
    def job() -> Job:
        torch.manual_seed(0)
        return linear_job(model=Carrying())

    whole = train(job())
    ended_after(job(), 1, tmp_path)
    assert_same(whole, train(unended(job()), keeper=keeper(tmp_path, resume=True)))


def test_what_a_model_carries_and_can_t_be_kept_is_said(tmp_path: Path) -> None:
    class Odd(nn.Linear):
        seen: Any = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen = [object()]
            return super().forward(x)

    said: list[str] = []
    train(linear_job(model=Odd(6, 2)), keeper=keeper(tmp_path, note=said.append))
    assert said == ["this training couldn't be resumed: the model's seen changes while it trains,"
                    " and a object in it can't be kept"]  # fmt: skip


def test_a_tensor_that_two_places_hold_is_filled_where_it_is() -> None:
    model = nn.Linear(6, 2)
    model.register_buffer("mean", torch.zeros(2), persistent=False)
    held, kept = model.mean, {"mean": torch.ones(2)}
    put_back(model, kept)
    assert model.mean is held
    assert held.tolist() == [1, 1]  # type: ignore[operator]  # a tensor
