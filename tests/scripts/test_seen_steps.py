"""Steps that are seen for what they are: parts evaluated alone, updates that are left out."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.interception.calls import Calls
from bench.records.counted_steps import ITEMS
from bench.trial.script_facts import advice_of
from tests.scripts.cases import intercepted, losses_of, trial_of

PART = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
x, losses = torch.randn(48, 4), []
y = (x.sum(1) > 0).long()
train = DataLoader(TensorDataset(x, y), 16, shuffle=True)
test = DataLoader(TensorDataset(x, y), 12)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
    def forward(self, a):
        return self.head(a)
class NetWithLoss(nn.Module):
    def __init__(self, net, criterion):
        super().__init__()
        self.net, self.criterion = net, criterion
    def forward(self, a, b):
        return self.criterion(self.net(a), b)
net = Net()
wrapped = NetWithLoss(net, nn.CrossEntropyLoss())
optimizer = torch.optim.SGD(wrapped.parameters(), 0.1)
for epoch in range(3):
    wrapped.train()
    for a, b in train:
        net.head.train()
        loss = wrapped(a, b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        for a, b in test:
            net(a)
"""
FROZEN = """
import torch
from torch import nn
torch.manual_seed(0)
parts = [part for _ in range(12) for part in (nn.Linear(4, 4), nn.BatchNorm1d(4))]
model = nn.Sequential(*parts, nn.Linear(4, 2))
optimizer = torch.optim.SGD(model.parameters(), 0.01)
x, y, losses = torch.randn(16, 4), torch.randint(2, (16,)), []
for _ in range(20):
    model.train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.eval()
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
"""
SCALED = """
import torch
from torch import nn
torch.manual_seed(0)
losses, made, late = [], 0, 0
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), 1e-5, momentum=0.9)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120, growth_factor=2.0**8, growth_interval=2)
for _ in range(24):
    x = torch.randn(16, 8)
    loss = 1000 * (model(x) - x.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    before = scaler.get_scale()
    scaler.update()
    left_out = scaler.get_scale() < before
    made, late = made + (not left_out), late + (left_out and made > 0)
    losses.append(loss.item())
assert late, "a step is left out after the first ones, too"
"""


def written(folder: Path, text: str) -> Path:
    (path := folder / "own.py").write_text(text)
    return path


@pytest.mark.parametrize("away", ["net.eval()", "net.train(False)", "wrapped.eval()"])
def test_a_part_of_what_is_trained_that_is_evaluated_alone_is_in_no_step(
    away: str, tmp_path: Path
) -> None:
    path = written(tmp_path, PART.replace("net.eval()", away))
    run = intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert tuple(run.course.losses) == losses_of(path)
    assert [step.items for step in run.course.timeline.steps] == [16] * 9
    assert all("evaluate" not in step.phases for step in run.course.timeline.steps)
    assert run.course.evaluate_seconds > 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return when learning is switched on and off."""
    found, learn = list[bool](), Calls.learn

    def noted(calls: Calls, yes: bool) -> None:
        found.append(yes)
        learn(calls, yes)

    monkeypatch.setattr(Calls, "learn", noted)
    return found


def test_what_is_put_in_evaluation_mode_again_and_again_is_learnt_once_more(
    tmp_path: Path, asked: list[bool]
) -> None:
    written(tmp_path, PART.replace("net.head.train()", "net.head.eval()"))
    run = intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert [step.items for step in run.course.timeline.steps] == [16] * 9
    once_more = [True, False]  # for each of the two modules
    assert asked == [True, True, False, *once_more, *once_more]


def test_a_step_that_a_scaler_leaves_out_is_one_in_whatever_form_the_optimizer_is(
    tmp_path: Path,
) -> None:
    plain = losses_of(written(tmp_path, SCALED))
    runs = [
        intercepted(trial_of("own", tmp_path, *used, folder=tmp_path))
        for used in ([], ["fused-optimizer"])
    ]
    assert [len(run.course.timeline.steps) for run in runs] == [len(plain)] * 2
    before, fused = (run.course.losses for run in runs)
    assert tuple(before) == plain
    assert fused[0] == plain[0]
    assert all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(fused, plain, strict=True))


@pytest.mark.parametrize("used", [[], ["fused-optimizer"]])
def test_a_rehearsal_waits_for_updates_and_counts_the_work_of_one_step(
    used: list[str], tmp_path: Path
) -> None:
    written(tmp_path, SCALED)
    run = intercepted(trial_of("own", tmp_path, *used, folder=tmp_path, kind="build"))
    assert len(run.course.timeline.steps) > 3
    assert run.flops is not None
    assert run.flops.model_flops_per_step == 2 * 2 * 16 * 8


def test_parts_that_are_frozen_in_every_step_are_learnt_of_once(
    tmp_path: Path, asked: list[bool]
) -> None:
    written(tmp_path, FROZEN)
    intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert sum(asked) <= 3


ALONE = """
import torch
from torch import nn
class Data:
    x = torch.ones(16, 4)
class Net(nn.Linear):
    def forward(self, data):
        return super().forward(data.x if isinstance(data, Data) else data)
model = Net(4, 2).eval()
optimizer = torch.optim.SGD(model.parameters(), 0.01)
for _ in range(6):
    model({given}).square().mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("given", "items"), [("Data.x", 16), ("Data()", 1)])
def test_items_that_nothing_tells_are_unknown_and_steps_are_counted(
    given: str, items: int, tmp_path: Path
) -> None:
    written(tmp_path, ALONE.format(given=given))
    run = intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert [step.items for step in run.course.timeline.steps] == [items] * 6
    assert (ITEMS in advice_of(run, tmp_path).unknown) == (items == 1)
