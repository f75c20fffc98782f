"""What a real run writes fits the published schemas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import reports
from tests.cli.processes import records

pytest.importorskip("jsonschema")

from tests.unit.test_schemas import fits


def test_what_a_run_writes_fits_its_schemas(finished: Path) -> None:
    fits("run", json.loads((finished / "run.json").read_text()))
    for record in records(finished):
        fits("trials", record)
    fits("report", json.loads(reports.render("json", reports.read(finished))))
