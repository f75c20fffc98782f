"""Clients share no item, what they send is averaged by Flower, and what can't be is named."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.sampling import shuffled
from bench.errors import BenchError, NotApplicable
from bench.job import FixedItems, Job
from bench.use.federated import (
    Plan,
    central,
    check_job,
    dealt,
    local,
    sendable,
    trained_round,
    unfit,
)
from optimizers.early_stopping import EarlyStopping
from tests.jobs import ITEMS, Labelled, job_of

PATIENTS = torch.arange(ITEMS) // 4


def shared_job(**parts: Any) -> Job:
    """Return a job of 8 patients with 4 items each."""
    torch.manual_seed(0)
    x = torch.randn(ITEMS, 6, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()
    items = FixedItems(
        ITEMS, shuffled(ITEMS, 8, 0), lambda rows: Labelled(x[rows], y[rows]), groups=PATIENTS
    )
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return job_of(model, x, y, **{"fixed": items, "batches": items.batches, **parts})


@pytest.mark.parametrize("groups", [None, PATIENTS, torch.arange(ITEMS).sqrt().long()])
def test_every_item_is_one_client_s_and_so_is_all_of_a_patient(groups: Tensor | None) -> None:
    rows = dealt(ITEMS, groups, 3, seed=1)
    assert sorted(torch.cat(rows).tolist()) == list(range(ITEMS))
    assert max(map(len, rows)) - min(map(len, rows)) <= (1 if groups is None else 11)
    owners = [
        set((torch.arange(ITEMS) if groups is None else groups)[own].tolist()) for own in rows
    ]
    assert sum(map(len, owners)) == len(set.union(*owners))
    assert [own.tolist() for own in dealt(ITEMS, groups, 3, seed=1)] == [o.tolist() for o in rows]


def test_more_clients_than_patients_are_refused() -> None:
    with pytest.raises(NotApplicable, match=r"9 clients can't share 8 groups \(patients, say\)"):
        dealt(ITEMS, PATIENTS, 9, seed=0)


def test_a_client_trains_on_its_own_items_alone_and_on_all_of_them() -> None:
    job, rows, seen = shared_job(), dealt(ITEMS, PATIENTS, 3, seed=0)[1], list[int]()
    assert job.fixed is not None
    take = job.fixed.take

    def noted(chosen: Tensor) -> Any:
        seen.extend(chosen.tolist())
        return take(chosen)

    items = replace(job.fixed, take=noted)
    own = local(replace(job, fixed=items, batches=items.batches), rows, seed=0)
    seen.clear()
    sent = trained_round(own, job.model.state_dict(), Plan(1, 2, 0), 1)
    assert set(seen) <= set(rows.tolist())
    assert (len(rows), sent.items, len(seen)) == (12, 8, 16)  # batches of 8, the last one dropped


class Counting(nn.Module):
    """A linear model of what is moved by how often it was trained."""

    moved: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 2)
        self.register_buffer("moved", torch.zeros(6), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            self.moved += 0.5
        found: Tensor = self.linear(rows + self.moved)
        return found


def test_what_a_client_keeps_to_itself_can_not_be_averaged() -> None:
    job = local(replace(shared_job(), model=Counting()), torch.arange(16), 0)
    with pytest.raises(NotApplicable, match="by what it counts outside of its weights"):
        trained_round(job, job.model.state_dict(), Plan(1, 1, 0), 1)


def test_a_client_without_items_is_refused() -> None:
    with pytest.raises(NotApplicable, match="a client has no item to train on"):
        local(shared_job(), torch.arange(0), 0)


def test_weights_of_16_bits_are_sent_as_such_of_32() -> None:
    state = {"w": torch.tensor([1.5], dtype=torch.bfloat16), "n": torch.tensor(3)}
    found = sendable(state)
    assert (found["w"].dtype, found["n"].dtype) == (torch.float32, torch.int64)
    assert float(found["w"]) == 1.5
    assert found["n"].data_ptr() != state["n"].data_ptr()


def test_a_schedule_goes_on_from_round_to_round() -> None:
    told: list[tuple[int, int]] = []
    job = shared_job(schedule=lambda optimizer, p: told.append((p.epoch, p.total_epochs)))
    own = local(job, torch.arange(16), seed=0)
    for number in (1, 2):
        trained_round(own, job.model.state_dict(), Plan(3, 2, 0), number)
    assert told == [(0, 6), (1, 6), (2, 6), (3, 6)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda job: replace(job, fixed=None), "can't be shared out among clients: the job has no"),
        (EarlyStopping().apply, "early-stopping changes the job's stop, which looks at a whole"),
    ],
)
def test_what_has_no_rounds_is_refused(change: Any, said: str) -> None:
    with pytest.raises(NotApplicable, match=said):
        check_job(change(shared_job()))


def test_an_update_that_can_not_be_averaged_says_why() -> None:
    like = {"a": torch.zeros(2), "n": torch.tensor(3)}
    assert unfit({"a": torch.ones(2), "n": torch.tensor(4)}, like) is None
    assert unfit({"a": torch.tensor([1, float("nan")]), "n": like["n"]}, like) == "a holds NaN"
    assert unfit({"a": torch.full((2,), torch.inf), "n": like["n"]}, like) == "a holds an infinity"
    assert unfit({"a": torch.ones(3), "n": like["n"]}, like) == "a has the shape (3,), not (2,)"
    assert unfit({"a": torch.ones(2)}, like) == "its weights have other names"


def test_training_on_all_at_once_tells_the_metric_where_rounds_end() -> None:
    found = central(shared_job(), Plan(3, 2, 0))
    assert [one.epoch for one in found] == [2, 4, 6]


def test_a_missing_extra_is_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.cli.federating import Asked, federate

    for name in ("flwr", "flwr.app", "bench.use.flower"):
        monkeypatch.setitem(sys.modules, name, None)
    asked = Asked(tmp_path, 3, 1, 1, 0, None, "cpu", None, tmp_path, False)
    with pytest.raises(BenchError, match=r'"trainpairs\[federated\]".*--no-deps flwr==1') as said:
        federate(asked)
    assert "\n" not in str(said.value)


def test_a_client_that_sends_nan_is_refused_by_name_and_one_that_is_gone_is_missed() -> None:
    pytest.importorskip("flwr.serverapp", reason="flwr comes by itself: its pins clash with ours")
    from bench.use.flower import Round, simulated

    plan, rounds, sent = Plan(3, 1, 0), list[Round](), dict[tuple[int, int], Any]()

    def tamper(client: int, number: int, state: Any) -> Any:
        sent[client, number] = state
        if (client, number) == (2, 2):
            return {**state, "0.weight": state["0.weight"] * float("nan")}
        return None if client == 3 and number >= 2 else state

    rows = dealt(ITEMS, PATIENTS, 3, seed=0)
    clients = [local(shared_job(), own, number) for number, own in enumerate(rows)]
    simulated(shared_job(), clients, plan, rounds.append, tamper)

    assert [one.averaged for one in rounds] == [(1, 2, 3), (1,), (1, 2)]
    assert [dict(one.left_out) for one in rounds] == [
        {}, {2: "0.weight holds NaN", 3: "no answer"}, {},
    ]  # fmt: skip
    assert rounds[0].items == 3 * 8
    assert all(0 <= one.metrics["accuracy"] <= 1 for one in rounds)
    assert set(sent) == {(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (1, 3), (2, 3)}


def test_flower_averages_by_items() -> None:
    pytest.importorskip("flwr.serverapp", reason="flwr comes by itself: its pins clash with ours")
    from bench.use.flower import simulated

    sent: list[Any] = []

    def noted(client: int, number: int, state: Any) -> Any:
        sent.append(state)
        return state

    rows = [torch.arange(8), torch.arange(8, ITEMS)]
    clients = [local(shared_job(), own, 0) for own in rows]
    found = simulated(shared_job(), clients, Plan(1, 1, 0), lambda one: None, noted)
    expected = (8 * sent[0]["0.weight"] + 24 * sent[1]["0.weight"]) / 32
    torch.testing.assert_close(found["0.weight"], expected)
