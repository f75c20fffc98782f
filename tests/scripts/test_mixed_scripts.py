"""Mixed precision on scripts whose models have 16 bits already, or answer with a dataclass."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.errors import NotApplicable
from optimizers.mixed_precision import WRITTEN
from tests.scripts.cases import intercepted, trial_of

SCRIPT = """
import dataclasses, torch
from torch import nn
@dataclasses.dataclass
class Answer:
    scores: torch.Tensor
formats = set()
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16, enabled={inside}):
            return Answer(self.layer(x).relu())
model, x = Model(){weights}, torch.ones(8, 4){weights}
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for step in range(4):
    scores = model(x).scores
    formats.add(str(scores.dtype))
    scores.float().sum().backward()
    optimizer.step()
    print(formats)
"""


@pytest.mark.parametrize(("inside", "weights"), [("False", ".bfloat16()"), ("True", "")])
def test_a_model_that_computes_in_16_bits_already_is_left_as_it_is(
    inside: str, weights: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(SCRIPT.format(inside=inside, weights=weights))
    with pytest.raises(NotApplicable, match=r"computes in bf16 already: its weights have 16 bits"):
        intercepted(trial_of("own", tmp_path, "mixed-precision", folder=tmp_path, kind="build"))


def test_answers_in_a_dataclass_are_float32_for_the_loss(tmp_path: Path) -> None:
    text = SCRIPT.format(inside="torch.is_autocast_enabled('cpu')", weights="")
    (tmp_path / "own.py").write_text(text)
    intercepted(trial_of("own", tmp_path, "mixed-precision", folder=tmp_path))
    assert (tmp_path / "trial.log").read_text().splitlines()[-1] == "{'torch.float32'}"


def test_lines_written_for_mixed_precision_look_into_dataclasses_too() -> None:
    @dataclasses.dataclass
    class Answer:
        scores: list[Tensor]
        name: str = "answer"

    class Model(nn.Linear):
        def forward(self, input: Tensor) -> Answer:  # type: ignore[override]  # on purpose
            return Answer([super().forward(input)])

    lines: dict[str, object] = {}
    exec(WRITTEN.format(device="cpu", dtype=torch.bfloat16), lines)
    call = lines["in_mixed_precision"]
    assert callable(call)
    answer = call(Model(2, 2))(torch.ones(1, 2))
    assert isinstance(answer, Answer)
    assert [one.dtype for one in answer.scores] == [torch.float32]
