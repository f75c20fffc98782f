"""What a user typed, as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli import parse
from bench.errors import BenchError
from bench.recipes import resolve
from bench.recipes.references import (
    parse_assignments,
    parse_technique,
    places_of,
    relative,
    whole_path,
)
from bench.records.header import Arm

NOTHING: dict[str, Any] = {
    "baseline-only": False, "test": None, "combine": None, "full-optimization": False,
    "recipe": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("0.5m", 30)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-5", "5d", "m", "1e3", "nan", "inf", "5 m", "1.m"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match=r"is not a duration above 0; write 90s, 15m or 2h"):
        parse.parse_duration(text)


def test_repeats_are_a_number_or_auto() -> None:
    assert parse.parse_repeats("6") == 6
    assert parse.parse_repeats("auto") is None


@pytest.mark.parametrize("text", ["0", "-1", "six", "", "2.5", "²"])
def test_repeats_of_no_number_are_refused(text: str) -> None:
    with pytest.raises(
        BenchError, match=f'--repeats "{text}" is neither a number above 0 nor auto'
    ):
        parse.parse_repeats(text)


def test_a_margin_may_be_zero() -> None:
    assert parse.parse_margin("0") == 0.0


@pytest.mark.parametrize("value", ["-0.01", "nan", "inf", "small", ""])
def test_a_margin_that_is_no_number_of_0_or_more_is_refused(value: str) -> None:
    with pytest.raises(BenchError, match="is neither a number of 0 or more nor auto"):
        parse.parse_margin(value)


@pytest.mark.parametrize("value", [0, -1, 1025, 10**12])
def test_threads_that_can_not_be_started_are_refused(value: int) -> None:
    assert [parse.threads_of(good) for good in (None, 1, 1024)] == [None, 1, 1024]
    with pytest.raises(BenchError, match=f"--threads {value} is not between 1 and 1024"):
        parse.threads_of(value)


def test_an_assignment_keeps_text_for_the_settings_to_read() -> None:
    assert parse_assignments(["lr=0.1", "name=a=b", " x = 1 "]) == {
        "lr": "0.1", "name": "a=b", "x": "1",
    }  # fmt: skip


def test_an_assignment_reads_json_and_nothing() -> None:
    found = parse_assignments(["a=[1, 2]", 'b={"c": 3}', "d=null", "e=none"])
    assert found == {"a": [1, 2], "b": {"c": 3}, "d": None, "e": None}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["lr"], '"lr" is not of the form key=value'),
        (["=5"], '"=5" is not of the form key=value'),
        (["lr=1", "lr=2"], 'the setting "lr" is given twice'),
        (["a=[1"], "[1 is not JSON"),
    ],
)
def test_what_is_no_assignment_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        parse_assignments(texts)
    assert str(caught.value) == message


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(BenchError, match="is not JSON"):
        parse_assignments(["a=" + "[" * 100_000])


def test_a_technique_is_a_name_with_settings() -> None:
    assert parse_technique("compile") == ("compile", {})
    assert parse_technique("compile:mode=default,dynamic=true") == (
        "compile", {"mode": "default", "dynamic": "true"},
    )  # fmt: skip


def test_a_technique_may_lie_in_a_file() -> None:
    assert parse_technique("a/b.py:Mine:x=1") == ("a/b.py:Mine", {"x": "1"})
    assert parse_technique("a/b.py:Mine") == ("a/b.py:Mine", {})


def test_a_list_of_a_technique_is_read_whole() -> None:
    assert parse_technique("t:sizes=[1,2],b=3") == ("t", {"sizes": [1, 2], "b": "3"})


@pytest.mark.parametrize("text", ["", ":x=1"])
def test_no_name_is_no_technique(text: str) -> None:
    with pytest.raises(BenchError, match="names no technique"):
        parse_technique(text)


def test_the_path_of_a_technique_becomes_whole() -> None:
    assert whole_path("t.py:Mine:x=1") == f"{Path('t.py').resolve()}:Mine:x=1"
    assert whole_path("compile:x=a.b") == "compile:x=a.b"


def test_a_recipe_keeps_the_name_of_a_file_without_its_folder() -> None:
    assert relative("/a/b/c.py:Mine") == "c.py:Mine"
    assert relative("compile") == "compile"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="have the same name; rename one"):
        places_of([f"{tmp_path}/a/x.py:A", f"{tmp_path}/b/x.py:B"])


def test_a_file_named_twice_has_one_place(tmp_path: Path) -> None:
    places = places_of([f"{tmp_path}/x.py:A", f"{tmp_path}/x.py:B", "compile"])
    assert places == {"x.py": f"{tmp_path}/x.py"}


def test_each_tested_technique_is_an_arm() -> None:
    mode, arms = parse.choose_mode(NOTHING | {"test": ["a", "b:x=1"]})
    assert (mode, arms) == ("test", (Arm(techniques=("a",)), Arm(techniques=("b:x=1",))))


def test_combined_techniques_are_one_arm() -> None:
    mode, arms = parse.choose_mode(NOTHING | {"combine": ["a", "b"]})
    assert (mode, arms) == ("combine", (Arm(techniques=("a", "b")),))


def test_the_baseline_alone_has_no_arm() -> None:
    assert parse.choose_mode(NOTHING | {"baseline-only": True}) == ("baseline-only", ())


def test_a_full_optimization_screens_every_technique() -> None:
    mode, arms = parse.choose_mode(NOTHING | {"full-optimization": True})
    assert mode == "full-optimization"
    assert Arm(techniques=("early-stopping",)) in arms
    assert len(arms) == len(set(arms)) >= 6


def test_a_recipe_is_named_by_its_whole_path() -> None:
    _, arms = parse.choose_mode(NOTHING | {"recipe": ["r.json"]})
    assert arms == (Arm(recipe_file=str(Path("r.json").resolve())),)


def test_no_mode_is_refused() -> None:
    with pytest.raises(BenchError, match=r"give one of --baseline-only, --test.*\(none given\)"):
        parse.choose_mode(NOTHING)


def test_two_modes_are_refused() -> None:
    with pytest.raises(BenchError, match=r"\(--test and --combine given\)"):
        parse.choose_mode(NOTHING | {"test": ["a"], "combine": ["b"]})


def test_one_technique_may_be_tested_in_several_settings() -> None:
    mode, arms = parse.choose_mode(NOTHING | {"test": ["a", "a:x=1"]})
    assert (mode, arms) == ("test", (Arm(techniques=("a",)), Arm(techniques=("a:x=1",))))


def test_a_technique_combined_twice_is_refused() -> None:
    with pytest.raises(BenchError, match="early-stopping is there twice; give it once"):
        resolve.make_techniques(["early-stopping", "early-stopping:patience=3"])
