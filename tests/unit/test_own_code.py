"""A user's file and what it imports from beside it: found, hashed, and run as it was hashed."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.recipes import own_packages
from bench.recipes.loading import load
from bench.recipes.own_packages import HOME
from bench.recipes.program import notices_on, program_of
from bench.recipes.references import places_of
from bench.recipes.source import Source, given_by, hashed


def written(folder: Path, **files: str) -> Path:
    """Write files, named with two underscores for a folder; return the first."""
    paths = [folder / f"{name.replace('__', '/')}.py" for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return paths[0]


def names(file: Path) -> list[str]:
    return sorted(program_of(file).sources)


def loaded(file: Path) -> Any:
    return load(file.name, program_of(file).sources)


def refusal(file: Path) -> str:
    with pytest.raises(BenchError) as caught:
        loaded(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_imported_from_beside_belongs_to_a_file_wherever_it_says_so(tmp_path: Path) -> None:
    text = "import one_part\ndef job():\n    from two_part import x\n"
    file = written(
        tmp_path, mine=text, one_part="import three_part", two_part="x = 1", three_part="", other=""
    )
    assert names(file) == ["mine.py", "one_part.py", "three_part.py", "two_part.py"]


def test_a_package_beside_a_file_belongs_to_it_whole(tmp_path: Path) -> None:
    file = written(tmp_path, mine="from own_nets.conv import Net")
    written(tmp_path / "own_nets", conv="from . import parts\nNet = parts.x", parts="x = 5")
    written(tmp_path / "own_nets", deep__more="", unused="")
    for folder in ("own_nets", "own_nets/deep"):
        (tmp_path / folder / "__init__.py").write_text("")
    assert names(file) == [
        "mine.py", "own_nets/__init__.py", "own_nets/conv.py", "own_nets/deep/__init__.py",
        "own_nets/deep/more.py", "own_nets/parts.py", "own_nets/unused.py",
    ]  # fmt: skip
    assert loaded(file).Net == 5


def test_a_folder_without_init_is_imported_module_by_module(tmp_path: Path) -> None:
    file = written(tmp_path, mine="from plain_folder.a import x", plain_folder__a="x = 2")
    written(tmp_path / "plain_folder", b="raise RuntimeError")
    assert names(file) == ["mine.py", "plain_folder/a.py"]
    assert loaded(file).x == 2


def test_what_is_installed_comes_before_what_lies_beside_and_that_is_said(tmp_path: Path) -> None:
    file = written(tmp_path, mine="import statistics\nx = statistics.median([1])", statistics="1/0")
    assert names(file) == ["mine.py"]
    assert loaded(file).x == 1
    (notice,) = notices_on(places_of([f"{file}:M"]), f"{file}:M")
    assert notice.startswith("mine.py imports statistics: that is ")
    assert notice.endswith("not the one beside it; rename yours if it is meant")


def test_nothing_beside_a_file_is_on_the_search_path(tmp_path: Path) -> None:
    before = list(sys.path)
    loaded(written(tmp_path, mine="import part_of_path", part_of_path="", unasked=""))
    assert sys.path == before
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("unasked")


def test_an_own_package_of_one_of_our_names_is_refused_where_it_is_imported(tmp_path: Path) -> None:
    file = written(tmp_path, mine="import torch\nimport optimizers\n", optimizers__lion="")
    (tmp_path / "optimizers" / "__init__.py").write_text("")
    with pytest.raises(BenchError) as caught:
        program_of(file)
    assert str(caught.value) == (
        f"{file}, line 2 imports optimizers: trainpairs has a package of that name "
        f"({HOME / 'optimizers'}), which stands in the way of {tmp_path / 'optimizers'}; "
        "rename yours"
    )


def test_an_own_package_of_one_of_our_names_does_not_hide_ours(tmp_path: Path) -> None:
    text = "from bench.baseline import Settings\nfrom optimizers.compile import Compile"
    file = written(tmp_path, mine=text, bench="1/0", optimizers____init__="1/0", reports="1/0")
    assert names(file) == ["mine.py"]
    assert loaded(file).Compile.name == "compile"


def test_ours_are_found_as_they_were_where_a_script_has_nothing_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = importlib.import_module("optimizers")
    ours, spec = importlib.import_module("optimizers.compile"), whole.__spec__
    with own_packages.lent():
        assert "optimizers" not in sys.modules
        assert importlib.import_module("optimizers.compile") is ours
    written(tmp_path, optimizers__lion="x = 5")
    (tmp_path / "optimizers" / "__init__.py").write_text("")
    with own_packages.lent():
        monkeypatch.syspath_prepend(tmp_path)
        assert importlib.import_module("optimizers.lion").x == 5
        assert importlib.import_module("optimizers.compile") is ours
    assert (sys.modules["optimizers"], whole.__spec__) == (whole, spec)
    with pytest.raises(ZeroDivisionError), own_packages.lent():
        raise ZeroDivisionError
    assert sys.modules["optimizers.compile"] is ours


def test_a_stale_compiled_file_is_not_run(tmp_path: Path) -> None:
    file = written(tmp_path, mine="from stale_part import x", stale_part="x = 1")
    part = tmp_path / "stale_part.py"
    py_compile.compile(str(part))
    facts = part.stat()
    part.write_text("x = 2")
    os.utime(part, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert loaded(file).x == 2
    assert not list((tmp_path / "__pycache__").glob("mine*"))


def test_a_changed_neighbour_is_loaded_anew(tmp_path: Path) -> None:
    file = written(tmp_path, mine="from new_part import x", new_part="x = 1")
    assert loaded(file).x == 1
    written(tmp_path, new_part="x = 2")
    assert loaded(file).x == 2


def test_what_was_not_hashed_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    file = written(tmp_path, mine="import evil_part", evil_part=f"open({str(trace)!r}, 'w')")
    only = {"mine.py": program_of(file).sources["mine.py"]}
    with pytest.raises(BenchError, match=r"evil_part\.py beside it is not among the files"):
        load("mine.py", only)
    assert not trace.exists()


def test_a_neighbour_that_no_statement_names_is_refused_with_the_way_out(tmp_path: Path) -> None:
    text = "import importlib\nimportlib.import_module('dynamic' + '_part')"
    said = refusal(written(tmp_path, mine=text, dynamic_part=""))
    assert "dynamic_part.py beside it is not among the files that were hashed" in said
    assert said.endswith("(mine.py, line 2)")


def test_a_source_that_changed_is_not_compiled(tmp_path: Path) -> None:
    file = written(tmp_path, mine="x = 1")
    source = Source(file, "0" * 64)
    with pytest.raises(BenchError, match="is not the file that was measured: its content has cha"):
        load("mine.py", {"mine.py": source})


@pytest.mark.parametrize("code", ["0", "'bye'", ""])
def test_a_file_that_ends_python_is_refused(tmp_path: Path, code: str) -> None:
    said = refusal(written(tmp_path, mine=f"import sys\nsys.exit({code})"))
    assert "it ends Python (sys.exit(" in said
    assert said.endswith("(mine.py, line 2)")


def test_a_neighbours_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, mine="import broken_part", broken_part="\n\n1/0")
    assert refusal(file).endswith(
        "mine.py can't be imported: ZeroDivisionError: division by zero (broken_part.py, line 3)"
    )


def test_what_a_file_prints_when_it_is_imported_is_no_part_of_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(written(tmp_path, mine="print('hello')"))
    assert capsys.readouterr() == ("", "hello\n")


def test_neighbours_of_one_name_and_another_content_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "a", mine="import same_name", same_name="x = 1")
    other = written(tmp_path / "b", yours="import same_name", same_name="x = 2")
    with pytest.raises(BenchError, match=r"a/same_name.py and .*b/same_name.py have the same name"):
        places_of([f"{one}:M", f"{other}:Y"])
    written(tmp_path / "b", same_name="x = 1")
    places = places_of([f"{one}:M", f"{other}:Y"])
    assert sorted(places) == ["mine.py", "same_name.py", "yours.py"]
    assert given_by({n: s.sha256 for n, s in hashed(places).items()}, places) == hashed(places)
