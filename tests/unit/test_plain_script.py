"""A recipe of one's own model, written in plain PyTorch, trains as the recipe itself does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from bench.cli import template
from bench.errors import BenchError
from bench.recipes import assembly
from bench.recipes.source import hashed, places_in
from bench.records.recipe import Recipe, Use
from bench.trial.training import train
from bench.use.plain_script import plain_script
from bench.use.plain_source import plain_source
from tests.cli.calls import call

CPU = torch.device("cpu")
NET = '''
"""A small net of images."""
from typing import TYPE_CHECKING
import torch
from torch import nn
from bench.baseline import Settings, Target
from bench.data.sampling import placing, shuffled
from bench.job import DataCard, FixedItems, Job
if TYPE_CHECKING:
    from bench.job import Progress

class NetSettings(Settings):
    epochs: int = 4
    batch_size: int = 8

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return torch.dropout(torch.relu(self.norm(self.conv(x))), 0.1, self.training)

class Net:
    name, unit, target, settings = "net", "images", Target("accuracy"), NetSettings

    def job(self, settings, device, seed):
        x = torch.randn(30, 4, 6, 6, generator=torch.Generator().manual_seed(0))
        y = (x.mean((1, 2, 3)) > 0).long()
        model = nn.Sequential(nn.Sequential(Block(), Block()), nn.Flatten(), nn.Linear(144, 2))
        items = FixedItems(30, shuffled(30, settings.batch_size, seed),
                           lambda rows: (x[rows], y[rows]), placing(device), y)
        def loss(model, batch):
            return nn.functional.cross_entropy(model(batch[0]), batch[1])
        def accuracy(model):
            return {"accuracy": (model.eval()(x).argmax(1) == y).float().mean().item()}
        def validate(model):
            with torch.no_grad():
                return loss(model.eval(), (x[:6], y[:6])).item()
        return Job(
            device=device, model=model.to(device), epochs=settings.epochs, batches=items.batches,
            make_optimizer=lambda m: torch.optim.AdamW(m.parameters(), lr=0.01), loss=loss,
            evaluate=accuracy, validate=validate, sample=lambda n: (x[:n],), fixed=items, clip=0.5,
            epoch_steps=3, data=DataCard.of("made up", (x, y), train_items=30, test_items=30),
            make_scheduler=lambda optimizer, progress: torch.optim.lr_scheduler.LinearLR(
                optimizer, total_iters=progress.total_steps),
        )

if __name__ == "__main__":
    raise SystemExit("run by itself")
'''
EARLY = Use(name="early-stopping", settings={"patience": 1, "every": 1, "min_delta": 0.5})


def recipe_of(folder: Path, text: str, made: str, *uses: Use, **settings: Any) -> Recipe:
    (folder / "mine.py").write_text(text)
    sources = hashed({"mine.py": str(folder / "mine.py")})
    files = {name: source.sha256 for name, source in sources.items()}
    return Recipe(baseline=f"mine.py:{made}", settings=settings, techniques=uses, files=files)


def written(folder: Path, recipe: Recipe) -> str:
    return plain_script(recipe, places(folder), CPU, 1, "plain.py")


def places(folder: Path) -> dict[str, str]:
    return places_in(hashed({"mine.py": str(folder / "mine.py")}))


def trial_of(folder: Path, recipe: Recipe, seed: int) -> Any:
    torch.set_num_threads(1)
    return train(assembly.build(recipe, places(folder), CPU, seed))


def run(text: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script as a module; bench can't be imported meanwhile."""
    module = ModuleType("plain")
    monkeypatch.setitem(sys.modules, "plain", module)
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
            patch.setitem(sys.modules, name, None)
        exec(compile(text, "plain.py", "exec", dont_inherit=True), vars(module))
    return module


RECIPES = {
    "the baseline": (),
    "16 bits, laid out, fused": (
        Use(name="mixed-precision"), Use(name="channels-last"), Use(name="fused-optimizer")
    ),
    "checkpointed blocks with batch norm": (Use(name="gradient-checkpointing"), EARLY),
    "in parts, averaged": (
        Use(name="gradient-accumulation", settings={"microbatches": 3}), Use(name="ema"),
        Use(name="gradient-checkpointing"), Use(name="adaptive-batch"), Use(name="allocator"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("uses", RECIPES.values(), ids=RECIPES)
def test_a_written_script_has_the_losses_of_its_recipe_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uses: tuple[Use, ...]
) -> None:
    recipe = recipe_of(tmp_path, NET, "Net", *uses)
    expected = trial_of(tmp_path, recipe, seed=3)
    model, losses, metrics = run(written(tmp_path, recipe), monkeypatch).train_by_recipe(seed=3)
    assert losses == expected.losses
    assert metrics == expected.found
    for ours, theirs in zip(model.parameters(), expected.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("short", [False, True])
def test_what_init_writes_is_written_out_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    template.write(tmp_path / "new.py", loaders=short)
    uses = (Use(name="mixed-precision"),) if short else (Use(name="dynamic-lr"), EARLY)
    text = (tmp_path / "new.py").read_text()
    recipe = recipe_of(tmp_path, text, "MyModel", *uses, epochs=3, batch_size=100)
    expected = trial_of(tmp_path, recipe, seed=1)
    _, losses, metrics = run(written(tmp_path, recipe), monkeypatch).train_by_recipe(seed=1)
    assert losses == expected.losses
    assert metrics == {name: float(value) for name, value in expected.found.items()}


def claimed(recipe: Recipe) -> str:
    """Return an ``optimized.json`` of a recipe."""
    claim = {
        "verdict": "win", "work": "same work", "pairs": 3, "time_ratio": [1.1, 1.2, 1.3],
        "time_basis": "step", "memory_ratio": None, "metric_name": "accuracy", "metric": None,
        "margin": 0.01, "data_sha256": None, "environment": {"threads": 1}, "seed": 0, "repeats": 3,
    }  # fmt: skip
    plain = recipe.plain()
    return json.dumps({
        "format": 1, "recipe_id": recipe.id, "recipe": recipe.model_dump(mode="json"),
        "baseline_id": plain.id, "baseline": plain.model_dump(mode="json"), "claim": claim,
    })  # fmt: skip


def test_the_command_writes_a_script_that_runs_where_there_is_no_bench(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, NET, "Net", Use(name="mixed-precision"), epochs=2)
    (tmp_path / "optimized.json").write_text(claimed(recipe))
    done = call("export-script", "optimized.json", "--output", "plain.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, "running" in done.stderr) == ("wrote plain.py\n", True)
    alone = "import runpy, sys; sys.modules['bench'] = None; sys.argv = ['plain.py', '--seed', '5']"
    alone += "; runpy.run_path('plain.py', run_name='__main__')"
    ran = subprocess.run(
        [sys.executable, "-c", alone], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    losses = json.loads((tmp_path / "trained" / "losses.json").read_text())
    assert losses == trial_of(tmp_path, recipe, seed=5).losses
    assert (tmp_path / "trained" / "weights.pt").is_file()


REFUSED = {
    "no lines": (
        NET.replace("epoch_steps=3, ", "").replace("make_scheduler", "again"),
        (Use(name="limit-steps"),), "limit-steps can't be written out: it knows no lines for",
    ),
    "another of ours": (
        NET.replace("import placing", "import labelled, placing"), (),
        r"mine.py, line 7: it uses bench.data.sampling.labelled, which stands in no plain script",
    ),
    "the whole": (f"import bench\n{NET}", (), "it uses the whole of bench"),
    "an import": (f"from random import random\n{NET}", (), "mine.py has a random of its own, and"),
    "its own name": (f"def main(): ...\n{NET}", (), "mine.py has a main of its own, and the"),
    "plateau": (
        NET.replace("make_scheduler", "again"),
        (Use(name="dynamic-lr", settings={"policy": "plateau"}),), "policy=plateau, per=step",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "uses", "said"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_written_out_is_refused_in_one_line(
    tmp_path: Path, text: str, uses: tuple[Use, ...], said: str
) -> None:
    with pytest.raises(BenchError, match=said):
        written(tmp_path, recipe_of(tmp_path, text, "Net", *uses))


def test_a_form_feed_ends_no_line() -> None:
    text = "a = 1\n\f\nb = 2\nfrom bench.job import Job\nc = 3\n"
    assert plain_source("mine.py", text).source.split("\n") == ["a = 1", "\f", "b = 2", "c = 3"]


def test_a_registered_baseline_is_not_written_out() -> None:
    with pytest.raises(BenchError, match="murmur is a baseline of this package"):
        plain_script(Recipe(baseline="murmur"), {}, CPU, None, "plain.py")


def test_a_compiled_model_is_one_line() -> None:
    from bench.records.plain_loop import PlainLoop
    from optimizers.compile import Compile
    from tests.jobs import linear_job

    loop = PlainLoop("cpu")
    Compile(dynamic=False).write_loop(loop, linear_job())
    assert loop.at("model").endswith("torch.compile(model, mode='default', dynamic=False)")
