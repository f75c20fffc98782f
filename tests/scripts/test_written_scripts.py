"""What a recipe does to a script, written into it: the same losses as the trial's, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.interception.edits import Edit, Place, applied, difference
from bench.recipes.assembly import techniques_of
from bench.trial.script_writing import written
from tests.scripts.cases import HERE, intercepted, losses_of, trial_of


def changed(name: str, scratch: Path, *techniques: str) -> bytes:
    """Return a script with what techniques write into it, at places that are all sure."""
    trial = trial_of(name, scratch, *techniques, kind="build")
    found = written(trial, techniques_of(trial.recipe, trial.places))
    assert found.refused == {}
    raw = (HERE / f"{name}.py").read_bytes()
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
