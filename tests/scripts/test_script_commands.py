"""`bench script` as a process, from its first trial to the recipe that is trained with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.cli.argv import spread
from bench.cli.script import settings_of, started, variations
from bench.errors import BenchError
from bench.recipes.script import ScriptBaseline, ScriptSettings, metric_name
from tests.cli.calls import call
from tests.cli.processes import only_run, records, run
from tests.scripts.cases import HERE, plainly


def test_a_script_is_measured_exported_and_trained_with(tmp_path: Path) -> None:
    for name in ("plain", "language"):
        shutil.copy(HERE / f"{name}.py", tmp_path)
    done = run(
        "script", "plain.py", "--combine", "fused-optimizer", "--metric", r"val_acc=([\d.]+)",
        "--repeats", "1", "--quiet", "--", "--epochs", "2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first = next(r for r in records(only_run(tmp_path)) if r["arm"] == "baseline")
    assert tuple(first["losses"]) == plainly("plain")
    assert first["metric"] > 0.5
    assert first["items"] == 16 * len(first["step_seconds"])
    assert not (tmp_path / "out").exists()
    recipe = only_run(tmp_path) / "optimized.json"
    done = call("train", str(recipe), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.pt").exists()
    kept = json.loads((tmp_path / "checkpoint" / "training.json").read_text())
    assert tuple(kept["losses"]) == plainly("plain")


@pytest.mark.parametrize(
    ("script", "module", "said"),
    [
        ("nowhere.py", None, "there is no script nowhere.py"),
        ("notes.txt", None, "notes.txt is no Python script: its name doesn't end with .py"),
        ("torn.py", None, "torn.py, line 2: '(' was never closed"),
        (None, None, "give a script (bench script train.py) or a module (-m), not both"),
        (None, "nets.train", "no module named nets.train in"),
    ],
)
def test_what_can_t_be_started_is_told_before_anything_runs(
    script: str | None, module: str | None, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "torn.py").write_text("x = 1\ny = (\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError) as refusal:
        started(script, module)
    assert str(refusal.value).startswith(said)


def test_a_model_s_class_that_is_mistyped_is_the_user_s_to_fix(tmp_path: Path) -> None:
    shutil.copy(HERE / "plain.py", tmp_path)
    done = call("script", "plain.py", "--model", "Nte", "--quiet", cwd=tmp_path)
    assert done.returncode == 2
    said = "bench: no model that its first steps train is a Nte; there are: Sequential"
    assert done.stderr.splitlines()[-1] == said


def test_a_module_is_found_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets").mkdir()
    for name in ("__init__", "train"):
        (tmp_path / "nets" / f"{name}.py").write_text("")
    monkeypatch.chdir(tmp_path)
    begun = started(None, "nets.train")
    assert begun.file == tmp_path.resolve() / "nets" / "train.py"
    settings = ScriptSettings.model_validate(settings_of(begun, ["--epochs", "3"], {}))
    assert (settings.script, settings.arguments) == ("nets/train.py", ("--epochs", "3"))
    (notice,) = ScriptBaseline(begun.reference).prepare(settings)[1]
    assert "nets.train: only its file" in notice


def test_a_direction_of_no_metric_is_the_user_s_to_fix(tmp_path: Path) -> None:
    shutil.copy(HERE / "plain.py", tmp_path)
    done = call("script", "plain.py", "--lower-is-better", "--quiet", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "bench: --lower-is-better is said of no metric: give --metric 'val_loss=([\\d.]+)', or "
        "--metric NAME and bench.report(NAME=...) in the script"
    )
    given = {"lower": True, "metric": "val_loss"}
    told = settings_of(started(str(tmp_path / "plain.py"), None), [], given)
    target = ScriptBaseline("plain").target_for(ScriptSettings.model_validate(told))
    assert (target.metric, target.direction) == ("val_loss", "lower")


def test_lines_to_vary_may_begin_with_a_dash() -> None:
    words = ["--vary", "--lr 1e-3", "--amp", "--quiet", "--test", "compile"]
    assert list(spread(words, frozenset(), {"--vary", "--quiet", "--test"})) == [
        "--vary", "--lr 1e-3", "--vary", "--amp", "--quiet", "--test", "compile",
    ]  # fmt: skip
    assert variations(["--lr 1e-3"]) == ("script-arguments:add=--lr 1e-3",)
    with pytest.raises(BenchError, match="No closing quotation"):
        variations(["--name 'x"])


def test_what_may_be_an_option_of_either_is_no_line_to_vary() -> None:
    own = {"--vary", "--model", "--steps"}
    words = ["--vary", "--lr 1e-3", "--model=resnet50"]
    with pytest.raises(BenchError) as refusal:
        list(spread(words, frozenset(), own))
    assert str(refusal.value) == (
        "--vary: --model=resnet50 may be meant for the script, or be bench's own --model: write "
        "'--model resnet50' for the script, or bench's own before --vary"
    )
    assert list(spread(["--steps=500", "--vary", "--model resnet50"], frozenset(), own)) == [
        "--steps=500", "--vary", "--model resnet50",
    ]  # fmt: skip
    assert list(spread(["--vary", "--a", "--vary=--b", "--steps", "9"], frozenset(), own)) == [
        "--vary", "--a", "--vary=--b", "--steps", "9",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (r"val_acc=([\d.]+)", "val_acc"),
        (r"val loss ([\d.]+)", "val loss"),
        ("accuracy", "accuracy"),
        (r"Test set: .*Accuracy: .*\((\d+)%\)", "Test set"),
        (r"([\d.]+)$", "metric"),
    ],
)
def test_a_metric_is_called_by_the_words_of_its_pattern(metric: str, name: str) -> None:
    assert metric_name(metric) == name


def test_a_script_is_started_as_it_was_asked_for_and_found_where_a_link_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train_v2.py").touch()
    (tmp_path / "train.py").symlink_to("code/train_v2.py")
    monkeypatch.chdir(tmp_path)
    begun = started("train.py", None)
    assert begun.file == tmp_path.resolve() / "code" / "train_v2.py"
    assert settings_of(begun, [], {})["script"] == "train.py"


def test_a_script_is_named_in_its_working_folder_whatever_links_lead_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project := tmp_path / "disk" / "project").mkdir(parents=True)
    (project.parent / "other").mkdir()
    for file in (project / "train.py", project.parent / "other" / "train.py"):
        file.touch()
    (project / "newest.py").symlink_to("train.py")
    (home := tmp_path / "home").symlink_to("disk")
    monkeypatch.chdir(project)
    for given, named in (
        (home / "project" / "train.py", "train.py"),
        (home / "project" / "newest.py", "newest.py"),
        (home / "other" / "train.py", "../other/train.py"),
        ("../other/train.py", "../other/train.py"),
    ):
        assert settings_of(started(str(given), None), [], {})["script"] == named
