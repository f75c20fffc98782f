"""The README's commands and examples do what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest

from bench.recipes import registry, resolve
from bench.recipes.references import is_file, parse_assignments
from bench.testing import PROMISES
from tests.cli.processes import TINY, Bench

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    shlex.split(line.partition("#")[0])
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("bench ")
]


def test_ci_installs_and_tests_by_the_readme_s_words() -> None:
    assert 'pip install -c constraints.txt -e ".[dev]" && pytest' in README
    script = (ROOT / ".ci" / "run").read_text()
    assert '-c constraints.txt -e ".[dev]"' in script
    assert script.endswith('\npytest -m "slow or not slow"\n')


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in wanted:
        name = re.split(r"[<>=!~]", requirement)[0].lower()
        assert re.search(rf"^{re.escape(name)}==", pinned, re.MULTILINE), name


def after(command: list[str], option: str) -> list[str]:
    """Return the words that follow an option, up to the next one."""
    words = command[command.index(option) + 1 :] if option in command else []
    return list(takewhile(lambda word: not word.startswith("--"), words))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_option_technique_and_setting_named_exists(called: Bench, command: list[str]) -> None:
    known = "".join(
        called(name, "--help").stdout for name in ("run", "script", "compare", "report")
    )
    assert all(word in known for word in command if word.startswith("--"))
    resolve.make_techniques([*after(command, "--test"), *after(command, "--combine")])
    (reference,) = after(command, "--baseline")[:1] or ["timehut"]
    if not is_file(reference):
        baseline = registry.load_baseline(reference)
        registry.make_settings(baseline, parse_assignments(after(command, "--set")))


def test_one_s_own_model_is_measured_as_the_readme_says(called: Bench) -> None:
    own = [command[1:] for command in COMMANDS if "my_model.py" in " ".join(command)]
    assert [command[0] for command in own] == ["init", "--baseline"]
    assert called(*own[0]).returncode == 0
    done = called(*own[1], "--repeats", "2")
    assert done.returncode == 0, done.stderr
    assert "mixed-precision" in done.stdout


def python_blocks() -> dict[str, str]:
    """Return the README's Python files by the name in their first line."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return {block.partition(":")[0].removeprefix("# "): block for block in blocks}


def test_one_s_own_technique_is_tested_as_the_readme_says(called: Bench, tmp_path: Path) -> None:
    for name, code in python_blocks().items():
        (tmp_path / name).write_text(code)
    assert called("init", "my_model.py").returncode == 0
    command = shlex.split(python_blocks()["test_clip.py"].splitlines()[0].partition(": ")[2])
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(PROMISES)} passed" in done.stdout


def test_one_s_own_technique_is_measured_as_the_readme_says(called: Bench, tmp_path: Path) -> None:
    code = python_blocks()["clip.py"]
    assert len(code.splitlines()) <= 30
    (tmp_path / "clip.py").write_text(code)
    command = shlex.split(code.splitlines()[0].partition("bench ")[2])
    done = called("--baseline", TINY, *command, "--repeats", "2")
    assert done.returncode == 0, done.stderr
    assert "clip-gradients:norm=0.5" in done.stdout
    assert "clip-gradients:norm=2" in done.stdout
