"""A user's mistake is one clear line on stderr and exit code 2; nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.processes import FAULTS, TINY, Bench

ONLY = ("--baseline-only",)


def refused(done: object, *messages: str) -> None:
    code, errors = done.returncode, done.stderr  # type: ignore[attr-defined]  # a process
    assert code == 2, errors
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert lines[0].startswith("bench: ")
    for message in messages:
        assert message in errors


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (
            ("--baseline", "timehat", "--baseline-only"),
            ('no baseline named "timehat"', '"timehut"'),
        ),
        (("--test", "compil"), ('no technique named "compil"', 'did you mean "compile"?')),
        (("--test",), ("--test needs at least one value",)),
        (("--test", "compile", "report"), ('"report" is a command',)),
        (("--test", "compile", "compile"), ("compile is given twice",)),
        (("--combine", "compile", "compile"), ("compile is there twice",)),
        (("--baseline-only", "--test", "compile"), ("--baseline-only and --test given",)),
        (("--epochs", "3"), ("give one of --baseline-only", "none given")),
        ((*ONLY, "--epochs", "-3"), ("epochs", "greater than or equal to 1", "-3")),
        ((*ONLY, "--epochs", "three"), ("epochs", "valid integer", "three")),
        ((*ONLY, "--threads", "many"), ("--threads", "valid integer")),
        ((*ONLY, "--set", "epochs=many"), ("baseline timehut: epochs", "many")),
        ((*ONLY, "--set", "epoch=3"), ('no setting "epoch"', 'did you mean "epochs"?')),
        ((*ONLY, "--set", "epochs"), ('"epochs" is not of the form key=value',)),
        (
            ("--baseline", TINY, *ONLY, "--dataset", "Coffee"),
            ('baseline tiny has no setting "dataset"',),
        ),
        ((*ONLY, "--repeats", "0"), ('--repeats "0"',)),
        (
            (*ONLY, "--epochs", "1", "--set", "epochs=2"),
            ('"epochs" is given twice: --epochs 1 and',),
        ),
        ((*ONLY, "--threads", "0"), ("--threads 0 is not between 1 and 1024",)),
        ((*ONLY, "--margin", "-1"), ("--margin -1 is neither a number of 0 or more nor auto",)),
        ((*ONLY, "--budget", "soon"), ('"soon" is not a duration',)),
        ((*ONLY, "--device", "cud"), ('no device named "cud"',)),
        ((*ONLY, "--nonsense"), ("--nonsense",)),
        (("--baseline", "nowhere.py:Model", "--baseline-only"), ("no file nowhere.py",)),
        (("--baseline", TINY[:-4] + "Tin", "--baseline-only"), ('no "Tin"', 'mean "Tiny"?')),
        (("--baseline", TINY, "--test", "early-stopping:patience=0"), ("patience", "got '0'")),
        (("--baseline", TINY, "--test", "compile:mod=x"), ('no setting "mod"', '"mode"?')),
        (("--resume", "nowhere"), ("nowhere is not a run",)),
        (("show", "nowhere"), ("nowhere is not a run",)),
        (("list", "tecniques"), ('nothing named "tecniques"', '"techniques"?')),
        (("verify", "nowhere.json"), ("can't read nowhere.json",)),
        (("train", "nowhere.json"), ("can't read nowhere.json",)),
        (("train", "nowhere.json", "--threads", "-1"), ("--threads -1 is not between 1 and",)),
        (("train", "nowhere.json", "--threads", "0"), ("--threads 0 is not between 1 and",)),
        (("federate", "nowhere.json", "--threads", "-1"), ("--threads -1 is not between 1 and",)),
        (("audit", "--json"), ("--json goes with a name, or all",)),
        (("audit", "--budget", "5m"), ("--budget goes with a name, or all",)),
        ((*ONLY, "--dry-run", "--json"), ("--dry-run prints a plan", "leave --json out")),
        (("list", "datasets", "Coffee"), ("a data set has no card: leave Coffee out",)),
        (("--recipe", "nowhere.json"), ("can't read", "nowhere.json")),
        (("nonsense",), ("nonsense",)),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    called: Bench, tmp_path: Path, arguments: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    refused(called(*arguments), *messages)
    assert not (tmp_path / "results").exists()


def test_cuda_asked_for_and_absent_is_never_replaced(called: Bench) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    refused(called(*ONLY, "--device", "cuda"), "--device cuda", "bench doctor")


def test_techniques_that_clash_are_refused(called: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from bench.technique import Effect, Stage, Technique\n"
        "class One(Technique):\n"
        "    name = 'one'; stage = Stage.LOOP; effect = Effect.EXACT\n"
        "    conflicts = frozenset({'compile'})\n"
    )
    refused(called("--combine", "mine.py:One", "compile"), "one and compile exclude each other")


def test_a_file_with_a_syntax_error_is_named(called: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine(:\n")
    refused(called("--baseline", "mine.py:Mine", "--baseline-only"), "mine.py can't be imported")


def test_a_class_that_is_no_baseline_says_what_it_lacks(called: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine:\n    name = 'mine'\n")
    done = called("--baseline", "mine.py:Mine", "--baseline-only")
    refused(done, "it has no unit, target, settings, job", "bench init")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ('{"format": 1, "recipe_id"', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1, 2]", "holds a JSON list"),
        ('{"format": 2}', "has format 2; this bench reads format 1: update trainpairs"),
        ('{"format": true}', "has format True"),
        ('{"format": 1}', "recipe_id"),
        ('{"format": 1, "recipe_id": {"$type": "os.system"}}', "not an exported recipe"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "train", "--recipe"])
def test_a_bad_recipe_file_is_refused(
    called: Bench, tmp_path: Path, command: str, text: str, message: str
) -> None:
    (tmp_path / "recipe.json").write_text(text)
    refused(called(command, "recipe.json"), "recipe.json", message)
    assert not (tmp_path / "results").exists()


def test_hostile_json_in_a_run_is_refused(called: Bench, own_finished: Path) -> None:
    run = own_finished
    whole = (run / "trials.jsonl").read_text()
    for line in ("{", '"text"', "[" * 100_000, '{"format": 9}', '{"format": 1, "arm": 7}'):
        (run / "trials.jsonl").write_text(line + "\n" + whole)
        refused(called("show", str(run)), "trials.jsonl, line 1")


def test_a_run_of_a_newer_format_is_refused(called: Bench, own_finished: Path) -> None:
    path = own_finished / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 7}))
    refused(called("show", str(path.parent)), "run.json has format 7")


def test_the_default_data_set_is_never_taken_in_place_of_one_asked_for(
    called: Bench, tmp_path: Path
) -> None:
    done = called("--baseline-only", "--dataset", "Chinatown")
    refused(done, "Chinatown")
    assert not (tmp_path / "results").exists()


def test_a_data_set_of_garbage_is_refused_by_the_name_of_its_file(
    called: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "Mine"
    folder.mkdir(parents=True)
    (folder / "Mine_TRAIN.ts").write_bytes(bytes(range(256)) * 40)
    (folder / "Mine_TEST.ts").write_bytes(b"")
    done = called("--baseline-only", "--dataset", "Mine", "--data-dir", "data")
    refused(done, "Mine_TRAIN.ts")


def test_techniques_of_one_name_in_two_files_are_refused(called: Bench, tmp_path: Path) -> None:
    other = tmp_path / "faults.py"
    other.write_text(Path(FAULTS).read_text())
    both = ("--test", f"{FAULTS}:Harmless", f"{other}:Nan")
    refused(called("--baseline", TINY, *both), "have the same name; rename one")


@pytest.mark.parametrize(
    ("option", "value"), [("--repeats", "9"), ("--margin", "0.5"), ("--test", "compile")]
)
def test_a_run_that_goes_on_is_not_changed(called: Bench, option: str, value: str) -> None:
    done = called("--resume", "somewhere", option, value)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"bench: --resume goes on with what the run was asked: {option} can't be changed"
    )
