"""Scripts that links lead to, and code that lies in folders which trials only link."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from bench.recipes.assembly import techniques_of
from bench.trial.script import train_script
from bench.trial.script_writing import written
from bench.trial.spec import TrialSpec
from tests.scripts.cases import intercepted, trial_of

BEGIN = """
import sys, torch
from pathlib import Path
from torch import nn
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
def step(x):
    model(x).sum().backward()
    optimizer.step()
"""
LARGE = "from data.dataset import size\nstep(torch.ones(1, size))\n"
WRITES = "Path('data/cache.txt').write_text('x')\nPath('data/images/0.png').read_bytes()\n"
SAYS = """
import nearby
step(torch.ones(1, 2))
file = Path(__file__)
print(file.relative_to(Path.cwd()), sys.argv[0], Path(sys.path[0]).name, file.resolve().name,
      file.is_absolute(), (file.resolve().parent / "nearby.py").is_file())
"""


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder in which that of the data, code too, is too large to be copied."""
    monkeypatch.setattr("bench.interception.folder.MOST_FILES", 4)
    (tmp_path / "scratch").mkdir()
    images = tmp_path / "work" / "data" / "images"
    images.mkdir(parents=True)
    for number in range(5):
        (images / f"{number}.png").touch()
    (images.parent / "__init__.py").touch()
    (images.parent / "dataset.py").write_text("size = 2")
    return tmp_path / "work"


def files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return the files in a folder, with what changes where one is written anew."""
    found = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in found}


def test_code_in_a_large_folder_is_measured_and_left_as_it_is(large: Path, tmp_path: Path) -> None:
    (large / "train.py").write_text(BEGIN + LARGE + WRITES)
    trial = trial_of("train", tmp_path / "scratch", folder=large)
    assert "data/dataset.py" in trial.recipe.files
    before = files_of(large)
    assert len(intercepted(trial).course.losses) == 1
    assert files_of(large) == before


def test_a_script_in_a_large_folder_is_left_as_it_is(large: Path, tmp_path: Path) -> None:
    (large / "data" / "train.py").write_text(BEGIN + "import dataset\nstep(torch.ones(1, 2))")
    before = files_of(large)
    intercepted(trial_of("data/train", tmp_path / "scratch", folder=large))
    assert files_of(large) == before


def test_code_that_was_edited_since_it_was_measured_stays_edited(
    large: Path, tmp_path: Path
) -> None:
    (large / "train.py").write_text(BEGIN + LARGE)
    trial = trial_of("train", tmp_path / "scratch", folder=large)
    shutil.copytree(large, tmp_path / "exported")
    places = {name: str(tmp_path / "exported" / name) for name in trial.places}
    (large / "data" / "dataset.py").write_text("size = 'as it is now'")
    intercepted(trial.model_copy(update={"places": places}))
    assert (large / "data" / "dataset.py").read_text() == "size = 'as it is now'"


def linked(folder: Path, script: str, link: str, target: str, text: str = SAYS) -> TrialSpec:
    """Return a trial of a script that a link in its working folder leads to."""
    work, code, scratch = (folder / name for name in ("work", "code", "scratch"))
    for one in (work, code, scratch):
        one.mkdir()
    (code / "train_v2.py").write_text(BEGIN + text)
    (code / "nearby.py").touch()
    (work / link).symlink_to(target)
    trial = trial_of("train_v2", scratch, folder=code, kind="build" if text != SAYS else "full")
    given = {**trial.recipe.settings, "data_dir": str(work), "script": script}
    return trial.model_copy(update={"recipe": trial.recipe.model_copy(update={"settings": given})})


@pytest.mark.parametrize(
    ("script", "link", "target"),
    [
        ("train.py", "train.py", "../code/train_v2.py"),
        ("src/train_v2.py", "src", "../code"),
    ],
)
def test_a_script_that_is_started_by_a_link_sees_what_plain_python_shows(
    script: str, link: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = linked(tmp_path, script, link, target)
    before = files_of(tmp_path / "code")
    intercepted(trial)
    said = (tmp_path / "scratch" / "trial.log").read_text()
    assert said == f"{script} {script} code train_v2.py True True\n"
    train_script(trial.recipe, trial.places, torch.device("cpu"), 0)
    assert capsys.readouterr().out == said
    assert files_of(tmp_path / "code").keys() - before.keys() <= {
        *(tmp_path / "code" / "__pycache__").glob("*")
    }


def test_the_lines_of_a_script_that_is_started_by_a_link_are_its_file_s(tmp_path: Path) -> None:
    steps = "for _ in range(5):\n    step(torch.ones(1, 2))\n"
    trial = linked(tmp_path, "train.py", "train.py", "../code/train_v2.py", steps)
    used = trial_of("train_v2", tmp_path / "scratch", "fused-optimizer", folder=tmp_path / "code")
    found = written(trial, techniques_of(used.recipe, used.places))
    assert {edit.place.file for edit in found.edits if edit.place} == {"../code/train_v2.py"}
