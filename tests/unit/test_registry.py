"""Baselines and techniques, found by name or in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.recipes import registry, resolve

BASELINE = """
from bench.baseline import Settings, Target
class MySettings(Settings):
    epochs: int = 3
class Mine:
    name, unit, target, settings = "mine", "items", Target("accuracy"), MySettings
    def job(self, settings, device, seed): ...
"""
TECHNIQUE = """
from typing import ClassVar
from bench.technique import Effect, Stage, Technique
class Mine(Technique):
    name: ClassVar[str] = "mine"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.EXACT
    strength: int = 1
class Bare(Technique):
    name: ClassVar[str] = "bare"
class Odd(Mine):
    effect: ClassVar[str] = "magic"
"""


def file_with(tmp_path: Path, text: str) -> str:
    path = tmp_path / "my_file.py"
    path.write_text(text)
    return str(path)


def refusal_of_baseline(reference: str) -> str:
    with pytest.raises(BenchError) as caught:
        registry.load_baseline(reference)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusal_of_technique(reference: str, **settings: object) -> str:
    with pytest.raises(BenchError) as caught:
        registry.make_technique(reference, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_registered_is_listed_in_order() -> None:
    names = registry.names(registry.TECHNIQUES)
    assert names == sorted(names)
    assert {"compile", "mixed-precision", "adaptive-batch"} <= set(names)
    assert "timehut" in registry.names(registry.BASELINES)


def test_an_unknown_technique_gets_a_suggestion() -> None:
    message = refusal_of_technique("compil")
    assert message == 'no technique named "compil"; did you mean "compile"?'


def test_an_unknown_baseline_gets_a_suggestion() -> None:
    assert refusal_of_baseline("timehat") == 'no baseline named "timehat"; did you mean "timehut"?'


def test_a_name_close_to_none_gets_the_list() -> None:
    assert "there are: " in refusal_of_technique("zzz")
    assert "gradient-accumulation" in refusal_of_technique("zzz")


def test_an_empty_name_is_refused() -> None:
    assert 'no baseline named ""' in refusal_of_baseline("")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    message = refusal_of_baseline(f"{tmp_path}/gone.py:Mine")
    assert message == f"no file {tmp_path}/gone.py; give a baseline as path/to/file.py:Class"


@pytest.mark.parametrize("ending", ["", ":"])
def test_a_file_without_a_class_is_refused(tmp_path: Path, ending: str) -> None:
    file = file_with(tmp_path, BASELINE)
    message = refusal_of_baseline(file + ending)
    assert message == f"{file}{ending}: say which class, as in {file}:MyModel"


def test_an_unknown_class_gets_a_suggestion(tmp_path: Path) -> None:
    file = file_with(tmp_path, BASELINE)
    assert refusal_of_baseline(f"{file}:Mein") == f'{file} has no "Mein"; did you mean "Mine"?'


def test_a_syntax_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    file = file_with(tmp_path, "x = 1\nclass Mine(\n")
    message = refusal_of_baseline(f"{file}:Mine")
    assert message.startswith(f"{file} can't be imported: SyntaxError")
    assert "line 2" in message


def test_an_error_while_importing_is_told(tmp_path: Path) -> None:
    file = file_with(tmp_path, "import not_there\n")
    assert "ModuleNotFoundError: No module named 'not_there'" in refusal_of_baseline(f"{file}:M")


def test_a_file_that_failed_is_read_anew_when_mended(tmp_path: Path) -> None:
    file = file_with(tmp_path, "class")
    refusal_of_baseline(f"{file}:Mine")
    file_with(tmp_path, BASELINE)
    assert registry.load_baseline(f"{file}:Mine").name == "mine"


def test_a_baseline_without_its_parts_is_refused(tmp_path: Path) -> None:
    file = file_with(tmp_path, "class Mine:\n    name = 'mine'\n    unit = 'items'\n")
    message = refusal_of_baseline(f"{file}:Mine")
    assert "is not a baseline: it has no target, settings, job" in message
    assert "bench init FILE" in message


def test_a_target_with_its_bounds_the_wrong_way_round_is_refused(tmp_path: Path) -> None:
    text = "from bench.baseline import Target\ntarget = Target('f1', None, (1, 0))\n"
    message = refusal_of_baseline(f"{file_with(tmp_path, text)}:Mine")
    assert "Target('f1'): bounds=(1, 0) must be the least value, then a larger one" in message


def test_a_baseline_that_wants_arguments_is_refused(tmp_path: Path) -> None:
    text = BASELINE + "    def __init__(self, size): ...\n"
    message = refusal_of_baseline(f"{file_with(tmp_path, text)}:Mine")
    assert "can't be made without arguments" in message


def test_a_baseline_in_a_file_is_found(tmp_path: Path) -> None:
    baseline = registry.load_baseline(f"{file_with(tmp_path, BASELINE)}:Mine")
    assert registry.make_settings(baseline, {"epochs": "7"}).model_dump()["epochs"] == 7


def test_a_technique_in_a_file_is_found(tmp_path: Path) -> None:
    made = registry.make_technique(f"{file_with(tmp_path, TECHNIQUE)}:Mine", {"strength": "2"})
    assert made.model_dump() == {"strength": 2}


def test_a_class_that_is_no_technique_is_refused(tmp_path: Path) -> None:
    file = file_with(tmp_path, "class Mine: ...\n")
    assert "must subclass bench.technique.Technique" in refusal_of_technique(f"{file}:Mine")


def test_a_technique_without_its_parts_is_refused(tmp_path: Path) -> None:
    file = file_with(tmp_path, TECHNIQUE)
    assert "declares no stage, effect" in refusal_of_technique(f"{file}:Bare")


def test_a_technique_of_an_unknown_effect_is_refused(tmp_path: Path) -> None:
    message = refusal_of_technique(f"{file_with(tmp_path, TECHNIQUE)}:Odd")
    assert "declares the effect 'magic'; there are: exact, rounding, learning, model" in message


def test_an_unknown_setting_of_a_technique_gets_a_suggestion() -> None:
    message = refusal_of_technique("early-stopping", patienc=3)
    assert message == 'technique early-stopping has no setting "patienc"; did you mean "patience"?'


def test_a_setting_of_the_wrong_type_is_named() -> None:
    message = refusal_of_technique("early-stopping", patience="soon")
    assert message.startswith("technique early-stopping: patience: ")
    assert "'soon'" in message


def test_an_unknown_setting_of_a_baseline_gets_a_suggestion() -> None:
    baseline = registry.load_baseline("timehut")
    with pytest.raises(BenchError) as caught:
        registry.make_settings(baseline, {"epoch": 3})
    assert str(caught.value) == 'baseline timehut has no setting "epoch"; did you mean "epochs"?'


@pytest.mark.parametrize(("name", "value"), [("epochs", "-5"), ("lr", "fast"), ("lr", "nan")])
def test_a_bad_setting_of_a_baseline_is_named_with_its_value(name: str, value: str) -> None:
    baseline = registry.load_baseline("timehut")
    with pytest.raises(BenchError) as caught:
        registry.make_settings(baseline, {name: value})
    assert str(caught.value).startswith(f"baseline timehut: {name}: ")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["5", "'a\\x00b'", "'a\\udcffb'", "''", "'x' * 99", "'a\\nb'"])
def test_a_name_that_can_not_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    text = BASELINE.replace('= "mine", "items"', f'= {name}, "items"')
    message = refusal_of_baseline(f"{file_with(tmp_path, text)}:Mine")
    assert "name is " in message
    assert "give a text of 1 to 80 characters that can be printed" in message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('Target("accuracy")', '"accuracy"', "target is 'accuracy', not a bench.baseline.Target"),
        ("MySettings\n    def", "3\n    def", "settings is 3, not a class of bench.baseline"),
        ('"items"', "None", "unit is None; give a text"),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = BASELINE.replace(old, new)
    assert said in refusal_of_baseline(f"{file_with(tmp_path, text)}:Mine")


@pytest.mark.parametrize("name", ["baseline", "baseline#2", "a+b"])
def test_a_technique_is_not_named_like_an_arm(tmp_path: Path, name: str) -> None:
    file = file_with(tmp_path, TECHNIQUE.replace('"mine"', f'"{name}"'))
    assert f'has the name "{name}": arms are named' in refusal_of_technique(f"{file}:Mine")


@pytest.mark.parametrize("name", ["timehut", "s4-ecg", "ecg-cnn", "xray", "murmur"])
def test_a_folder_that_was_named_and_holds_no_data_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("baselines.timehut.sources._archive_answers", lambda: False)
    baseline = registry.load_baseline(name)
    with pytest.raises(BenchError, match=r"gone|Chinatown"):
        resolve.prepared(baseline, {"data_dir": str(tmp_path / "gone")})
