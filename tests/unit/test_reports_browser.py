"""``report.html`` in a real browser: its script works, loads nothing, complains of nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import reports
from reports.view.whole import view_of
from tests.golden import made_up

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
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


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (CHROMIUM=path names one)")
def test_the_page_sorts_filters_and_marks(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    page = tmp_path / "report.html"
    text = reports.render("html", run)
    page.write_text(text.replace("</body>", f"{ACTS}</body>"), encoding="utf-8")
    done = subprocess.run(
        [str(CHROMIUM), *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         page.as_uri()], capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert re.findall(r'(?:src|srcset|action)="(?!data:)', done.stdout) == []
    (found,) = re.findall(r'data-seen="([^"]*)"', done.stdout)
    seen = json.loads(found.replace("&quot;", '"'))
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
