"""`bench train` of a script: what is said before it trains, and kept of what it gave."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.calls import call
from tests.records import exported
from tests.scripts.cases import trial_of

TRAINS = """
from pathlib import Path
import torch
from torch import nn
Path("ran").touch()
assert not Path("checkpoint").exists()
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for step in range(4):
    loss = model(torch.ones(4, 2)).square().mean()
    if step == {spoilt}:
        loss = loss * float("nan")
    optimizer.zero_grad()
    loss.backward()
    if step == {spoilt}:
        optimizer.zero_grad()
    optimizer.step()
"""


def recipe_of(text: str, folder: Path) -> str:
    """Write a script, and an exported recipe of it as it is, into a folder."""
    (folder / "train.py").write_text(text)
    made = trial_of("train", folder, folder=folder).recipe
    both = {"recipe": made, "recipe_id": made.id, "baseline": made, "baseline_id": made.id}
    (folder / "optimized.json").write_text(exported(**both).model_dump_json())
    return "optimized.json"


def test_a_folder_that_can_t_be_written_to_is_told_before_a_script_trains(tmp_path: Path) -> None:
    recipe = recipe_of(TRAINS.format(spoilt=None), tmp_path)
    (tmp_path / "checkpoint").write_text("a file of that name")
    for more in ((), ("--output", "checkpoint/deep/down")):
        done = call("train", recipe, "--device", "cpu", *more, cwd=tmp_path)
        assert done.returncode == 2
        folder = more[1] if more else "checkpoint"
        assert f"can't write to {folder}: Not a directory" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "ran").exists()
    (tmp_path / "checkpoint").unlink()
    done = call("train", recipe, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [one.name for one in (tmp_path / "checkpoint").iterdir()] == ["training.json"]


def test_a_loss_that_is_not_finite_is_kept_and_said(tmp_path: Path) -> None:
    recipe = recipe_of(TRAINS.format(spoilt=1), tmp_path)
    done = call("train", recipe, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "the loss was nan at step 2; 1 of 4 losses are not finite, and null in training.json"
    )
    losses = json.loads((tmp_path / "checkpoint" / "training.json").read_text())["losses"]
    assert [loss is None for loss in losses] == [False, True, False, False]
