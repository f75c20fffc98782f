"""``report.html`` in a real browser: its script works, loads nothing, complains of nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.analysis.intervals import Interval
from reports import context_tables
from reports.view.whole import view_of
from tests.golden import made_up

NAMES = ("chromium", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
AXE = os.environ.get("AXE")
AUDITS = Path(__file__).parents[2] / "results" / "audit"
MEASURED = ("timehut_techniques", "xray_factors", "s4-ecg_batch")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
           "--virtual-time-budget=4000", "--window-size=375,900")  # fmt: skip
ACTS = """
<script>
const arms = () => [...document.querySelectorAll(".forest tbody:first-of-type tr")]
  .filter((row) => !row.hidden).map((row) => row.dataset.arm);
const press = (selector) => document.querySelector(selector).click();
const seen = { first: arms() };
const words = (cell) => cell.textContent.trim();
const trials = () => [...document.querySelectorAll(".trials tbody tr")]
  .map((row) => words(row.cells[1]));
press(".trials th:nth-child(2) button"); seen.by_arm = trials();
press("th[data-sort=time] button"); seen.fastest = arms();
press("th[data-sort=time] button"); seen.slowest = arms();
press("#filters button"); seen.filtered = arms();
press("#filters button");
press(".forest button.arm");
seen.picked = [...document.querySelectorAll(".picked")].map((found) => found.dataset.arm);
seen.marked_in = [...new Set([...document.querySelectorAll(".picked")].map(
  (found) => `${found.closest("section").id} ${found.localName}`))].sort();
press(".arms input"); seen.hidden = document.querySelector(".arms li").className;
seen.figures = [...document.querySelectorAll("#learning figure")].map((figure) => figure.hidden);
press("#theme"); seen.theme = document.documentElement.dataset.theme;
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
seen.copy = [...document.querySelectorAll(".copy")].every((button) => !button.hidden);
document.body.dataset.seen = JSON.stringify(seen);
</script>
"""
FIGURES = """
<script>
const words = (cell) => cell.textContent.trim();
const all = (what, where = document) => [...where.querySelectorAll(what)];
const cells = (row) => Object.fromEntries(all("td", row).map(
  (cell) => [cell.dataset.column, words(cell.querySelector(".says") || cell)]));
document.body.dataset.seen = JSON.stringify({
  rows: Object.fromEntries(all(".forest tbody:first-of-type tr").map(
    (row) => [row.dataset.arm, cells(row)])),
  facts: all(".facts dd").map((fact) => words(fact.firstChild)),
  trials: all(".trials tbody tr").map((row) => [...row.cells].map(words)),
});
</script>
"""
OBSTACLES = """
(async () => {
  const grave = [];
  document.querySelectorAll("details").forEach((found) => { found.open = true; });
  for (const theme of ["light", "dark"]) {
    document.documentElement.dataset.theme = theme;
    const found = await axe.run();
    grave.push(...found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
      .map((one) => `${theme}: ${one.id}`));
  }
  document.body.dataset.seen = JSON.stringify(grave);
})();
"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (CHROMIUM=path names one)")
def test_the_page_sorts_filters_and_marks(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    seen = seen_in(reports.render("html", run), ACTS, tmp_path)
    rows = view_of(run).rows
    fastest = [r.arm for r in sorted(rows, key=lambda r: -(r.time.middle if r.time else 0))]
    assert seen["first"] == [row.arm for row in rows]
    assert (seen["fastest"], seen["slowest"]) == (fastest, fastest[::-1])
    assert seen["filtered"] == [a for a in fastest[::-1] if a != "mixed-precision"]
    assert len(seen["picked"]) > 3
    assert len(set(seen["picked"])) == 1
    assert seen["marked_in"] == ["arms div", "arms tr", "learning g", "learning li",
                                 "steps circle", "steps svg", "steps tr", "trade g"]  # fmt: skip
    trials = context_tables.trials(run)
    assert trials is not None
    assert seen["by_arm"] == sorted(str(row[1]) for row in trials.rows)
    assert seen["hidden"] == "off"
    assert seen["figures"] == [False, True, False, True]
    assert (seen["theme"] in ("light", "dark"), seen["copy"]) == (True, True)
    assert seen["wide"] == 0


def audited(name: str) -> Path:
    """Return the folder of a run that is committed with its audit."""
    (found,) = AUDITS.glob(f"*_audit/*/*_{name}_audit")
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (CHROMIUM=path names one)")
@pytest.mark.parametrize("name", [*made_up.RUNS, *MEASURED])
def test_every_figure_is_that_of_the_records(name: str, tmp_path: Path) -> None:
    folder = audited(name) if name in MEASURED else made_up.RUNS[name](tmp_path / "run")
    run = reports.read(folder)
    seen = seen_in(reports.render("html", run), FIGURES, tmp_path)
    for result in run.candidates:
        if result.pairs:
            row = seen["rows"].pop(result.arm)
            assert_says(row["time"], result.time_ratio)
            assert_says(row["memory"], result.memory_ratio)
            assert_says(row.get(str(run.header.metric), "unknown"), result.metric_difference)
            assert row["pairs"].removesuffix(" fresh") == str(result.pairs)
    assert seen["rows"] == {}
    trials = context_tables.trials(run)
    assert trials is not None
    assert seen["trials"] == [[str(cell).strip() for cell in row] for row in trials.rows]
    if run.winner and run.header.claim is None:
        assert_says(seen["facts"][0], run.winner.time_ratio)
        assert_says(seen["facts"][1], run.winner.memory_ratio)


def assert_says(words: str, interval: Interval | None) -> None:
    """Hold the numbers that are read in a text to those of an interval, as far as it rounds."""
    read = re.findall(r"[−+]?\d+\.?\d*", words)
    if not read:
        assert interval is None or "noise" in words or words == "same losses"
        return
    assert interval is not None
    ends = [] if interval.low is None else [interval.low, interval.high]
    for number, value in zip(read, [interval.middle, *ends], strict=True):
        half = 0.51 * 10.0 ** -len(number.partition(".")[2])
        assert float(number.replace("−", "-")) == pytest.approx(value, abs=half)


@pytest.mark.skipif(None in (CHROMIUM, AXE), reason="no axe-core (AXE=axe.min.js names it)")
@pytest.mark.parametrize("name", ["every_verdict", "searched", "interrupted"])
def test_nothing_on_the_page_is_a_serious_obstacle(name: str, tmp_path: Path) -> None:
    run = reports.read(made_up.RUNS[name](tmp_path / "run"))
    axe = Path(str(AXE)).read_text(encoding="utf-8")
    acts = f"<script>{axe}</script><script>{OBSTACLES}</script>"
    assert seen_in(reports.render("html", run), acts, tmp_path) == []


def seen_in(text: str, acts: str, folder: Path) -> Any:
    """Open a page that loads nothing and complains of nothing; return what scripts saw in it."""
    page = folder / "report.html"
    page.write_text(text.replace("</body>", f"{acts}</body>"), encoding="utf-8")
    done = subprocess.run(
        [str(CHROMIUM), *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--dump-dom",
         page.as_uri()], capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    plain = re.sub(r"<script>.*?</script>", "", done.stdout, flags=re.DOTALL)
    assert re.findall(r'(?:src|srcset|action)="(?!data:)', plain) == []
    (found,) = re.findall(r'data-seen="([^"]*)"', done.stdout)
    return json.loads(found.replace("&quot;", '"'))
