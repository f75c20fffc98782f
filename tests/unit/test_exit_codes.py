"""What no user can mend has an exit code that is no answer: a crash is no regression."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from bench import __main__ as started
from bench.cli import main as command_line
from bench.errors import BenchError
from bench.recipes.references import places_of
from bench.run.checkout import Repository
from bench.run.compared import Compared
from bench.run.sides import places
from tests.cli.repository import git


def test_a_bug_of_ours_is_neither_a_regression_nor_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("ours")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(command_line, "main", broken)
    try:
        with pytest.raises(SystemExit) as ended:
            started.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 70
    assert capsys.readouterr().err.endswith("RuntimeError: ours\n")


def test_a_link_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to("mine.py")
    with pytest.raises(BenchError, match=r"link.py:Net names a link to .*/mine.py: name that file"):
        places_of([f"{tmp_path / 'link.py'}:Net"])


def test_a_commit_that_a_shallow_clone_lacks_is_said_to_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"
    whole.mkdir()
    git(whole, "init", "--quiet")
    for subject in ("one", "two"):
        git(whole, "commit", "--quiet", "--allow-empty", "--message", subject)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{whole}", str(shallow))
    monkeypatch.chdir(shallow)
    asked = Compared("HEAD~1", "HEAD", Path("mine.py"), "Net", {}, 0.05)
    with pytest.raises(BenchError, match="knows; it is a shallow clone: git fetch --unshallow"):
        places(asked, tmp_path)
    assert not Repository(whole, ".").is_shallow
