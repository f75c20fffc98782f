from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

import bench
from bench.errors import BenchError
from bench.interception.events import Recorder
from bench.interception.folder import mirrored
from bench.interception.script import Script
from bench.trial.script import check_device
from tests.scripts.cases import HERE, NAMES, intercepted, plainly, trial_of


def patched() -> tuple[object, ...]:
    """Return what interception replaces while a script runs."""
    return (
        nn.Module.__call__, nn.Module.train, nn.Sequential.__dict__.get("__call__"),
        Optimizer.__init__, torch.autograd.backward, torch.amp.GradScaler.scale,
        torch.amp.GradScaler._maybe_opt_step, DataLoader.__iter__, bench.report,
        sys.modules["__main__"], tuple(sys.argv), tuple(sys.path), Path.cwd(),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_measured_script_has_the_losses_of_a_plain_one(name: str, tmp_path: Path) -> None:
    before = patched()
    run = intercepted(trial_of(name, tmp_path))
    assert tuple(run.course.losses) == plainly(name)
    assert len(run.course.timeline.steps) == len(run.course.losses)
    assert patched() == before


@pytest.mark.parametrize(
    ("name", "items"),
    [("plain", 16), ("accumulation", 64), ("packed", 6), ("workers", 10), ("language", 4)],
)
def test_items_are_those_that_a_step_trains_on(name: str, items: int, tmp_path: Path) -> None:
    run = intercepted(trial_of(name, tmp_path, kind="build"))
    assert {step.items for step in run.course.timeline.steps} == {items}


def test_evaluation_is_in_no_step(tmp_path: Path) -> None:
    run = intercepted(trial_of("language", tmp_path))
    assert run.course.evaluate_seconds > 0
    assert all("evaluate" not in step.phases for step in run.course.timeline.steps)
    assert {"forward", "backward", "update"} <= run.course.timeline.steps[0].phases.keys()


def test_what_a_script_writes_stays_in_the_trial(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "work", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    for name in ("language", "plain"):
        (folder / f"{name}.py").write_text((HERE / f"{name}.py").read_text())
    (folder / "out").mkdir()
    (folder / "out" / "model.pt").write_text("the user's own")
    for name in ("language", "language", "plain"):  # a checkpoint would end the second
        intercepted(trial_of(name, scratch, folder=folder, kind="build"))
    assert sorted(path.name for path in folder.iterdir()) == ["language.py", "out", "plain.py"]
    assert (folder / "out" / "model.pt").read_text() == "the user's own"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('hello')", "bad.py ended without a step of an optimizer of torch.optim"),
        ("raise SystemExit(4)", "bad.py ended with 4 before its first step"),
        ("print('ups')\nx = 1 / 0", "ZeroDivisionError: division by zero (bad.py, line 2)"),
        ("input('name? ')", "the script asks for input, and a trial has none to give (bad.py, li"),
        ("import nothing_such", "ModuleNotFoundError: No module named 'nothing_such' (bad.py, li"),
    ],
)
def test_a_script_that_trains_nothing_says_why(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.py").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(BenchError) as refusal:
        intercepted(trial_of("bad", tmp_path, folder=tmp_path, kind="build"))
    assert str(refusal.value).startswith(said)


def test_a_script_that_seeds_nothing_has_the_seed_of_its_pair(tmp_path: Path) -> None:
    trial = trial_of("unseeded", tmp_path)
    first, again = (intercepted(trial).course.losses for _ in range(2))
    assert first == again
    assert intercepted(trial.model_copy(update={"seed": 1})).course.losses != first


@pytest.mark.parametrize("place", ["large.bin2", "many/new", "many/0", "many/sub/new"])
def test_what_trials_share_is_not_written_to_unnoticed(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.interception.folder.MOST_FILES", 3)
    monkeypatch.setattr("bench.interception.folder.COPIED_BYTES", 1000)
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    (work / "many" / "sub").mkdir(parents=True)
    scratch.mkdir()
    for number in range(5):
        (work / "many" / str(number)).touch()
    (work / "large.bin2").write_bytes(b"x" * 2000)
    (work / "writes.py").write_text(f"open({place!r}, 'w').write('mine')")
    shared = work / Path(place).parts[0]
    with pytest.raises(BenchError, match=f"the script writes to {shared}, which its trials share"):
        intercepted(trial_of("writes", scratch, folder=work, kind="build"))


def test_what_python_keeps_of_imported_files_is_not_written_by_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.interception.folder.MOST_FILES", 1)
    package = tmp_path / "work" / "package"
    package.mkdir(parents=True)
    for name in ("__init__.py", "net.py"):
        (package / name).touch()
    (package / "gone").symlink_to(tmp_path / "nothing")
    made = mirrored(tmp_path / "work", tmp_path / "scratch")
    assert (made.folder / "package").is_symlink()
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "net.pyc").touch()
    made.check()


def test_what_lies_behind_links_stays_as_it_is(tmp_path: Path) -> None:
    work, scratch, away = tmp_path / "work", tmp_path / "scratch", tmp_path / "away"
    for folder in (work, scratch, away):
        folder.mkdir()
    (away / "last.pt").write_text("the user's")
    (away / "back").symlink_to(away)  # may lead in a circle
    (work / "ckpt").symlink_to(away)
    (work / "again").symlink_to(away)
    (work / "epoch.pt").write_text("the user's")
    (work / "latest.pt").symlink_to("epoch.pt")
    (work / "gone").symlink_to(tmp_path / "nothing")
    (work / "itself").symlink_to("itself")
    (work / "writes.py").write_text(
        (HERE / "plain.py").read_text()
        + "\nassert not Path('ckpt/new.pt').exists()\n"
        + "for name in ('ckpt/last.pt', 'ckpt/back/new.pt', 'latest.pt'):\n"
        + "    open(name, 'w').write('x')\n"
        + "assert Path('epoch.pt').read_text() == Path('again/new.pt').read_text() == 'x'\n"
    )
    for _ in range(2):
        intercepted(trial_of("writes", scratch, folder=work))
    assert sorted(one.name for one in away.iterdir()) == ["back", "last.pt"]
    assert {(away / "last.pt").read_text(), (work / "epoch.pt").read_text()} == {"the user's"}


@pytest.mark.parametrize("most", ["MOST_FILES", "DATA_BYTES"])
def test_a_large_folder_that_a_link_leads_to_is_shared_and_watched(
    most: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"bench.interception.folder.{most}", 2)
    work, away = tmp_path / "work", tmp_path / "away"
    work.mkdir()
    away.mkdir()
    for number in range(3):
        (away / f"{number}.pt").write_text("x")
    (work / "shards").symlink_to(away)
    made = mirrored(work, tmp_path / "scratch")
    assert (made.folder / "shards").readlink() == away
    made.check()
    (made.folder / "shards" / ("new.pt" if most == "MOST_FILES" else "0.pt")).write_text("mine")
    with pytest.raises(BenchError, match=f"the script writes to {away}"):
        made.check()


def test_a_large_data_set_that_is_called_like_a_checkpoint_is_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.interception.folder.COPIED_BYTES", 10)
    monkeypatch.setattr("bench.interception.folder.DATA_BYTES", 1000)
    work = tmp_path / "work"
    work.mkdir()
    for name, size in (("train.bin", 2000), ("small.bin", 500), ("last.pt", 2000)):
        (work / name).write_bytes(b"x" * size)
    made = mirrored(work, tmp_path / "scratch")
    assert {one.name for one in made.folder.iterdir() if one.is_symlink()} == {"train.bin"}
    assert [*made.linked] == [work.resolve() / "train.bin"]


def test_only_our_own_results_are_left_out_of_a_mirror(tmp_path: Path) -> None:
    for name, beside in (("sacred", "config.json"), ("ours", "trials.jsonl")):
        (tmp_path / "work" / name).mkdir(parents=True)
        for file in ("run.json", beside):
            (tmp_path / "work" / name / file).write_text("{}")
    made = mirrored(tmp_path / "work", tmp_path / "scratch")
    assert sorted(one.name for one in made.folder.iterdir()) == ["sacred"]


def test_a_script_that_trains_on_another_device_is_not_measured() -> None:
    model, apart = nn.Linear(1, 1), nn.Linear(1, 1, device="meta")
    script = Script(torch.device("cuda"), Recorder(), models=[model, apart])
    said = "trains on cpu, and its trials .* on cuda: .* choose cuda, or give --device cpu"
    with pytest.raises(BenchError, match=said):
        check_device(script)
    check_device(Script(torch.device("cpu"), Recorder(), models=[model]))
    check_device(Script(torch.device("cuda"), Recorder(), models=[apart]))


def test_losses_of_a_training_that_nobody_measures_leave_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnCuda(torch.Tensor):
        is_cuda = True

    monkeypatch.setattr("bench.interception.events.BROUGHT", 3)
    for cuda, kept in ((False, 1), (True, 4)):
        recorder = Recorder()
        recorder.cuda = cuda
        for _ in range(4):
            recorder.note_loss(torch.ones(()).as_subclass(OnCuda))
        assert sum(isinstance(one, torch.Tensor) for one in recorder.losses) == kept
        assert recorder.values() == [1.0] * 4
