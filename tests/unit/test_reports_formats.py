"""The formats that other programs open: HTML, JUnit, pytest-benchmark."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_type_hints
from xml.etree import ElementTree as Tree

import pytest

import reports
from bench.cli import main
from bench.errors import BenchError
from bench.records.measurement import Status
from bench.records.recipe import Recipe
from reports.page.learning import learning
from reports.view.whole import view_of
from tests.golden import made_up

HOSTILE = 'a & b <script>alert(1)</script>\x1b[31m ]]> "c" ![x](http://example.org/x.svg)'


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    @property
    def text(self) -> str:
        """Return all words, one blank apart."""
        return " ".join(" ".join(self.words).split())

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def hostile(path: Path) -> reports.Run:
    trials = [made_up.lost("pruning", 0, Status.FAILED, HOSTILE), *made_up.control()]
    return reports.read(made_up.write(path, made_up.header("test", ("pruning",)), trials))


@pytest.mark.parametrize("name", list(made_up.RUNS))
def test_the_page_says_what_the_view_says(name: str, tmp_path: Path) -> None:
    run = reports.read(made_up.RUNS[name](tmp_path / "run"))
    view, text = view_of(run), Page(reports.render("html", run)).text
    said = [view.answer.headline, *(fact.value for fact in view.answer.facts)]
    for row in (*view.rows, *filter(None, [view.control])):
        cells = (row.time, row.memory, row.quality)
        said += [row.arm, row.reason, *(cell.text for cell in cells if cell)]
    said += [reason for _, reason in (*view.inapplicable, *view.broken)]
    assert [words for words in said if " ".join(words.split()) not in text] == []


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    page = Page(reports.render("html", reports.read(made_up.every_verdict(tmp_path / "run"))))
    inside = ("#", "data:application/json;base64")
    assert page.addresses
    assert all(address.startswith(inside) for address in page.addresses)
    assert (page.tags.count("h1"), page.tags.count("main"), page.tags.count("nav")) == (1, 1, 1)


def test_the_page_offers_the_recipe_that_won(tmp_path: Path) -> None:
    run = reports.read(made_up.searched(tmp_path / "run"))
    page = Page(reports.render("html", run))
    (address,) = (a for a in page.addresses if a.startswith("data:"))
    recipe = Recipe.model_validate_json(b64decode(address.partition(",")[2]))
    assert recipe.arm == "mixed-precision+adaptive-batch"
    assert recipe.settings["batch_size"] == 16


def test_losses_of_other_work_never_share_the_baselines_axis(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    found = learning(run)
    assert found is not None
    (_, chart), *_ = found.loss
    assert set(re.findall(r'data-arm="([^"]*)"', chart)) == {
        "baseline", "mixed-precision", "compile",
    }  # fmt: skip
    assert found.other_losses == ("early-stopping", "pruning")


def test_nothing_that_a_run_says_becomes_a_tag_or_an_address(tmp_path: Path) -> None:
    text = reports.render("html", hostile(tmp_path / "run"))
    page = Page(text)
    assert page.tags.count("script") == 1
    assert all(address.startswith("#") for address in page.addresses)
    assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)" in text


def marks(run: reports.Run) -> dict[str, str]:
    suite = Tree.fromstring(reports.render("junit", run))
    return {case.get("name", ""): case[0].tag for case in suite.iter("testcase")}


def test_a_case_fails_for_a_loss_of_accuracy_alone(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    assert marks(run) == {
        "the run": "system-out",
        "baseline": "system-out",
        "mixed-precision": "system-out",
        "compile": "system-out",
        "early-stopping": "system-out",
        "pruning": "failure",
        "channels-last": "skipped",
        "broken": "error",
    }


def test_the_suite_counts_its_cases(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    suite = Tree.fromstring(reports.render("junit", run))
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["8", "1", "1", "1"]
    spent = sum(trial.wall_seconds or 0.0 for trial in run.trials)
    assert float(suite.get("time", "")) == pytest.approx(spent, abs=1e-3)


@pytest.mark.parametrize("name", list(made_up.RUNS))
def test_junitparser_reads_what_the_suite_says(name: str, tmp_path: Path) -> None:
    parser = pytest.importorskip("junitparser")
    run = reports.read(made_up.RUNS[name](tmp_path / "run"))
    (suite,) = parser.JUnitXml.fromstring(reports.render("junit", run))
    found = {case.name: [type(one).__name__.lower() for one in case.result] for case in suite}
    told = {"failure", "error", "skipped"}
    assert found == {case: [mark] if mark in told else [] for case, mark in marks(run).items()}
    counts = (suite.tests, suite.failures, suite.errors, suite.skipped)
    marked = [mark for own in found.values() for mark in own]
    assert counts == (len(found), *(marked.count(k) for k in ("failure", "error", "skipped")))


def test_a_run_that_is_not_finished_is_an_error(tmp_path: Path) -> None:
    run = reports.read(made_up.interrupted(tmp_path / "run"))
    assert marks(run)["the run"] == "error"


def test_a_claim_that_does_not_hold_is_a_failure(tmp_path: Path) -> None:
    run = reports.read(made_up.verified(tmp_path / "run"))
    assert marks(run)["the claim"] == "failure"
    claim = run.header.claim
    assert claim is not None
    modest = run.header.model_copy(
        update={"claim": claim.model_copy(update={"memory_ratio": None})}
    )
    assert marks(replace(run, header=modest))["the claim"] == "system-out"


def test_xml_holds_whatever_a_reason_says(tmp_path: Path) -> None:
    suite = Tree.fromstring(reports.render("junit", hostile(tmp_path / "run")))
    (error,) = (case[0] for case in suite.iter("testcase") if case.get("name") == "pruning")
    assert "a & b <script>alert(1)</script>\ufffd[31m ]]>" in error.get("message", "")


def test_the_command_line_names_every_format() -> None:
    (option,) = get_type_hints(main.report, include_extras=True)["format_"].__metadata__
    assert set(reports.FORMATS) == set(re.split(r", | or ", option.help))


def test_pytest_benchmark_compares_the_arms(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    file = tmp_path / "0001_run.json"
    file.write_text(reports.render("pytest-benchmark", run), encoding="utf-8")
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(file), "--sort=mean"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    assert "benchmark 'timehut: an item': " in done.stdout
    assert "benchmark 'timehut: a whole training': " in done.stdout
    assert "mixed-precision" in done.stdout


def test_a_round_of_pytest_benchmark_is_a_trial(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    found = json.loads(reports.render("pytest-benchmark", run))["benchmarks"]
    (own,) = (b for b in found if b["fullname"] == "timehut::an item::compile")
    trials = run.of("compile")
    assert own["stats"]["data"] == [trial.seconds_per_item for trial in trials]
    assert own["stats"]["rounds"] == len(trials) == 5
    assert own["extra_info"]["verdict"] == "no gain"


def test_without_pytest_benchmark_its_format_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytest_benchmark", None)
    run = reports.read(made_up.baseline_only(tmp_path / "run"))
    with pytest.raises(BenchError, match="pip install pytest-benchmark"):
        reports.render("pytest-benchmark", run)
