"""`bench ab`: two commits of a small repository, which is afterwards as it was before."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.cli import repository
from tests.cli.processes import HERE, Bench, has_records, only_run, start, wait_for
from tests.cli.repository import git

MODEL = "mine.py"
MEASURED = ("--", "--baseline", f"{MODEL}:Tiny", "--epochs", "4")
TINY = (HERE / "tiny_model.py").read_text()
STATES = {
    "the first": TINY,
    "learns nothing": TINY.replace("lr=0.1", "lr=0.0"),
    "crashes": TINY.replace("return Job(", "raise RuntimeError('boom')\n        return Job("),
    "renamed": TINY.replace("pause: float", "rest: float").replace(
        "settings.pause", "settings.rest"
    ),
}
Commits = dict[str, str]


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Commits]:
    """Return a repository, made once to be copied, and the hashes of its commits."""
    folder, found = tmp_path_factory.mktemp("repository"), Commits()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".gitignore").write_text("results/\n")
    for subject, text in STATES.items():
        (folder / MODEL).write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", subject)
        found[subject] = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "--quiet", found["the first"])
    return folder, found


@pytest.fixture
def commits(committed: tuple[Path, Commits], tmp_path: Path) -> Commits:
    """Return the hash of each of `STATES`, committed one after the other; the first is there."""
    folder, found = committed
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return found


@pytest.fixture(autouse=True)
def _own_temporary_files(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let no other test's folders stand beside those that are looked for."""
    folder = str(tmp_path_factory.mktemp("t"))
    monkeypatch.setattr(tempfile, "tempdir", folder)
    monkeypatch.setenv("TMPDIR", folder)


def state(folder: Path) -> tuple[str, ...]:
    """Return all that a comparison must leave as it is."""
    return repository.state(folder, Path(tempfile.gettempdir()))


def test_a_commit_that_crashes_has_regressed_and_the_repository_is_as_it_was(
    called: Bench, commits: Commits, tmp_path: Path
) -> None:
    before = state(tmp_path)
    done = called("ab", commits["the first"], commits["crashes"], "--quiet", *MEASURED)
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    assert "does not train where base does: RuntimeError: boom (mine.py, line" in said
    assert f"head is {commits['crashes']} ({commits['crashes'][:12]})" in said
    assert state(tmp_path) == before


def test_a_setting_that_one_commit_does_not_know_is_told_in_one_line(
    called: Bench, commits: Commits, tmp_path: Path
) -> None:
    done = called("ab", "HEAD", commits["renamed"], *MEASURED, "--set", "pause=0.001")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"bench: at {commits['renamed']} (")
    assert 'baseline tiny has no setting "pause"' in line
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("HEAD", "nosuch", *MEASURED), "nosuch is neither a folder nor a commit that"),
        (("HEAD", ".", "--", "--baseline", "gone.py:Tiny"), "there is no gone.py, not in git"),
        (("HEAD", ".", "--", "--baseline", "timehut"), "what is installed is the same at both"),
        (("HEAD", ".", "--", "--test", "compile"), "--test is nothing that two revisions are"),
        (("HEAD", "."), "say behind -- what is to be trained"),
        (("", "HEAD", *MEASURED), "base is empty: give a commit or a folder"),
        (("HEAD", " ", *MEASURED), "head is empty: give a commit or a folder"),
        (("HEAD",), "give two commits or folders"),
        (("HEAD", ".", "--limit", "time=5", *MEASURED), 'no share; write time=5%'),
        (("HEAD", ".", "--output", "a", *MEASURED, "--output", "b"), "--output stands on both"),
        (("HEAD", ".", "--limit", "time=5%", *MEASURED, "--limit", "time=9%"), "--limit stands on"),
        (("HEAD", ".", *MEASURED, "--set", "epochs=2"), "--epochs 4 and --set epochs=2"),
        (("--resume", "x", "--limit", "time=9%"), "--limit can't be changed"),
        (("HEAD", ".", "--resume", "x"), "--base can't be changed"),
        (("--resume", "x", *MEASURED), "leave out what stands behind --"),
        (("--oops", ".", *MEASURED), "--oops"),
    ],
)  # fmt: skip
def test_what_cant_be_compared_is_refused_in_one_line(
    called: Bench, commits: Commits, words: tuple[str, ...], message: str
) -> None:
    done = called("ab", *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line


def test_a_judgement_that_goes_on_is_not_changed(called: Bench, commits: Commits) -> None:
    done = called("judge", "--resume", "x", "--base", commits["renamed"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "--base can't be changed" in done.stderr
    both = called("judge", "--limit", "time=5%", *MEASURED, "--limit", "time=9%")
    assert both.returncode == 2
    assert "--limit stands on both sides of --" in both.stderr


def test_an_edit_of_nothing_is_not_judged(called: Bench, commits: Commits, tmp_path: Path) -> None:
    done = called("judge", "--base", "", *MEASURED)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: base is empty: give a commit or a folder; . is this one\n"
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_loss_of_quality_is_found_and_confirmed_by_a_run_that_was_killed_and_resumed(
    called: Bench, commits: Commits, tmp_path: Path
) -> None:
    before = state(tmp_path)
    limits = ("--limit", "time=900%", "memory=900%")
    words = ("ab", commits["the first"], commits["learns nothing"], *limits, *MEASURED)
    process = start(*words, "--repeats", "3", cwd=tmp_path)
    wait_for(lambda: has_records(tmp_path, 2))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = called("ab", "--resume", str(only_run(tmp_path)), "--json")
    assert done.returncode == 1, done.stderr
    assert '"confirmed": true' in done.stdout
    assert '"answer": "regressed"' in done.stdout
    assert state(tmp_path) == before


def test_an_edit_is_judged_against_the_last_commit_and_noted_in_the_ledger(
    called: Bench, commits: Commits, tmp_path: Path
) -> None:
    (tmp_path / MODEL).write_text(STATES["crashes"])
    done = called("judge", "--quiet", *MEASURED)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert (said["answer"], said["judged"], said["kept"]) == ("discard", 1, 0)
    assert "head is the working tree" in said["why"]
    last = json.loads((tmp_path / said["ledger"]).read_text().splitlines()[-1])
    assert (last["answer"], last["commit"]) == ("discard", commits["the first"])
    refused = called("judge", *MEASURED, "--set", "nosuch=1")
    assert refused.returncode == 2
    assert json.loads((tmp_path / said["ledger"]).read_text().splitlines()[-1])["answer"] == "void"
