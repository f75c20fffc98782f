"""The action for GitHub: its YAML is whole, and it names only options and inputs that exist."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bench.cli.main import app

yaml = pytest.importorskip("yaml")

ACTIONS = Path(__file__).parents[2] / ".github" / "actions" / "bench"
FILES = [ACTIONS / "action.yml", ACTIONS / "comment" / "action.yml"]
GUIDE = ACTIONS.parents[2] / "docs" / "ci.md"


def action(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def names(file: Path) -> str:
    return str(file.relative_to(ACTIONS))


@pytest.mark.parametrize("file", FILES, ids=names)
def test_an_action_is_composite_and_each_of_its_scripts_says_its_shell(file: Path) -> None:
    runs = action(file)["runs"]
    assert runs["using"] == "composite"
    assert [s["name"] for s in runs["steps"] if "run" in s and s.get("shell") != "bash"] == []


@pytest.mark.parametrize("file", FILES, ids=names)
def test_every_input_is_used_and_every_one_used_is_declared(file: Path) -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", str(action(file)["runs"])))
    assert used == set(action(file)["inputs"])


@pytest.mark.parametrize("file", FILES, ids=names)
def test_no_script_holds_what_others_may_write(file: Path) -> None:
    """An expression within a script is code: a branch's name could be any."""
    scripts = [step["run"] for step in action(file)["runs"]["steps"] if "run" in step]
    assert [script for script in scripts if "${{" in script] == []


def test_bench_is_called_with_commands_and_options_that_there_are() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group
    calls = re.findall(r"^\s*bench (\w+) (.*)$", FILES[0].read_text(), re.MULTILINE)
    assert [command for command, _ in calls] == ["ab", "report", "report"]
    for command, words in calls:
        known = {name for param in commands[command].params for name in param.opts}
        assert set(re.findall(r"(?<= )--\w[\w-]*", f" {words}")) <= known


@pytest.mark.parametrize(
    ("measure", "called"),
    [
        ("--test compile", "run --output bench-results --test compile"),
        ("script train.py -- --lr 1", "script --output bench-results train.py -- --lr 1"),
        ("verify optimized.json", "verify --output bench-results optimized.json"),
    ],
)
def test_any_run_of_bench_is_called_with_the_folder_of_its_results(
    measure: str, called: str, tmp_path: Path
) -> None:
    (script,) = [s["run"] for s in action(FILES[0])["runs"]["steps"] if s["name"] == "measure"]
    own = {"PATH": os.environ["PATH"], "MODE": "run", "MEASURE": measure, "LIMIT": "time=5%",
           "GITHUB_OUTPUT": "code"}  # fmt: skip
    bash = ["bash", "-c", f'bench() {{ echo "$*"; }}\n{script}']
    done = subprocess.run(bash, cwd=tmp_path, env=own, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [called]


def test_without_a_base_the_action_fails_with_a_line() -> None:
    steps = {step["name"]: step for step in action(FILES[0])["runs"]["steps"]}
    done = subprocess.run(
        ["bash", "-c", steps["measure"]["run"]], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "MODE": "ab", "MEASURE": "x", "BASE": "", "LIMIT": "",
             "HEAD": "HEAD", "GITHUB_OUTPUT": "/dev/null"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("::error::there is no base: ")


def test_the_script_that_comments_is_bash_and_can_be_run() -> None:
    script = ACTIONS / "comment.sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)


def test_the_guide_names_only_inputs_that_there_are() -> None:
    snippets = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    steps = [
        step
        for snippet in snippets
        for job in yaml.safe_load(snippet)["jobs"].values()
        for step in job["steps"]
        if "actions/bench" in step.get("uses", "")
    ]
    assert len(steps) == 2
    for step in steps:
        file = FILES["comment" in step["uses"]]
        assert set(step.get("with", {})) <= set(action(file)["inputs"])
