"""Scripts that catch what ends them, lie elsewhere, or want their process to themselves."""

from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError, NotApplicable
from bench.recipes.program import notices_on
from bench.trial.failure import ScriptFailed
from tests.cli.calls import call
from tests.cli.processes import only_run, records
from tests.scripts.cases import intercepted, trial_of

BEGIN = """
import sys, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
loader = DataLoader(TensorDataset(torch.ones(80, 2)), 4)
def step(x):
    model(x).sum().backward()
    optimizer.step()
"""
MEASURED = ("--metric", r"acc=([\d.]+)", "--repeats", "1", "--quiet")
AROUND_ALL = "try:\n    for x, in loader:\n        step(x)\nexcept:\n    {}"
AROUND_A_STEP = (
    "made = 0\nfor x, in loader:\n    try:\n        step(x)\n        made += 1\n    except:\n"
    "        print('caught at', made)"
)


@pytest.mark.parametrize(
    "text",
    [
        AROUND_ALL.format("sys.exit('it failed')"),
        AROUND_ALL.format("raise RuntimeError('it failed')"),
        AROUND_ALL.format("print('saved')"),
        AROUND_A_STEP,
    ],
)
def test_a_script_that_catches_everything_is_ended_all_the_same(text: str, tmp_path: Path) -> None:
    (tmp_path / "catches.py").write_text(BEGIN + text)
    run = intercepted(trial_of("catches", tmp_path, folder=tmp_path, kind="build"))
    assert len(run.course.timeline.steps) == 3
    assert run.flops is not None
    assert run.flops.model_flops_per_step == 2 * 4 * 2 * 2
    assert (tmp_path / "trial.log").read_text().count("caught") <= 1


def test_a_script_that_never_steps_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.interception.backward.MOST_WITHOUT", 20)
    by_hand = (
        "while True:\n    model(torch.ones(1, 2)).sum().backward()\n    with torch.no_grad():\n"
        "        for p in model.parameters():\n            p -= 0.1 * p.grad\n"
    )
    (tmp_path / "manual.py").write_text(BEGIN + by_hand)
    with pytest.raises(BenchError) as refusal:
        intercepted(trial_of("manual", tmp_path, folder=tmp_path, kind="build"))
    assert str(refusal.value).startswith(
        "the script made 20 backward passes and no step of an optimizer of torch.optim"
    )


IN_A_CHILD = """
import os
if (child := os.fork()) == 0:
    step(torch.ones(1, 2))
    os._exit(0)
os.waitpid(child, 0)
"""
AS_A_DAEMON = """
import os
if os.fork():
    sys.exit(0)
os.setsid()
step(torch.ones(1, 2))
os._exit(0)
"""
NOT_IN_ITS_OWN = (
    "odd.py ended without a step of an optimizer of torch.optim in its own process: there is no "
    "training to measure (what other processes train is not seen)"
)
REFUSES = """
import argparse
given = argparse.ArgumentParser()
given.add_argument("--rate", type=float, choices=[0.1])
given.parse_args()
"""


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (IN_A_CHILD, [], NOT_IN_ITS_OWN),
        (AS_A_DAEMON, [], NOT_IN_ITS_OWN),
        (
            REFUSES,
            ["--rte", "0.1"],
            "odd.py ended with 2 before its first step: "
            "odd.py: error: unrecognized arguments: --rte 0.1",
        ),
        (
            REFUSES,
            ["--rate", "fast"],
            "odd.py ended with 2 before its first step: "
            "odd.py: error: argument --rate: invalid float value: 'fast'",
        ),
    ],
)
def test_a_script_that_trains_elsewhere_or_refuses_an_argument_is_told_in_one_line(
    text: str, arguments: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text(BEGIN + text)
    trial = trial_of("odd", tmp_path, folder=tmp_path, kind="build", arguments=arguments)
    with pytest.raises(BenchError) as refusal:
        intercepted(trial)
    assert str(refusal.value) == said


def test_what_fails_without_a_technique_too_is_no_fault_of_the_technique(tmp_path: Path) -> None:
    """A rehearsal is too short to see it; every trial of the baseline ends so as well."""
    late = (
        "for made, (x,) in enumerate(loader):\n    assert made < 5, 'no sixth batch'\n    step(x)"
    )
    (tmp_path / "late.py").write_text(BEGIN + late)
    for techniques in ([], ["fused-optimizer"]):
        with pytest.raises(ScriptFailed) as failure:
            intercepted(trial_of("late", tmp_path, *techniques, folder=tmp_path))
        assert str(failure.value) == "AssertionError: no sixth batch (late.py, line 12)"


@pytest.mark.parametrize(
    ("collated", "workers", "said"),
    [
        ("torch.rand(len(items), 2)", 0, "draw random numbers"),
        ("seeded(items)", 0, "seed the random generators for a while"),
        ("torch.rand(len(items), 2)", 1, None),
    ],
)
def test_batches_made_at_random_are_read_in_a_thread_only_where_workers_make_them(
    collated: str, workers: int, said: str | None, tmp_path: Path
) -> None:
    text = (
        "torch.manual_seed(0)\ndef seeded(items):\n    with torch.random.fork_rng():\n"
        f"        return torch.ones(len(items), 2)\ndef made(items):\n    return {collated}\n"
        f"loader = DataLoader(TensorDataset(torch.ones(8, 2)), 4, num_workers={workers}, "
        "collate_fn=made)\nfor x in loader:\n    step(x)\n"
    )
    (tmp_path / "draws.py").write_text(BEGIN + text)
    thread = trial_of("draws", tmp_path, folder=tmp_path, loader="thread", kind="build")
    if said is not None:
        with pytest.raises(NotApplicable, match=said):
            intercepted(thread)
        return
    plain = trial_of("draws", tmp_path, folder=tmp_path, kind="build")
    losses = [intercepted(one).course.losses for one in (plain, thread)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("place", ["../repo/train.py", "../train.py"])
def test_a_script_that_lies_elsewhere_is_left_as_it_is(place: str, tmp_path: Path) -> None:
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    for folder in (work, scratch):
        folder.mkdir()
    path = Path(work, place).resolve()
    (path.parent / "nets_elsewhere").mkdir(parents=True)
    (path.parent / "out").mkdir()
    neighbour = path.parent / "nets_elsewhere" / "small.py"
    neighbour.write_text("")
    path.write_text(
        BEGIN + "from pathlib import Path\nimport nets_elsewhere.small\n"
        "(Path(__file__).parent / 'out' / 'model.pt').write_text('x')\n"
        "(Path(__file__).parent / 'nets_elsewhere' / 'cache').write_text('x')\n"
        "step(torch.ones(1, 2))\n"
    )
    before = [file.stat().st_ino for file in (path, neighbour)]
    trial = trial_of("train", scratch, folder=path.parent)
    given = {**trial.recipe.settings, "data_dir": str(work), "script": place}
    recipe = trial.recipe.model_copy(update={"settings": given})
    for _ in range(2):
        intercepted(trial.model_copy(update={"recipe": recipe}))
    assert [file.stat().st_ino for file in (path, neighbour)] == before
    assert [*(path.parent / "out").iterdir()] == []
    assert [*(path.parent / "nets_elsewhere").iterdir()] == [neighbour]


def test_a_script_has_its_process_to_itself(tmp_path: Path) -> None:
    text = (
        "import getpass, multiprocessing, os\nmultiprocessing.set_start_method('spawn')\n"
        "assert os.getsid(0) == os.getpid()\n"
        "assert multiprocessing.current_process().name == 'MainProcess'\n"
        "assert multiprocessing.parent_process() is None\n"
        "assert ':' not in multiprocessing.Process().name\n"
        "for x, in loader:\n    step(x)\nsys.stdout.buffer.write(b'\\xff\\x00acc=0.5\\n')\n"
    )
    (tmp_path / "own.py").write_text(BEGIN + text)
    done = call("script", "own.py", *MEASURED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {record["metric"] for record in records(only_run(tmp_path))} == {0.5}


def test_what_a_script_starts_imports_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "prepare.py").write_text("import nearby\nopen('ready', 'w').close()\n")
    (tmp_path / "nearby.py").write_text("")
    text = (
        "import os, subprocess\nassert 'PYTHONSAFEPATH' not in os.environ\n"
        "subprocess.run([sys.executable, 'prepare.py'], check=True)\nopen('ready').close()\n"
        "for x, in loader:\n    step(x)\nprint('acc=0.5')\n"
    )
    (tmp_path / "starts.py").write_text(BEGIN + text)
    done = call("script", "starts.py", *MEASURED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_a_script_may_be_interpreters_of_their_own(method: str, tmp_path: Path) -> None:
    text = (
        "if __name__ == '__main__':\n"
        f"    given = {{'num_workers': 1, 'multiprocessing_context': {method!r}}}\n"
        "    for x, in DataLoader(loader.dataset, 4, **given):\n        step(x)\n"
        "    print('acc=0.5')\n"
    )
    (tmp_path / "workers.py").write_text(BEGIN + text)
    done = call("script", "workers.py", *MEASURED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("before", "then", "said"),
    [
        ("os.environ['OMP_NUM_THREADS'] = '4'", "", "or use --threads 4"),
        ("os.environ['OMP_NUM_THREADS'] = '2'", "", None),  # as it was
        ("os.environ['OMP_NUM_THREADS'] = '1'", "", None),  # as many as the trial has
        ("", "os.environ['OMP_NUM_THREADS'] = '4'", None),  # plain Python, too, reads it before
    ],
)
def test_a_variable_that_torch_has_read_before_is_not_set_unnoticed(
    before: str, then: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    text = f"import os\n{before}\n{BEGIN}\n{then}\nfor x, in loader:\n    step(x)\n"
    (tmp_path / "sets.py").write_text(text)
    plain = builtins.__import__
    trial = trial_of("sets", tmp_path, folder=tmp_path, kind="build")
    if said is None:
        assert len(intercepted(trial).course.timeline.steps) == 3
    else:
        with pytest.raises(BenchError) as refusal:
            intercepted(trial)
        assert str(refusal.value) == (
            "sets.py sets OMP_NUM_THREADS=4, which torch has read already: set it when starting "
            f"bench, {said}"
        )
    assert builtins.__import__ is plain


def test_a_package_of_one_of_our_names_anywhere_is_a_script_s_own(tmp_path: Path) -> None:
    for folder in ("optimizers", "scripts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "optimizers" / "__init__.py").write_text("")
    (tmp_path / "optimizers" / "lion.py").write_text("mine = 5")
    text = (
        "from pathlib import Path\nsys.path.insert(0, str(Path(__file__).parents[1]))\n"
        "from optimizers.lion import mine\nfor x, in loader:\n    step(x)\n"
    )
    (tmp_path / "scripts" / "train.py").write_text(BEGIN + text)
    trial = trial_of("scripts/train", tmp_path, "fused-optimizer", folder=tmp_path)
    before = importlib.import_module("optimizers"), [*sys.meta_path]
    assert len(intercepted(trial).course.timeline.steps) == 20
    assert (sys.modules["optimizers"], [*sys.meta_path]) == before
    assert "optimizers.lion" not in sys.modules


def test_what_lies_beside_a_script_is_imported_whatever_is_installed(tmp_path: Path) -> None:
    (tmp_path / "optimizers").mkdir()
    (tmp_path / "optimizers" / "__init__.py").write_text("from .lion import mine")
    (tmp_path / "optimizers" / "lion.py").write_text("mine = 5")
    (tmp_path / "yaml.py").write_text("mine = 6")
    text = "import optimizers, yaml, bench\nbench.report(sum=optimizers.mine + yaml.mine)\n"
    (tmp_path / "beside.py").write_text(BEGIN + text + "step(torch.ones(1, 2))\n")
    trial = trial_of("beside", tmp_path, folder=tmp_path, metric="sum")
    assert set(trial.recipe.files) == {
        "beside.py", "yaml.py", "optimizers/__init__.py", "optimizers/lion.py"
    }  # fmt: skip
    assert [*notices_on(trial.places, f"{tmp_path / 'beside.py'}:__main__")] == []
    before = importlib.import_module("optimizers"), [*sys.meta_path]
    assert intercepted(trial).metric == 11
    assert (sys.modules["optimizers"], [*sys.meta_path]) == before


def test_a_script_may_close_what_it_prints_to(tmp_path: Path) -> None:
    (tmp_path / "closes.py").write_text(BEGIN + "sys.stdout.close()\nfor x, in loader: step(x)")
    run = intercepted(trial_of("closes", tmp_path, folder=tmp_path, kind="step"))
    assert len(run.course.timeline.steps) == 20


def test_annotations_of_a_script_are_no_texts(tmp_path: Path) -> None:
    text = (
        "from dataclasses import dataclass, fields\n@dataclass\nclass Given:\n"
        "    rate: float = 0.1\nassert fields(Given)[0].type is float\nstep(torch.ones(1, 2))\n"
    )
    (tmp_path / "typed.py").write_text(BEGIN + text)
    run = intercepted(trial_of("typed", tmp_path, folder=tmp_path))
    assert len(run.course.timeline.steps) == 1


OWN_CALL = """
class Net(nn.Module):
    made = 0
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def __call__(self, x):
        Net.made += 1
        return super().__call__(x / 2)
    def forward(self, x):
        return self.inner(x)
"""


@pytest.mark.parametrize("late", [False, True])
def test_a_model_s_own_call_is_made_every_time(late: bool, tmp_path: Path) -> None:
    made = "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
    text = (
        f"{OWN_CALL}{'' if late else made}model = Net(model)\n"
        "for x, in loader:\n    step(x)\nassert Net.made == 20, Net.made\n"
    )
    (tmp_path / "calls.py").write_text(BEGIN + text)
    run = intercepted(trial_of("calls", tmp_path, folder=tmp_path))
    assert len(run.course.timeline.steps) == 20
    assert [type(model).__name__ for model in run.script.models] == ["Net"]


def test_what_lies_beside_a_script_may_be_called_like_a_module_of_python_s(tmp_path: Path) -> None:
    names = ("statistics", "profile", "trace")
    for name in names:
        (tmp_path / f"{name}.py").write_text("mine = 5")
    (tmp_path / "time.py").write_text("1 / 0")  # which is built into Python: nobody finds it
    text = f"import time, {', '.join(names)}\nimport bench\ntime.time()\n"
    total = " + ".join(f"{name}.mine" for name in names)
    (tmp_path / "like.py").write_text(
        f"{BEGIN}{text}bench.report(sum={total})\nstep(torch.ones(1, 2))\n"
    )
    trial = trial_of("like", tmp_path, folder=tmp_path, metric="sum")
    assert set(trial.recipe.files) == {"like.py", *(f"{name}.py" for name in names)}
    before = importlib.import_module("statistics")
    assert intercepted(trial).metric == 15
    assert sys.modules["statistics"] is before
