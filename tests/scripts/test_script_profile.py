"""What a script's first steps and a profiled trial tell of it: FLOPs, phases, bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.interception.script import Script
from bench.run.counted import Counted, as_the_baseline
from bench.trial.measure import observe
from bench.trial.profile import ScriptProfiler
from bench.trial.script import run_script
from tests.scripts.cases import intercepted, trial_of

PLAIN = 2 * 16 * (2 * (10 * 16 + 16 * 2) + 16 * 2)
"""Forward, gradients of both weights, and that of the second layer's input."""
EVALUATES = """
import torch
from torch import nn
model = nn.Linear(8, 4)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for _ in range(5):
    model.train()
    model(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        model(torch.ones(64, 8))
"""


def test_the_flops_of_a_step_are_counted_in_a_rehearsal(tmp_path: Path) -> None:
    found = intercepted(trial_of("plain", tmp_path, kind="build")).flops
    assert found is not None
    assert (found.model_flops_per_step, found.flops_coverage) == (PLAIN, 1.0)


def test_evaluation_is_no_work_of_a_step(tmp_path: Path) -> None:
    (tmp_path / "evaluates.py").write_text(EVALUATES)
    found = intercepted(trial_of("evaluates", tmp_path, folder=tmp_path, kind="build")).flops
    assert found is not None
    assert found.model_flops_per_step == 2 * 2 * 2 * 8 * 4


def test_a_script_of_few_steps_says_why_nothing_was_counted(tmp_path: Path) -> None:
    short = EVALUATES.replace("range(5)", "range(2)")
    (tmp_path / "short.py").write_text(short)
    found = intercepted(trial_of("short", tmp_path, folder=tmp_path, kind="build")).flops
    assert found is not None
    assert "makes no more than 2 steps" in found.unknown["model_flops_per_step"]


@pytest.mark.parametrize(
    "text",
    [
        "import threading\nthread = threading.Thread(target=train)\nthread.start()\nthread.join()",
        "exec(compile('def call(f): f()', 'torch/_dynamo/eval_frame.py', 'exec'))\ncall(train)",
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_part_of_the_work_is_taken_for_that_of_a_step(text: str, tmp_path: Path) -> None:
    begin, steps = EVALUATES.split("for ", 1)
    body = f"for {steps}".replace("\n", "\n    ")
    (tmp_path / "own.py").write_text(f"{begin}def train():\n    {body}\n{text}")
    run = intercepted(trial_of("own", tmp_path, folder=tmp_path, kind="build"))
    assert run.flops is not None
    assert run.flops.model_flops_per_step is None
    assert "outside of compiled functions" in run.flops.unknown["model_flops_per_step"]


def test_what_leaves_the_work_as_it_is_has_the_baseline_s_flops(tmp_path: Path) -> None:
    trial = trial_of("plain", tmp_path, kind="build")
    changed = trial_of("plain", tmp_path, "fused-optimizer", kind="build")
    known, arm = (observe(one, 0.0).measurement for one in (trial, changed))
    assert (known.model_flops_per_step, arm.model_flops_per_step) == (PLAIN, None)
    assert len(known.step_seconds) == 2
    facts = as_the_baseline(arm, Counted([known]), trial.recipe)
    assert facts["model_flops_per_step"] == PLAIN


def test_a_profile_holds_the_bytes_of_a_script_s_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.trial.profile.product_rate", lambda device, dtype: 1.0)
    weights = 4 * (10 * 16 + 16 + 16 * 2 + 2)
    for name, own_step in (("plain", False), ("closure", True)):
        profilers: list[ScriptProfiler] = []

        def look(script: Script, folder: Path, to: list[ScriptProfiler] = profilers) -> None:
            to.append(ScriptProfiler(script, 0))

        ran = run_script(trial_of(name, tmp_path), (), lambda: None, look)
        found = profilers[0].read(ran.course.timeline, ran.course.closures)
        assert found.own_step is own_step
        if name == "plain":
            assert (found.parameter_bytes, found.gradient_bytes) == (weights, weights)
            assert found.optimizer_state_bytes == 2 * weights + 4 * 4
            assert (found.backward_peak_bytes or 0) >= (found.built_bytes or 1) > 0
            assert {"data_wait", "forward", "backward", "update"} <= found.phase_seconds.keys()
