"""The README's commands and examples do what it says."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest

from bench.machine.environment import PACKAGES
from bench.recipes import registry, resolve
from bench.recipes.references import is_file, parse_assignments
from bench.testing import PROMISES
from tests.cli.calls import call
from tests.cli.processes import Bench

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = ROOT / "examples"
COMMANDS = {
    line.partition("#")[0].strip(): shlex.split(line.partition("#")[0])
    for page in PAGES
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("bench ")
}


def test_ci_installs_and_tests_by_the_readme_s_words() -> None:
    assert 'pip install -c constraints.txt -e ".[dev]" && pytest' in README
    script = (ROOT / ".ci" / "run").read_text()
    assert '-c constraints.txt -e ".[dev]"' in script
    assert '\npytest -m "slow or not slow"\n' in script


def test_the_readme_tells_what_the_audits_found(called: Bench) -> None:
    done = called("audit", "--output", str(ROOT / "results" / "audit"))
    assert done.returncode == 0, done.stderr
    assert f"```\n{done.stdout}```" in README


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in wanted:
        name = re.split(r"[<>=!~]", requirement)[0].lower()
        assert re.search(rf"^{re.escape(name)}==", pinned, re.MULTILINE), name


def test_the_distribution_has_one_name() -> None:
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert README.startswith(f"# {name}\n")
    assert name in PACKAGES


def after(command: list[str], option: str) -> list[str]:
    """Return the words that follow an option, up to the next one."""
    words = command[command.index(option) + 1 :] if option in command else []
    return list(takewhile(lambda word: not word.startswith("--"), words))


@pytest.fixture(scope="module")
def helped(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the help of all commands that have options of their own."""
    own = ("run", "script", "compare", "report", "export", "serve", "ab", "list", "federate")
    folder = tmp_path_factory.mktemp("helped")
    return "".join(call(command, "--help", cwd=folder).stdout for command in own)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=" ".join)
def test_every_option_technique_and_setting_named_exists(helped: str, command: list[str]) -> None:
    assert all(word in helped for word in command if word.startswith("--"))
    named = [*after(command, "--test"), *after(command, "--combine")]
    resolve.make_techniques([name for name in named if ".py:" not in name])
    (reference,) = after(command, "--baseline")[:1] or ["timehut"]
    if not is_file(reference):
        baseline = registry.load_baseline(reference)
        registry.make_settings(baseline, parse_assignments(after(command, "--set")))


def test_one_s_own_model_is_measured_as_the_readme_says(called: Bench) -> None:
    own = [
        words[1:] for line, words in COMMANDS.items() if "my_model.py" in line and line in README
    ]
    assert [command[0] for command in own] == ["init", "--baseline"]
    assert called(*own[0]).returncode == 0
    done = called(*own[1], "--repeats", "2")
    assert done.returncode == 0, done.stderr
    assert "mixed-precision" in done.stdout


def test_the_example_of_a_technique_keeps_its_promises(called: Bench, tmp_path: Path) -> None:
    for name in ("clip.py", "test_clip.py"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())
    assert called("init", "my_model.py").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "test_clip.py"], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert f"{len(PROMISES)} passed" in done.stdout


def test_the_examples_are_measured(called: Bench) -> None:
    clip = EXAMPLES / "clip.py:ClipGradients"
    own = ("--baseline", f"{EXAMPLES / 'loaders.py'}:Borders", "--set", "epochs=1")
    done = called(*own, "--test", f"{clip}:norm=0.5", f"{clip}:norm=2", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    for norm in ("0.5", "2"):
        assert f"clip-gradients:norm={norm}" in done.stdout


def test_the_example_of_a_script_is_measured_untouched(called: Bench) -> None:
    done = called("script", str(EXAMPLES / "train.py"), "--repeats", "1", "--", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "A step of train takes" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.splitlines()) <= 150


def test_the_cards_of_techniques_in_the_docs_are_theirs() -> None:
    path = ROOT / "docs" / "techniques.md"
    if os.environ.get("BENCH_UPDATE_GOLDEN") == "1":
        path.write_text(cards(), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == cards()


def cards() -> str:
    """Return the page of all techniques, made of their docstrings and fields."""
    lines = [
        "# Techniques", "",
        "Each one's card and settings, as `bench list techniques NAME` prints them.",
        "Which apply to a model here, `bench list techniques --baseline FILE.py:CLASS` says.",
    ]  # fmt: skip
    for name in registry.names(registry.TECHNIQUES):
        kind = registry.load_technique(name)
        card = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")
        lines += ["", f"## {name}", "```text", card, "```"]
        lines += [f"- `{key}={field.default}`: {field.description}"
                  for key, field in kind.model_fields.items()]  # fmt: skip
    return "\n".join([*lines, ""])
