"""Where what can be made again is kept, also of a user without a home."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from bench.data.cache import cache_folder, shown
from bench.errors import BenchError


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be a user without a home; return the folder for temporary files."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_user_without_a_home_has_a_folder_among_temporary_files(homeless: Path) -> None:
    folder = cache_folder()
    assert folder == homeless / f"trainpairs-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache_folder() == folder


def test_a_home_that_is_not_there_is_none(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: homeless / "nowhere")
    assert cache_folder().parent == homeless


def test_a_folder_that_others_can_write_to_is_not_used(homeless: Path) -> None:
    cache_folder().chmod(0o777)
    with pytest.raises(BenchError, match="others can write to it; set XDG_CACHE_HOME"):
        cache_folder()


def test_a_link_is_not_used(homeless: Path) -> None:
    (homeless / "elsewhere").mkdir()
    (homeless / f"trainpairs-{os.getuid()}").symlink_to(homeless / "elsewhere")
    with pytest.raises(BenchError, match="belongs to another user, or others can write to it"):
        cache_folder()


def test_a_path_in_the_home_folder_is_named_without_whose_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert shown(Path("/home/me/.cache/a.npz")) == "~/.cache/a.npz"
    assert shown(Path("/home/mean/a.npz")) == "/home/mean/a.npz"
