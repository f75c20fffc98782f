"""Scripts whose weights are laid out channels last while an optimizer keeps numbers of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.errors import NotApplicable
from bench.interception.events import Recorder
from bench.interception.script import Script
from optimizers import fused_optimizer
from tests.scripts.cases import intercepted, losses_of, trial_of

BEGIN = """
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
optimizer = torch.optim.{}(net.parameters(), 0.05)
losses = []
def step():
    loss = net(torch.randn(4, 3, 8, 8)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
"""
LOADED = """
kept = optimizer.state_dict()
kept["state"] = {
    number: {
        "step": torch.tensor(9.0),
        "exp_avg": torch.randn(p.shape),
        "exp_avg_sq": torch.rand(p.shape),
    }
    for number, p in enumerate(net.parameters())
}
optimizer.load_state_dict(kept)
"""
STEPS = "for _ in range(6): step()\n"
BOTH = ("channels-last", "fused-optimizer")


@pytest.mark.parametrize(
    ("kind", "then", "name"),
    [
        ("Adam", LOADED, "exp_avg"),
        ("Adam", STEPS + LOADED, "exp_avg"),
        ("Adagrad", "", "sum"),  # it makes its state when it is made
    ],
)
def test_state_that_lies_otherwise_than_the_weights_is_not_updated_by_a_fused_form(
    kind: str, then: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "lies.py").write_text(BEGIN.format(kind) + then + STEPS)
    said = rf"the {name} that is loaded for a weight \(8, 3, 3, 3\), or made .* form=foreach"
    with pytest.raises(NotApplicable, match=said):
        intercepted(trial_of("lies", tmp_path, *BOTH, folder=tmp_path))
    losses = intercepted(trial_of("lies", tmp_path, BOTH[1], folder=tmp_path)).course.losses
    assert losses == pytest.approx(losses_of(tmp_path / "lies.py"), rel=1e-2)


def test_weights_that_are_laid_out_between_steps_take_their_state_along(tmp_path: Path) -> None:
    """A model in evaluation mode is looked at in the first step, and changed in the second."""
    (tmp_path / "asks.py").write_text(BEGIN.format("Adam") + "net.eval()\n" + STEPS)
    losses = intercepted(trial_of("asks", tmp_path, *BOTH, folder=tmp_path)).course.losses
    assert losses == pytest.approx(losses_of(tmp_path / "asks.py"), rel=1e-2)


def test_layouts_are_looked_at_once_whether_or_not_all_weights_get_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A head that is unused, and one that is used in every other step."""
    looks: list[object] = []
    monkeypatch.setattr(fused_optimizer, "_check_late", looks.append)
    body, head = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()])
    script = Script(torch.device("cpu"), Recorder())
    fused_optimizer.FusedOptimizer().intercept(script)
    script.changes_optimizer(optimizer)
    seen: list[int] = []
    for used in (False, False, False, True, False, True):
        optimizer.zero_grad()
        found = body(torch.ones(1, 2))
        (head(found) if used else found).sum().backward()
        optimizer.step()
        seen.append(len(looks))
    assert seen == [1, 1, 1, 2, 2, 2]
