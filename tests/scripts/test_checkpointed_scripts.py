"""gradient-checkpointing of scripts: in either mode of the model, and not where it does nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import NotApplicable
from tests.scripts.cases import intercepted, losses_of, trial_of

BLOCKS = """
import torch
from torch import nn
torch.manual_seed(0)
calls, losses = [], []
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(4, 4)
    def forward(self, x):
        return self.encode(x)
    def encode(self, x):
        calls.append(x)
        return self.f(x).tanh()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
    def forward(self, x):
        for block in self.blocks:
            x = block{how}(x)
        return x
model = Net(){mode}
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for _ in range(4):
    loss = model(torch.ones(2, 4)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(len(calls))
"""


@pytest.mark.parametrize(
    ("mode", "calls"),
    [("", 4 * (2 + 2)), (".eval()", 2 + 3 * (2 + 2))],  # it is changed in the second step
)
def test_blocks_are_computed_again_in_either_mode(mode: str, calls: int, tmp_path: Path) -> None:
    path = tmp_path / "blocks.py"
    path.write_text(BLOCKS.format(how="", mode=mode))
    intercepted(
        trial_of("blocks", tmp_path, "gradient-checkpointing", folder=tmp_path, kind="build")
    )
    run = intercepted(trial_of("blocks", tmp_path, "gradient-checkpointing", folder=tmp_path))
    assert (tmp_path / "trial.log").read_text() == f"{calls}\n"
    assert tuple(run.course.losses) == losses_of(path)


def test_blocks_that_are_not_called_by_their_forward_are_not_computed_again(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS.format(how=".encode", mode=""))
    trial = trial_of("blocks", tmp_path, "gradient-checkpointing", folder=tmp_path, kind="build")
    with pytest.raises(NotApplicable, match="calls no repeated block of its model by its forward"):
        intercepted(trial)
