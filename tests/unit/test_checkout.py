"""A commit is checked out beside its data, and nothing of that can change the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.launch.temporary import MARK, Owner
from bench.run.checkout import Repository, check_out, left_out, scratch_folder
from tests.cli.repository import git


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository of one commit, with data and code that it does not keep."""
    top = tmp_path / "of a user"
    for folder in ("data", "large", "package", "__pycache__"):
        (top / folder).mkdir(parents=True)
    git(top, "init", "--quiet", "--initial-branch=main")
    (top / "kept.py").write_text("first")
    git(top, "add", "kept.py")
    git(top, "commit", "--quiet", "--message", "one")
    (top / "kept.py").write_text("edited")
    (top / "deep" / "within").mkdir(parents=True)
    for name in ("data/small.txt", "package/code.py", "new.py", "__pycache__/new.pyc",
                 "deep/within/code.py", "_C.abi3.so", "_D.so"):  # fmt: skip
        (top / name).write_text("not kept")
    for number in range(501):
        (top / "large" / str(number)).touch()
    (tmp_path / "beside").mkdir()
    found = Repository.around(top)
    assert found is not None
    return found


def test_what_git_does_not_keep_is_there_but_for_code(
    repository: Repository, tmp_path: Path
) -> None:
    tree = check_out(repository, "HEAD", tmp_path / "out")
    assert sorted(path.name for path in tree.iterdir()) == ["data", "kept.py", "large"]
    assert (tree / "kept.py").read_text() == "first"
    assert (tree / "large").resolve() == repository.top / "large"
    assert (tree / ".." / "beside").is_dir()


def test_code_that_is_at_no_commit_is_named(repository: Repository) -> None:
    assert left_out(repository) == (
        "not at a commit, as git keeps no such code: _C.abi3.so, _D.so, deep/within/code.py and 2 "
        "more"
    )
    for name in ("_C.abi3.so", "_D.so", "deep/within/code.py", "package/code.py", "new.py"):
        (repository.top / name).unlink()
    assert left_out(repository) is None


def test_what_is_written_beside_a_commit_stays_there(
    repository: Repository, tmp_path: Path
) -> None:
    before = git(repository.top, "status", "--short", "--ignored")
    index = (repository.top / ".git" / "index").read_bytes()
    tree = check_out(repository, "HEAD", tmp_path / "out")
    (tree / "data" / "small.txt").write_text("changed")
    assert (repository.top / "data" / "small.txt").read_text() == "not kept"
    assert git(repository.top, "status", "--short", "--ignored") == before
    assert (repository.top / ".git" / "index").read_bytes() == index


def test_the_folder_of_a_run_that_was_killed_is_swept_up_and_made_again(tmp_path: Path) -> None:
    with scratch_folder() as killed:
        pass
    killed.mkdir()
    (killed / MARK).write_text(Owner.here()._replace(pid=999999999).text)
    (killed / "left").touch()
    with scratch_folder(str(killed)) as again:
        assert (again, (again / "left").exists()) == (killed, False)
    assert not killed.exists()


@pytest.mark.parametrize("folder", ["/", "/usr/bench-ab-x", "bench-ab-x"])
def test_no_folder_but_a_temporary_one_of_its_own_is_made_again(folder: str) -> None:
    with pytest.raises(BenchError, match="is no folder that commits are checked out in"):
        scratch_folder(folder).__enter__()


@pytest.mark.parametrize("name", ["-x", "--output=y"])
def test_an_option_is_no_commit(repository: Repository, name: str) -> None:
    with pytest.raises(BenchError, match="is neither a commit nor a folder"):
        repository.commit(name)
