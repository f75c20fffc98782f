"""What a recipe does to a script, written into it: the same losses as the trial's, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.cli.export_script import patched
from bench.interception.edits import Edit, Place, Written, applied, difference
from bench.recipes.assembly import techniques_of
from bench.trial.script_writing import written
from bench.trial.spec import TrialSpec
from optimizers import gradient_checkpointing
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


def test_an_optimizer_asks_for_one_form_alone(tmp_path: Path) -> None:
    (tmp_path / "phases.py").write_text(PHASES)
    made = changed("phases", tmp_path, "fused-optimizer", folder=tmp_path)
    assert b"AdamW(model.parameters(), foreach=False, fused=True)" in made
    compile(made, "phases.py", "exec")


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("checkpoint = torch.load('last.pt') if found else None", None),
        ("def checkpoint(epoch): return epoch", None),
        ("import functools", None),
        ("from torch.utils.checkpoint import checkpoint as recomputed", None),
        ("recomputed = 0", "recomputed"),
        ("async def recomputed(): pass", "recomputed"),
        ("import toolz as functools", "functools"),
    ],
)
def test_names_of_the_script_s_own_do_not_stand_for_what_is_written(
    line: str, taken: str | None
) -> None:
    source = f"import torch\nfound = False\n{line}\no = Adam(model)^\n"
    helper, text = gradient_checkpointing.WRITTEN, "checkpoint_blocks(model, 'a')"
    made, unsure = edit(source, "after", text=text, helper=helper)
    if taken is not None:
        assert unsure == {0: f"the file has a {taken} of its own"}
        return
    assert unsure == {}
    assert "from torch.utils.checkpoint import checkpoint as recomputed\n" in made
    assert "functools.partial(recomputed, block.forward, use_reentrant=False)" in made
    compile(made, "a.py", "exec")


def edit(source: str, kind: str, **given: object) -> tuple[str, dict[int, str]]:
    """Return a text with one edit of the call that ends at the mark, and why it has none."""
    before = source.partition("^")[0]
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2].encode())
    place = Place(file="a.py", line=line, column=column)
    one = Edit.model_validate({"by": "x", "kind": kind, "place": place, "where": "", **given})
    made, unsure = applied(source.replace("^", "").encode(), [one])
    return made.decode(), unsure


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("o = Adam(p)^\n", "o = Adam(p, fused=True)\n"),
        ("o = Adam()^\n", "o = Adam(fused=True)\n"),
        (
            "o = Adam(\n    p,  # all\n    lr=1,\n)^",
            "o = Adam(\n    p,  # all\n    lr=1, fused=True,\n)",
        ),
        ("é = f(Adam(p, fused=None)^)\n", "é = f(Adam(p, fused=True))\n"),
    ],
)
def test_an_argument_is_given_where_a_call_has_room_for_it(text: str, made: str) -> None:
    assert edit(text, "keyword", name="fused", text="True") == (made, {})


@pytest.mark.parametrize(
    ("text", "made"),
    [("o = Adam(p, foreach=True, lr=1)^\n", "o = Adam(p, foreach=False, lr=1)\n"),
     ("o = Adam(p)^\n", "o = Adam(p)\n")],
)  # fmt: skip
def test_an_argument_may_be_changed_only_where_it_is_given(text: str, made: str) -> None:
    assert edit(text, "keyword", name="foreach", text="False", given=True) == (made, {})


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("o = Adam(p, **more)^\n", "keyword", "its arguments are unpacked (*, **)"),
        ("o = Adam(p, 1, 2)^\n", "keyword", "fused is given there without its name"),
        ("return_(Adam((p)))\n^", "keyword", "no call ends there that can be told from others"),
        ("def f():\n    return Adam(p)^\n", "after", "it is in no plain assignment"),
        (
            "o = [Adam(m)^ for m in n]\n",
            "after",
            "it is in a function or comprehension within a stat",
        ),
        ("if x: o = Adam(m)^\n", "after", "its line holds another statement"),
        ("fused = 1\no = Adam(m)^\n", "callee", "the file has a fused of its own"),
        ("o = Adam((p))^\n", "keyword", "what was written there is no Python"),
    ],
)
def test_where_no_place_is_sure_nothing_is_written(text: str, kind: str, why: str) -> None:
    helper = "def fused(one):\n    return one\n" if kind == "callee" else ""
    made, unsure = edit(text, kind, name="fused", text="True", position=2, helper=helper)
    assert made == text.replace("^", "")
    assert unsure[0].startswith(why)
