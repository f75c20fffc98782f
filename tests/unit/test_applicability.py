"""What `bench list techniques` says applies is what a run takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar, cast

import pytest
import torch
from pydantic import BaseModel
from torch import nn
from torch.optim import Optimizer

from bench.baseline import Target
from bench.errors import BenchError, NotApplicable
from bench.launch.local import Runner
from bench.model.compiled import is_compiled
from bench.recipes import resolve
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe
from bench.run.applicability import Rehearsals
from bench.technique import Effect, Probe, SettingsT, Stage, Technique
from bench.trial import applied
from bench.trial.spec import Outcome, TrialSpec
from optimizers import thread_tuning
from optimizers.adaptive_batch import AdaptiveBatch
from optimizers.memory_efficient_loading import MemoryEfficientLoading
from tests.jobs import ConvNet, ConvSettings
from tests.records import failed

BASE = Recipe(baseline="made-up", settings=ConvSettings().model_dump())
MODEL = cast(Any, ConvNet())
Says = Callable[[dict[str, Any]], str | None]


class Told:
    """Rehearses nothing: a rehearsal in some settings ends as it is told."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.asked: list[TrialSpec] = []

    def run(self, trial: TrialSpec) -> Outcome:
        self.asked.append(trial)
        reason = self.says(trial.recipe.settings)
        status = Status.OK if reason is None else Status.NOT_APPLICABLE
        ended = failed(trial.arm, 0, status, reason or "")
        return Outcome(measurement=ended.model_copy(update={"threads": trial.threads}))


def rehearsals(says: Says) -> tuple[Rehearsals, Told]:
    told = Told(says)
    made = Rehearsals(MODEL, BASE, {}, cast(Runner, told), "cpu", Target("auroc"), "unused")
    return made, told


def test_a_search_that_ends_in_settings_that_do_not_train_does_not_apply() -> None:
    made, told = rehearsals(lambda settings: settings["loader"] and "items may change")
    technique = MemoryEfficientLoading()
    assert made.why_not(technique.name, technique) == "items may change"
    assert [trial.recipe.settings["loader"] for trial in told.asked] == [None, "thread"]


def test_a_search_is_rehearsed_in_its_first_settings_alone() -> None:
    made, told = rehearsals(lambda settings: None)
    assert made.why_not("adaptive-batch", AdaptiveBatch()) is None
    assert [trial.recipe.settings["batch_size"] for trial in told.asked] == [8, 16]
    assert {(trial.kind, trial.metric) for trial in told.asked} == {("build", "auroc")}


def test_a_number_of_threads_is_rehearsed_on_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_tuning, "usable_cores", lambda: 4)
    made, told = rehearsals(lambda settings: None)
    assert made.why_not("thread-tuning", thread_tuning.ThreadTuning()) is None
    assert [trial.threads for trial in told.asked] == [1, 2]


def test_nothing_is_listed_for_a_baseline_that_does_not_train() -> None:
    made, _ = rehearsals(lambda settings: "ValueError: no (mine.py, line 3)")
    with pytest.raises(BenchError, match=r"does not train: ValueError: no \(mine.py, line 3\)"):
        made.check_baseline()


class Halved(Technique):
    """Asks for half a batch of one."""

    name: ClassVar[str] = "halved"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Ask for what no batch can be."""
        return settings.model_copy(update={"batch_size": 0})


def test_settings_that_a_baseline_refuses_cost_one_arm_and_not_the_run() -> None:
    def probe_for(technique: Technique) -> Any:
        def probe(settings: BaseModel, memory_limit_bytes: int | None = None) -> Measurement:
            raise AssertionError

        return probe

    with pytest.raises(NotApplicable, match="asks for settings that the baseline refuses: batch_s"):
        resolve.with_techniques(BASE, MODEL, [("halved", Halved())], probe_for, {})


@pytest.mark.parametrize(("compiler", "compiles"), [("no.such.compiler", False), ("torch", True)])
def test_what_makes_no_step_needs_no_compiler_but_one_that_is_there(
    compiler: str, compiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applied, "COMPILER", compiler)
    before, model = (torch.compile, Optimizer.add_param_group), nn.Linear(2, 2)
    with applied._uncompiled():
        for given in (torch.compile(model), torch.compile(mode="default")(model)):
            assert is_compiled(cast(nn.Module, given)) is compiles
        made = torch.optim.SGD(model.parameters(), lr=0.5)
    assert [len(group["params"]) for group in made.param_groups] == [2]
    assert (torch.compile, Optimizer.add_param_group) == before


@pytest.mark.slow
def test_techniques_are_listed_without_torch_s_tracer() -> None:
    program = (
        "import sys; from bench.cli.list import listing; "
        "rows = listing('techniques', None, 'timehut', None, 'cpu'); "
        "print(len(rows) > 20, {'torch._dynamo', 'sympy', 'torch._inductor'} & {*sys.modules})"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "True set()\n", ended.stderr
