"""What a script leaves to its end: files that it doesn't close, and what it registers for then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.cases import intercepted, trial_of

SCRIPT = """
import atexit, torch
from torch import nn
class Model(nn.Linear):
    pass
model, log = Model(2, 1), open("log.csv", "w")
optimizer = torch.optim.SGD(model.parameters(), 0.1)
print("epoch,acc", file=log)
atexit.register(print, "last", 0.75)
@atexit.register
def end():
    print("last 0.5")
    raise RuntimeError("after all")
for epoch in range(300):
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    print(epoch, epoch + 0.123456789012345678, "x" * 40, sep=",", file=log)
"""


@pytest.mark.parametrize(
    ("metric", "value"), [("log.csv:acc", 299.12345678901234), (r"last ([\d.]+)", 0.75)]
)
def test_what_a_script_tells_as_it_ends_is_told(metric: str, value: float, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(SCRIPT)
    assert intercepted(trial_of("own", tmp_path, folder=tmp_path, metric=metric)).metric == value


def test_a_script_that_is_ended_early_is_not_asked_for_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(SCRIPT)
    intercepted(trial_of("own", tmp_path, folder=tmp_path, kind="build"))
    assert "last" not in (tmp_path / "trial.log").read_text()
