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
from reports.view.whole import view_of
from tests.golden import made_up

NAMES = ("chromium", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
AXE = os.environ.get("AXE")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
           "--virtual-time-budget=4000", "--window-size=375,900")  # fmt: skip
ACTS = """
<script>
const arms = () => [...document.querySelectorAll(".forest tbody:first-of-type tr")]
  .filter((row) => !row.hidden).map((row) => row.dataset.arm);
const press = (selector) => document.querySelector(selector).click();
const seen = { first: arms() };
press("th[data-sort=time] button"); seen.fastest = arms();
press("th[data-sort=time] button"); seen.slowest = arms();
press("#filters button"); seen.filtered = arms();
press("#filters button");
press(".forest button.arm");
seen.picked = [...document.querySelectorAll(".picked")].map((found) => found.dataset.arm);
press(".arms input"); seen.hidden = document.querySelector(".arms li").className;
seen.figures = [...document.querySelectorAll("#learning figure")].map((figure) => figure.hidden);
press("#theme"); seen.theme = document.documentElement.dataset.theme;
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
seen.copy = [...document.querySelectorAll(".copy")].every((button) => !button.hidden);
document.body.dataset.seen = JSON.stringify(seen);
</script>
"""
OBSTACLES = """
axe.run().then((found) => {
  const grave = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  document.body.dataset.seen = JSON.stringify(grave.map((one) => one.id));
});
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
    assert seen["hidden"] == "off"
    assert seen["figures"] == [False, True, False, True]
    assert (seen["theme"] in ("light", "dark"), seen["copy"]) == (True, True)
    assert seen["wide"] == 0


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
