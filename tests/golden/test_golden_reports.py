"""Reports of made-up runs against checked-in files.

After a wanted change, write them anew and look at the difference:

    BENCH_UPDATE_GOLDEN=1 pytest tests/golden && git diff tests/golden
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import reports
from tests.golden import made_up

HERE = Path(__file__).parent / "expected"
UPDATE = os.environ.get("BENCH_UPDATE_GOLDEN") == "1"
RENDERED = [(run, format) for run in made_up.RUNS for format in ("md", "json", "junit", "txt")]


@pytest.mark.parametrize(("name", "format"), RENDERED)
def test_a_report_is_what_was_checked_in(name: str, format: str, tmp_path: Path) -> None:
    run = reports.read(made_up.RUNS[name](tmp_path / "run"))
    text = reports.summary(run) if format == "txt" else reports.render(format, run)
    text = text.replace(str(tmp_path), "results")
    expected = HERE / f"{name}.{format}"
    if UPDATE:
        HERE.mkdir(exist_ok=True)
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("format", list(reports.FORMATS))
def test_equal_files_give_equal_bytes(format: str, tmp_path: Path) -> None:
    one = reports.read(made_up.every_verdict(tmp_path / "one"))
    other = reports.read(made_up.every_verdict(tmp_path / "other" / "place"))
    assert reports.render(format, one) == reports.render(format, other)
