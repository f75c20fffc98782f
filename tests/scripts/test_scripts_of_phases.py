"""Scripts whose optimizers follow one another, fail within a step, or compile a step's loss."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from bench.trial.script import ScriptRun
from tests.scripts.cases import intercepted, losses_of, trial_of

BEGIN = """
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
x, losses = torch.randn(48, 4), []
y = (x.sum(1) > 0).long()
train = DataLoader(TensorDataset(x, y), 16, shuffle=True)
def fit(model, optimizer, epochs=1):
    for _ in range(epochs):
        for a, b in train:
            loss = cross_entropy(model(a), b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
"""
ANEW = """
model = nn.Linear(4, 2)
for epoch in range(3):
    fit(model, torch.optim.Adam(model.parameters(), 0.01))
"""
FOLDS = """
for fold in range(3):
    model = nn.Linear(4, 2)
    fit(model, torch.optim.Adam(model.parameters(), 0.01))
"""
PRETRAINED = """
encoder, decoder = nn.Linear(4, 4), nn.Linear(4, 2)
fit(nn.Sequential(encoder, decoder), torch.optim.SGD(decoder.parameters(), 0.1))
fit(nn.Sequential(encoder, decoder), torch.optim.SGD([*encoder.parameters()], 0.1), 2)
"""
FAILING = """
model, tries = nn.Linear(4, 2), 0
optimizer = torch.optim.LBFGS(model.parameters(), max_iter=1)
for epoch in range(3):
    for a, b in train:
        def closure():
            global tries
            tries += 1
            if tries == 3:
                raise ValueError("a bad batch")
            optimizer.zero_grad()
            loss = cross_entropy(model(a), b)
            loss.backward()
            return loss
        try:
            losses.append(optimizer.step(closure).item())
        except ValueError:
            pass
"""
ANOTHER = """
other = torch.optim.LBFGS(nn.Linear(1, 1).parameters())
def fail():
    raise ValueError
try:
    other.step(fail)
except ValueError:
    model = nn.Linear(4, 2)
    fit(model, torch.optim.SGD(model.parameters(), 0.1), 3)
"""


def run_of(text: str, folder: Path, kind: str = "full") -> ScriptRun:
    (folder / "own.py").write_text(BEGIN + text)
    return intercepted(trial_of("own", folder, folder=folder, kind=kind, steps=15))


@pytest.mark.parametrize("text", [ANEW, FOLDS, PRETRAINED, FAILING, ANOTHER])
def test_each_update_is_a_step_whichever_optimizer_makes_it(text: str, tmp_path: Path) -> None:
    run = run_of(text, tmp_path)
    plain = losses_of(tmp_path / "own.py")
    assert tuple(run.course.losses) == plain
    assert len(run.course.timeline.steps) == len(plain) >= 8


@pytest.mark.parametrize("text", [ANEW, FOLDS])
def test_a_trial_ends_after_its_steps_though_another_optimizer_makes_them(
    text: str, tmp_path: Path
) -> None:
    run = run_of(text.replace("range(3)", "range(30)"), tmp_path, kind="step")
    assert len(run.course.timeline.steps) in (15, 16, 17)


def test_models_and_optimizers_that_a_script_lets_go_of_are_not_kept(tmp_path: Path) -> None:
    run = run_of(FOLDS, tmp_path)
    assert len(run.script.models) == 1
    gc.collect()
    assert not [*run.script.optimizers]
