"""What techniques promise of a script that nobody rewrote, on small scripts of many kinds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import BenchError, NotApplicable
from bench.interception.events import Recorder
from bench.interception.script import Script
from bench.recipes import registry
from bench.recipes.script import ScriptSettings
from bench.technique import Effect, Technique
from bench.testing import CLOSE
from bench.trial.script import _program
from optimizers.thread_tuning import ThreadTuning
from tests.scripts.cases import NAMES, intercepted, plainly, trial_of
from tests.scripts.test_measured_scripts import patched

TECHNIQUES = (
    "mixed-precision", "channels-last", "fused-optimizer", "gradient-checkpointing", "allocator",
)  # fmt: skip
"""Those that intercept, but for compile, which takes long, and those that a setting does alone."""
APPLIES = {
    "mixed-precision": {"plain", "accumulation", "gan", "packed", "closure", "workers", "language"},
    "channels-last": {"autocast"},
    "fused-optimizer": {"plain", "accumulation", "gan", "autocast", "workers", "language"},
    "gradient-checkpointing": {"accumulation", "language"},
    "allocator": set(NAMES),
}


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("name", NAMES)
def test_a_technique_keeps_its_effect_on_a_script_or_says_why_not(
    name: str, technique: str, tmp_path: Path
) -> None:
    before = patched()
    if name not in APPLIES[technique]:
        with pytest.raises(NotApplicable) as refusal:
            intercepted(trial_of(name, tmp_path, technique, kind="build"))
        assert len(str(refusal.value)) > 10
    else:
        losses = intercepted(trial_of(name, tmp_path, technique)).course.losses
        plain = plainly(name)
        if registry.load_technique(technique).effect is Effect.EXACT:
            assert tuple(losses) == plain
        else:
            pairs = zip(losses[:5], plain[:5], strict=True)
            assert all(math.isclose(a, b, rel_tol=CLOSE) for a, b in pairs)
            assert len(losses) == len(plain)
    assert patched() == before


def kept(folder: Path) -> Any:
    """Return what `plain` has saved in a mirror under a folder: the model, and its state."""
    (model,) = folder.rglob("out/model.pt")
    whole = torch.load(model, weights_only=False)
    return whole, torch.load(model.with_name("state.pt"))


@pytest.mark.parametrize("technique", ["fused-optimizer", "mixed-precision"])
def test_checkpoints_of_a_script_are_what_it_would_have_saved(
    technique: str, tmp_path: Path
) -> None:
    folders = tmp_path / "plain", tmp_path / "changed"
    for folder, used in zip(folders, ([], [technique]), strict=True):
        folder.mkdir()
        intercepted(trial_of("plain", folder, *used))
    (plain, state), (whole, now) = map(kept, folders)
    assert type(whole) is type(plain)
    assert now["model"].keys() == state["model"].keys()
    assert {v.dtype for v in now["model"].values()} == {torch.float32}
    assert now["optimizer"]["state"].keys() == state["optimizer"]["state"].keys()


def test_a_checkpointed_model_is_saved_whole_as_what_it_was(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\nclass Block(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.f = nn.Linear(4, 4)\n"
        "    def forward(self, x):\n        return self.f(x).tanh()\n"
        "model = nn.Sequential(Block(), Block())\n"
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "model(torch.ones(2, 4)).sum().backward()\noptimizer.step()\n"
        "torch.save(model, 'whole.pt')\nagain = torch.load('whole.pt', weights_only=False)\n"
        "print('saved', type(again[0]) is Block, again.state_dict().keys() == "
        "model.state_dict().keys(), torch.equal(again(torch.ones(2, 4)), model(torch.ones(2, 4))))"
    )
    (tmp_path / "saves.py").write_text(text)
    intercepted(trial_of("saves", tmp_path, "gradient-checkpointing", folder=tmp_path))
    assert (tmp_path / "trial.log").read_text() == "saved True True True\n"


def test_gradients_are_clipped_before_the_update(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\ntorch.manual_seed(0)\nmodel = nn.Linear(8, 8)\n"
        "optimizer = torch.optim.SGD(model.parameters(), 1.0)\nfor _ in range(3):\n"
        "    before = model.weight.detach().clone()\n    optimizer.zero_grad()\n"
        "    (100 * model(torch.randn(4, 8))).square().mean().backward()\n"
        "    nn.utils.clip_grad_norm_(model.parameters(), 0.5)\n    optimizer.step()\n"
        "    assert (model.weight - before).norm() < 0.501\n"
    )
    (tmp_path / "clips.py").write_text(text)
    for technique in ("mixed-precision", "fused-optimizer"):
        intercepted(trial_of("clips", tmp_path, technique, folder=tmp_path))


def test_an_optimizer_whose_state_was_loaded_is_fused_again(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\nmodel = nn.Linear(2, 2)\n"
        "optimizer = torch.optim.Adam(model.parameters())\n"
        "for _ in range(3):\n"
        "    model(torch.ones(1, 2)).sum().backward()\n    optimizer.step()\n"
        "    print(optimizer.param_groups[0]['fused'])\n"
        "    kept = optimizer.state_dict()\n    kept['param_groups'][0]['fused'] = None\n"
        "    optimizer.load_state_dict(kept)\n"
    )
    (tmp_path / "loads.py").write_text(text)
    intercepted(trial_of("loads", tmp_path, "fused-optimizer", folder=tmp_path))
    assert (tmp_path / "trial.log").read_text() == "True\n" * 3


def test_an_optimizer_made_from_a_fused_one_s_checkpoint_is_no_baseline(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\nmodel, kept = nn.Linear(2, 2), None\n"
        "for _ in range(2):\n"
        "    optimizer = torch.optim.Adam(model.parameters())\n"
        "    if kept:\n        optimizer.load_state_dict(kept)\n"
        "    model(torch.ones(1, 2)).sum().backward()\n    optimizer.step()\n"
        "    kept = optimizer.state_dict()\n"
    )
    (tmp_path / "resumes.py").write_text(text)
    run = intercepted(trial_of("resumes", tmp_path, "fused-optimizer", folder=tmp_path))
    assert len(run.course.losses) == 2


def test_one_of_many_modules_is_not_guessed(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\nparts = [nn.Linear(4, 4) for _ in range(6)]\n"
        "optimizer = torch.optim.SGD([p for part in parts for p in part.parameters()], 0.1)\n"
        "for _ in range(3):\n    x = torch.ones(2, 4)\n"
        "    for part in parts:\n        x = part(x)\n"
        "    x.sum().backward()\n    optimizer.step()\n"
    )
    (tmp_path / "parts.py").write_text(text)
    with pytest.raises(NotApplicable, match=r"more than 4 trained modules .*\(Linear\).*--model"):
        intercepted(trial_of("parts", tmp_path, "mixed-precision", folder=tmp_path))
    intercepted(trial_of("parts", tmp_path, "mixed-precision", folder=tmp_path, model="Linear"))
    intercepted(trial_of("parts", tmp_path, "fused-optimizer", folder=tmp_path))


@pytest.mark.parametrize("used", [[], ["mixed-precision", "allocator"]])
def test_a_class_that_no_trained_model_has_is_told(used: list[str], tmp_path: Path) -> None:
    with pytest.raises(BenchError) as refusal:
        intercepted(trial_of("plain", tmp_path, *used, kind="build", model="Nte"))
    assert type(refusal.value) is BenchError
    said = "no model that its first steps train is a Nte; there are: Sequential"
    assert str(refusal.value) == said


def test_a_script_is_held_to_the_threads_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script, given = Script(torch.device("cpu"), Recorder(), rehearsed=True), torch.get_num_threads()
    ThreadTuning().intercept(script)
    script.check_acted()
    monkeypatch.setattr(torch, "get_num_threads", lambda: given + 1)
    with pytest.raises(NotApplicable, match="the training sets its number of threads itself"):
        script.check_acted()


@pytest.mark.parametrize("loader", ["thread", "1"])
def test_batches_that_are_read_ahead_are_the_same(loader: str, tmp_path: Path) -> None:
    trial = trial_of("plain", tmp_path, loader=loader)
    assert tuple(intercepted(trial).course.losses) == plainly("plain")


def test_items_that_draw_random_numbers_are_not_read_ahead(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\nclass Noisy(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n        return 8\n"
        "    def __getitem__(self, i):\n        return torch.randn(2)\n"
        "model = nn.Linear(2, 1)\noptimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "for x in torch.utils.data.DataLoader(Noisy(), 4):\n"
        "    model(x).sum().backward()\n    optimizer.step()\n"
    )
    (tmp_path / "noisy.py").write_text(text)
    with pytest.raises(NotApplicable, match="draw random numbers"):
        intercepted(trial_of("noisy", tmp_path, folder=tmp_path, loader="1", kind="build"))


@pytest.mark.parametrize(
    ("given", "arguments"), [("seed=", ["seed=5"]), ("--seed", ["--seed", "5"])]
)
def test_a_seed_is_given_as_the_script_takes_it(given: str, arguments: list[str]) -> None:
    settings = ScriptSettings(data_dir=".", script="a.py", seed_argument=given)
    assert _program(settings, Path("a.py"), Path(), 5).arguments == arguments


def test_what_changes_learning_needs_a_metric_and_seeds(tmp_path: Path) -> None:
    given: dict[str, Any] = {"kind": "build"}
    for said, more in (("--metric", {"metric": "acc"}), ("--seed-argument", {})):
        with pytest.raises(NotApplicable, match=said):
            intercepted(trial_of("plain", tmp_path, "script-arguments:add=--lr 0.1", **given))
        given |= more
    given["seed_argument"] = "--seed"
    intercepted(trial_of("plain", tmp_path, "script-arguments:add=--lr 0.1", **given))
    del given["seed_argument"]
    intercepted(trial_of("unseeded", tmp_path, "script-arguments:add=--lr 0.1", **given))


def test_techniques_that_need_a_job_say_so() -> None:
    own = {
        name for name in registry.names(registry.TECHNIQUES)
        if registry.load_technique(name).intercept is not Technique.intercept
    }  # fmt: skip
    assert own == {
        *TECHNIQUES, "compile", "cuda-optimizations", "memory-efficient-loading",
        "script-arguments", "thread-tuning",
    }  # fmt: skip
    with pytest.raises(NotApplicable, match="mixup changes parts of a job, and a script has none"):
        registry.make_technique("mixup", {}).refuse_script()


@pytest.mark.slow
def test_a_compiled_script_trains_alike_and_evaluates_as_it_is(tmp_path: Path) -> None:
    losses = intercepted(trial_of("plain", tmp_path, "compile")).course.losses
    assert all(
        math.isclose(a, b, rel_tol=1e-3) for a, b in zip(losses, plainly("plain"), strict=True)
    )
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"]
