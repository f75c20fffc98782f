"""Options that take several values, separated by spaces."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from bench.cli.argv import check_folder, spread
from bench.cli.help import GROUPS
from bench.cli.main import app
from bench.errors import BenchError

COMMANDS = frozenset({"run", "report", "show"})


def spread_out(text: str) -> str:
    return " ".join(spread(text.split(), COMMANDS))


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("--test a b --epochs 5", "--test a --test b --epochs 5"),
        ("--test a --test b", "--test a --test b"),
        ("--test a b --test c", "--test a --test b --test c"),
        ("--epochs 5 --combine a b", "--epochs 5 --combine a --combine b"),
        ("--set a=1 b=2 --quiet", "--set a=1 --set b=2 --quiet"),
        ("--fail-on time=5% memory=10%", "--fail-on time=5% --fail-on memory=10%"),
        ("--epochs 5 --quiet", "--epochs 5 --quiet"),
        ("--test=a", "--test=a"),
        ("", ""),
    ],
)
def test_values_are_spread_over_repeated_options(typed: str, read: str) -> None:
    assert spread_out(typed) == read


@pytest.mark.parametrize(
    "typed", ["--test", "--test --quiet", "--quiet --combine", "--test a --test"]
)
def test_an_option_without_a_value_is_refused(typed: str) -> None:
    with pytest.raises(BenchError, match="needs at least one value; see `bench list techniques`"):
        spread_out(typed)


def test_the_name_of_a_command_is_no_value() -> None:
    with pytest.raises(BenchError, match='"report" is a command, not a value of --test'):
        spread_out("--test compile report")


def test_a_working_folder_that_was_removed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(BenchError, match=r"folder can't be used .*; change into another"):
        check_folder()


def test_the_help_of_a_run_shows_every_option_once_in_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app(["run", "--help"], standalone_mode=False)
    text = capsys.readouterr().out
    for title in (*GROUPS, "Other options"):
        assert f"\n{title}:\n" in text
    shown = re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert {"--test", "--budget", "--dry-run", "--margin", "--json"} <= set(shown)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("bench --test mixup mixed", ["mixed-precision"]),
        ("bench run --combine mixup compile gradient-ch", ["gradient-checkpointing"]),
        ("bench --test mixup --log tens", ["tensorboard"]),
        ("bench --test mixup --dry", ["--dry-run"]),
    ],
)
def test_the_shell_completes_every_value_of_an_option(
    typed: str,
    found: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    for name, value in {**words, "_BENCH_COMPLETE": "complete_bash"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        get_command(app)._main_shell_completion({}, "bench")
    assert capsys.readouterr().out.split() == found
