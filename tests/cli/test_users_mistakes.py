"""What fails in a user's file is one line with that file and line, exit code 2, and no run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli.main import main
from tests.cli.processes import TINY

Mistake = Callable[..., str]
WHOLE = Path(TINY.rpartition(":")[0]).read_text()


@pytest.fixture
def mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Mistake:
    """Return a function that runs `bench ARGS` here; it returns the one line of its refusal."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> str:
        monkeypatch.setattr("sys.argv", ["bench", *args])
        with pytest.raises(SystemExit) as end:
            main()
        errors = capsys.readouterr().err
        assert end.value.code == 2, errors
        (line,) = errors.splitlines()
        assert not (tmp_path / "results").exists()
        return line

    return run


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Mine:\n    def __init__(self): {}['x']\n", "KeyError: 'x' (mine.py, line 2)"),
        ("import sys\nsys.exit(0)\n", "it ends Python (sys.exit(0))"),
        ("raise SystemExit\n", "it ends Python (sys.exit(None))"),
        ("class Mine:\n    @property\n    def name(self): open('x')\n", "(mine.py, line 3)"),
    ],
)  # fmt: skip
def test_a_file_that_fails_is_told_with_its_line(
    mistake: Mistake, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert said in mistake("--baseline", "mine.py:Mine", "--baseline-only")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("def prepare(self, s): raise ValueError('boom')", "ValueError: boom"),
        ("def target_for(self, s): return 1 / 0", "ZeroDivisionError: division by zero"),
        ("def prepare(self, s): import sys; sys.exit(0)", "it ends Python (sys.exit(0)); put that"),
        ("def threads_for(self, s): return {}[3]", "KeyError: 3"),
    ],
)  # fmt: skip
def test_a_method_that_fails_is_told_with_its_line(
    mistake: Mistake, tmp_path: Path, method: str, said: str
) -> None:
    lines = WHOLE.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("class Tiny:")) + 1
    (tmp_path / "mine.py").write_text("\n".join([*lines[:at], f"    {method}", *lines[at:]]))
    line = mistake("--baseline", "mine.py:Tiny", "--baseline-only")
    assert line.startswith(f"bench: {said}")
    assert line.endswith(f" (mine.py, line {at + 1})")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("call: object = print", "Unable to serialize unknown type"),
        ("clip: float = float('inf')", "a number is not finite, or too large"),
    ],
)
def test_settings_that_can_not_be_written_are_refused(
    mistake: Mistake, tmp_path: Path, field: str, said: str
) -> None:
    lines = WHOLE.splitlines()
    at = next(number for number, line in enumerate(lines) if "(Settings):" in line) + 1
    (tmp_path / "mine.py").write_text("\n".join([*lines[:at], f"    {field}", *lines[at:]]))
    line = mistake("--baseline", "mine.py:Tiny", "--baseline-only")
    assert "its values can't be written as JSON" in line
    assert said in line


def test_a_name_of_bytes_that_are_no_text_is_refused(mistake: Mistake) -> None:
    line = mistake("--baseline", TINY, "--baseline-only", "--output", "caf\udce9")
    assert line.startswith("bench: 'caf\\udce9' has bytes that are no UTF-8")


@pytest.mark.parametrize("command", ["train", "verify"])
def test_a_recipe_of_another_folders_code_runs_nothing(
    mistake: Mistake, tmp_path: Path, command: str
) -> None:
    from tests.records import exported

    text = exported().model_dump_json().replace('"made-up"', '"../evil.py:M"')
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "optimized.json").write_text(text)
    assert "'../evil.py' leads elsewhere" in mistake(command, "in/optimized.json")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "checkpoint").exists()
