"""What a recipe does to a script, written into it: the same losses as the trial's, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.cli.export_script import patched
from bench.interception.edits import Written, applied, difference
from bench.recipes.assembly import techniques_of
from bench.trial.script_writing import written
from bench.trial.spec import TrialSpec
from tests.scripts.cases import HERE, intercepted, losses_of, trial_of

PHASES = """
import torch
from torch import nn
model = nn.Linear(2, 1)
optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
for _ in range(5):
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
for _ in range(5):
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
others = torch.optim.SGD(model.parameters()), torch.optim.LBFGS(model.parameters())
with torch.no_grad():
    model(torch.ones(4, 2))
"""

SEVERAL = """
import torch
from torch import nn
model = nn.Linear(2, 1)
class Lion(torch.optim.Optimizer):
    def __init__(self, weights):
        super().__init__(weights, {})
first, idle = torch.optim.AdamW(model.parameters()), torch.optim.Adam(model.parameters())
second, own = torch.optim.LBFGS(model.parameters()), Lion(model.parameters())
for _ in range(5):
    model(torch.ones(4, 2)).sum().backward()
    first.step()
"""
OWN_LOADER = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
class MyLoader(DataLoader):
    def __init__(self, items, size):
        super().__init__(items, size)
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters())
for x, in MyLoader(TensorDataset(torch.ones(20, 2)), 4):
    model(x).sum().backward()
    optimizer.step()
"""
MAPPED = """
import functools, torch
from torch import nn
model, other, another = (nn.Linear(2, 1) for _ in range(3))
[first] = list(map(torch.optim.AdamW, [model.parameters()]))
kinds = {"own": model, "adam": functools.partial(torch.optim.Adam, lr=0.1)}
second = kinds["adam"](other.parameters())
third = getattr(torch.optim, "SGD")(p for p in another.parameters())
crops = [torch.ones(4, 2)] * 2
for _ in range(5):
    sum(map(model, crops)).sum().backward()
    kinds["own"](crops[0]).sum().backward()
    for optimizer in (first, second, third):
        optimizer.step()
"""

SPLITS = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
items = {part: TensorDataset(torch.ones(20, 2)) for part in ("train", "val")}
loaders = {part: DataLoader(items[part], 4) for part in items}
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters())
for x, in loaders["train"]:
    model(x).sum().backward()
    optimizer.step()
"""
NAMELESS = """
import torch
from torch import nn
models, x = [nn.Linear(2, 1) for _ in range(4)], torch.ones(4, 2)
class _Trainer:
    def __init__(self, net):
        self.__net = net
    def losses(self):
        return [self.__net(part).sum() for part in (x, x)]
def last():
    return models[2]
trainer = _Trainer(models[0])
optimizer = torch.optim.SGD([p for model in models for p in model.parameters()], 0.1)
for _ in range(5):
    sum(trainer.losses()).backward()
    models[-1](x).sum().backward()
    last()(x).sum().backward()
    (models[1] if x.numel() else models[0])(x).sum().backward()
    optimizer.step()
"""


def wanted(trial: TrialSpec) -> Written:
    """Return all that a trial's techniques would have written into its script."""
    found = written(trial, techniques_of(trial.recipe, trial.places))
    assert found.refused == {}
    return found


def changed(name: str, scratch: Path, *techniques: str, folder: Path = HERE) -> bytes:
    """Return a script with what techniques write into it, at places that are all sure."""
    found = wanted(trial_of(name, scratch, *techniques, kind="build", folder=folder))
    raw = (folder / f"{name}.py").read_bytes()
    made, unsure = applied(raw, found.edits)
    assert unsure == {}
    return made


@pytest.mark.parametrize(
    ("name", "techniques", "lines"),
    [
        (
            "language",
            ["gradient-checkpointing", "mixed-precision", "allocator"],
            [
                'checkpoint_blocks(model, "blocks.0", "blocks.1")',
                "_, loss = in_mixed_precision(model)(*batch())",
                "ctypes.CDLL(None).mallopt(-4, 0)",
            ],
        ),
        (
            "plain",
            ["fused-optimizer", "memory-efficient-loading:reader=thread"],
            [
                "torch.optim.AdamW(model.parameters(), args.lr, fused=True)",
                "train = reading_ahead(DataLoader)(",
            ],
        ),
        ("autocast", ["channels-last"], ["net.to(memory_format=torch.channels_last)"]),
        (
            "workers",
            ["memory-efficient-loading:reader=workers"],
            ["num_workers=1, prefetch_factor=2)"],
        ),
    ],
)
def test_a_script_with_the_lines_has_the_losses_of_the_trial(
    name: str, techniques: list[str], lines: list[str], tmp_path: Path
) -> None:
    made = changed(name, tmp_path, *techniques)
    text = made.decode().replace("'", '"')
    assert [line for line in lines if line not in text] == []
    shutil.copy(HERE / f"{name}.py", tmp_path)  # which one of them trains on
    (path := tmp_path / "faster.py").write_bytes(made)
    measured = intercepted(trial_of(name, tmp_path, *techniques)).course.losses
    assert losses_of(path) == tuple(measured)


def test_a_loader_that_the_first_steps_draw_nothing_from_is_not_changed(tmp_path: Path) -> None:
    trial = trial_of("plain", tmp_path, "memory-efficient-loading:reader=workers", kind="build")
    made, _ = applied((HERE / "plain.py").read_bytes(), (found := wanted(trial)).edits)
    lines = made.decode().splitlines()
    assert "test = DataLoader(TensorDataset(x[192:], y[192:]), 32)" in lines
    assert [line for line in lines if "num_workers=1" in line and line.startswith("train = ")]
    assert {edit.where for edit in found.unreached} == {"plain.py, line 20"}


def test_git_applies_the_patch_to_the_script_alone(tmp_path: Path) -> None:
    made = changed("gan", tmp_path, "mixed-precision", "fused-optimizer")
    assert b"fooled = criterion(in_mixed_precision(critic)(fake), torch.ones(16, 1))" in made
    raw = (HERE / "gan.py").read_bytes()
    (path := tmp_path / "gan.py").write_bytes(raw)
    patch = "Recipe 1: a\n  lines\n" + difference("gan.py", raw, made)
    subprocess.run(["git", "apply"], cwd=tmp_path, input=patch.encode(), check=True)
    assert path.read_bytes() == made


def test_what_the_first_steps_did_not_reach_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "phases.py").write_text(PHASES)
    techniques = ("fused-optimizer", "mixed-precision")
    found = wanted(trial_of("phases", tmp_path, *techniques, kind="build", folder=tmp_path))
    assert [(one.by, one.where) for one in found.unreached] == [
        ("fused-optimizer", "phases.py, line 9"), ("fused-optimizer", "phases.py, line 13"),
        ("mixed-precision", "phases.py, line 11"),
    ]  # fmt: skip
    patch, notes = patched(tmp_path, found)
    assert (
        "fused-optimizer: phases.py, line 9, by hand (not reached in the first 3 steps):\n"
        "  add the argument fused=True"
    ) in notes
    assert notes[-1] == "3 steps were seen: no line that is reached only later is changed"
    assert "+optimizer = torch.optim.AdamW(model.parameters(), foreach=False, fused=True)" in patch


def test_a_script_outside_the_working_folder_is_changed_by_hand(tmp_path: Path) -> None:
    work, scratch, repository = tmp_path / "work", tmp_path / "scratch", tmp_path / "repo"
    for folder in (work, scratch, repository):
        folder.mkdir()
    (repository / "phases.py").write_text(PHASES)
    trial = trial_of(
        "phases", scratch, "fused-optimizer", "allocator", kind="build", folder=repository
    )
    place = {"data_dir": str(work), "script": "../repo/phases.py"}
    recipe = trial.recipe.model_copy(update={"settings": {**trial.recipe.settings, **place}})
    patch, notes = patched(work, wanted(trial.model_copy(update={"recipe": recipe})))
    assert patch == ""
    why = "by hand (it lies outside the working folder, where no patch reaches):"
    for technique, line in (("fused-optimizer", 5), ("allocator", 1)):
        begun = f"{technique}: ../repo/phases.py, line {line}, {why}\n  add "
        assert any(note.startswith(begun) for note in notes)


def written_into(text: str, folder: Path, *techniques: str) -> tuple[list[str], list[str]]:
    """Return the lines that a patch changes a script to, but for those on top, and the notes."""
    (folder / "own.py").write_text(text)
    trial = trial_of("own", folder, *techniques, kind="build", folder=folder)
    patch, notes = patched(folder, wanted(trial))
    old = [line for line in patch.splitlines() if line.startswith("-") and line[1] != "-"]
    new = [line[1:] for line in patch.splitlines() if line.startswith("+") and line[1:2] != "+"]
    return new[-len(old) :] if old else [], notes


def test_an_optimizer_that_takes_no_such_argument_or_never_steps_is_not_given_it(
    tmp_path: Path,
) -> None:
    lines, notes = written_into(SEVERAL, tmp_path, "fused-optimizer")
    first = "torch.optim.AdamW(model.parameters(), fused=True)"
    assert lines == [f"first, idle = {first}, torch.optim.Adam(model.parameters())"]
    for kind in ("LBFGS", "Lion"):
        assert f"fused-optimizer: own.py, line 9 stays: {kind} has no fused" in notes
    assert (
        "fused-optimizer: own.py, line 8, by hand (it makes no step of its own among those that "
        "were seen):\n  add the argument fused=True"
    ) in notes


def test_a_loader_of_the_script_s_own_is_given_only_what_it_takes(tmp_path: Path) -> None:
    lines, notes = written_into(OWN_LOADER, tmp_path, "memory-efficient-loading:reader=workers")
    assert lines == []
    for name, value in (("num_workers", 1), ("prefetch_factor", 2)):
        assert (
            f"memory-efficient-loading: own.py, line 10, by hand (MyLoader has no {name}):\n"
            f"  add the argument {name}={value}"
        ) in notes


def test_what_something_else_calls_is_changed_by_hand(tmp_path: Path) -> None:
    lines, notes = written_into(MAPPED, tmp_path, "fused-optimizer", "mixed-precision")
    assert lines == [
        'second = kinds["adam"](other.parameters(), fused=True)',
        'third = getattr(torch.optim, "SGD")((p for p in another.parameters()), fused=True)',
        '    in_mixed_precision(kinds["own"])(crops[0]).sum().backward()',
    ]
    why = "by hand (what is called there is no name of it, and may be what calls it):"
    for by, line in (("fused-optimizer", 5), ("mixed-precision", 11)):
        assert any(note.startswith(f"{by}: own.py, line {line}, {why}") for note in notes)


@pytest.mark.parametrize(
    ("reader", "what"),
    [
        ("workers", "add the argument num_workers=1"),
        ("thread", "let reading_ahead(…)(…) be called, where it calls …(…)"),
    ],
)
def test_a_line_that_makes_a_loader_which_was_not_seen_too_is_changed_by_hand(
    reader: str, what: str, tmp_path: Path
) -> None:
    lines, notes = written_into(SPLITS, tmp_path, f"memory-efficient-loading:reader={reader}")
    assert lines == []
    why = "by hand (the same line makes a loader that was not seen)"
    begun = f"memory-efficient-loading: own.py, line 6, {why}:\n  {what}"
    assert any(note.startswith(begun) for note in notes)


def test_what_no_name_stands_for_is_changed_where_it_is_called(tmp_path: Path) -> None:
    lines, _ = written_into(NAMELESS, tmp_path, "mixed-precision")
    assert lines == [
        "        return [in_mixed_precision(self.__net)(part).sum() for part in (x, x)]",
        "    in_mixed_precision(models[-1])(x).sum().backward()",
        "    in_mixed_precision(last())(x).sum().backward()",
        "    (in_mixed_precision(models[1] if x.numel() else models[0]))(x).sum().backward()",
    ]


def test_an_optimizer_asks_for_one_form_alone(tmp_path: Path) -> None:
    (tmp_path / "phases.py").write_text(PHASES)
    made = changed("phases", tmp_path, "fused-optimizer", folder=tmp_path)
    assert b"AdamW(model.parameters(), foreach=False, fused=True)" in made
    compile(made, "phases.py", "exec")
