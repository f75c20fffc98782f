"""The published JSON Schemas are those of the models, and hold what is written."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.errors import BenchError
from reports.schemas import FILES, schema
from tests.golden import made_up

jsonschema = pytest.importorskip("jsonschema")


@pytest.mark.parametrize("name", list(FILES))
def test_a_published_schema_is_that_of_its_model(name: str) -> None:
    published = files("reports.schemas").joinpath(f"{name}.json").read_text(encoding="utf-8")
    assert published == schema(name), f"bench schema {name} > reports/schemas/{name}.json"
    jsonschema.Draft202012Validator.check_schema(json.loads(published))


@pytest.mark.parametrize("name", list(made_up.RUNS))
def test_what_a_run_leaves_fits_its_schemas(name: str, tmp_path: Path) -> None:
    path = made_up.RUNS[name](tmp_path / "run")
    fits("run", json.loads((path / "run.json").read_text()))
    for line in (path / "trials.jsonl").read_text().split("\n")[:-1]:
        fits("trials", json.loads(line))
    fits("report", json.loads(reports.render("json", reports.read(path))))


def test_what_is_no_record_does_not_fit(tmp_path: Path) -> None:
    path = made_up.baseline_only(tmp_path / "run")
    whole = json.loads((path / "run.json").read_text())
    for changes in ({"format": 2}, {"seed": "a"}, {"unknown": 1}):
        with pytest.raises(jsonschema.ValidationError):
            fits("run", {**whole, **changes})


def test_an_unknown_schema_is_a_mistake_that_names_the_known_ones() -> None:
    with pytest.raises(BenchError, match='"runs"; there are: run, trials, recipe, report'):
        schema("runs")


def test_absolute_figures_and_single_pairs_stand_in_the_json(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    found = json.loads(reports.render("json", run))
    own = found["arms"]["mixed-precision"]
    assert own["figures"]["step_seconds"] == run.figures["mixed-precision"].step_seconds
    assert own["figures"]["memory_bytes"]["peak"] == run.figures["mixed-precision"].memory.peak
    assert [pair["pair"] for pair in own["single_pairs"]] == [0, 1, 2, 3, 4, 5]
    assert found["settings"] == run.header.settings
    assert found["environment"]["cpu"] == "AMD EPYC"
    assert found["arms"]["early-stopping"]["more_seconds"] > 0


def fits(name: str, value: object) -> None:
    validator(name).validate(value)


@functools.cache
def validator(name: str) -> Any:
    published = files("reports.schemas").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(published))
