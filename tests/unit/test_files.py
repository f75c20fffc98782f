"""One way to find files: links followed once, hidden names passed over, suffixes in any case."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.data.cache import signature_of
from bench.data.files import as_spelled, files_in, files_under, folders_in
from bench.errors import BenchError


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def names(folder: Path, *suffixes: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in files_under(folder, suffixes)]


def test_files_are_listed_at_any_depth_in_the_order_of_their_paths(tmp_path: Path) -> None:
    put(tmp_path, "b/2.png", "b/10.png", "a/z/1.png", "c.png", "a.png")
    assert names(tmp_path) == ["a/z/1.png", "a.png", "b/10.png", "b/2.png", "c.png"]
    assert files_under(tmp_path) == sorted(tmp_path.rglob("*.png"))


def test_hidden_names_and_what_macos_leaves_behind_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "1.hea", "._1.hea", ".git/2.hea", "__MACOSX/3.hea", "a/.DS_Store", "a/4.hea")
    assert names(tmp_path) == ["1.hea", "a/4.hea"]
    assert [path.name for path in folders_in(tmp_path)] == ["a"]


def test_suffixes_are_compared_without_regard_to_case(tmp_path: Path) -> None:
    put(tmp_path, "1.PNG", "2.png", "3.txt", "4.Jpg")
    assert names(tmp_path, ".png", ".jpg") == ["1.PNG", "2.png", "4.Jpg"]


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/x.png", "elsewhere/deep/y.png", "here/1.png")
    (tmp_path / "here" / "site").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "2.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    assert names(tmp_path / "here") == ["1.png", "2.png", "site/deep/y.png", "site/x.png"]
    assert [path.name for path in folders_in(tmp_path / "here")] == ["site"]


def test_a_link_into_its_own_folder_ends(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "beside").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "itself").symlink_to("itself")
    (tmp_path / "b" / "back").symlink_to(tmp_path / "a")
    assert names(tmp_path) == ["a/1.png", "b/2.png", "b/itself"]
    assert names(tmp_path / "a") == ["1.png", "beside/2.png", "beside/itself"]


def test_a_link_that_leads_nowhere_is_listed(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    assert names(tmp_path) == ["1.png", "2.png"]
    before = signature_of(files_under(tmp_path))
    put(tmp_path, "gone.png")
    assert signature_of([tmp_path / "1.png", tmp_path / "2.png"]) != before


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    assert files_in(tmp_path) == []


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"gone can't be read \(No such file or directory\)"):
        files_under(tmp_path / "gone")


def test_a_file_is_found_in_whatever_case_it_is_spelled(tmp_path: Path) -> None:
    put(tmp_path, "A1.MAT")
    assert as_spelled(tmp_path / "A1.mat") == tmp_path / "A1.MAT"
    assert as_spelled(tmp_path / "A2.mat") == tmp_path / "A2.mat"
