"""What others wrote is shown as text: it computes nothing, moves no cursor, shows no other file."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

import reports
from bench.cli import output
from bench.errors import BenchError
from bench.records.measurement import Measurement
from reports.run import FOREST
from tests.records import failed, header, measurement, paired, planned

HOSTILE = "=1+1 \x1b]0;owned\x07\x9b31m\u202e"


def run_of(folder: Path, *trials: Measurement, **changes: object) -> reports.Run:
    """Write a run's records; return it as reports read it."""
    records = trials or (*paired("fast"), *paired("baseline#2", first=6))
    head = header(**{"arms": planned(records), **changes})
    (folder / "run.json").write_text(head.model_dump_json())
    on = {"device": head.device}
    lines = [record.model_copy(update=on).model_dump_json() + "\n" for record in records]
    (folder / "trials.jsonl").write_text("".join(lines))
    return reports.read(folder)


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", " =", "\t=", "\u202e="])
def test_a_cell_is_never_a_formula(tmp_path: Path, begin: str) -> None:
    run = run_of(tmp_path, measurement(), failed("fast", reason=f"{begin}cmd|' /C calc'!A0"))
    rows = list(csv.DictReader(io.StringIO(reports.render("csv", run))))
    assert rows[1]["reason"][:1] in ("'", "\ufffd")
    assert rows[1]["pair"] == "0"


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    run = run_of(tmp_path, measurement(), measurement("fast", end_file_bytes=-5))
    rows = list(csv.DictReader(io.StringIO(reports.render("csv", run))))
    assert rows[1]["end_file_bytes"] == "-5"


@pytest.mark.parametrize("format", sorted(reports.FORMATS))
def test_control_characters_reach_no_format(tmp_path: Path, format: str) -> None:
    trials = [*paired("fast"), failed(HOSTILE, 6, reason=HOSTILE), measurement(pair=6)]
    run = run_of(tmp_path, *trials, run=HOSTILE, name=HOSTILE, notices=(HOSTILE,), device=HOSTILE)
    for text in (reports.render(format, run), reports.summary(run)):
        assert set(text) & {"\x1b", "\x07", "\x9b", "\u202e"} == set()
    if format == "junit":
        Tree.fromstring(reports.render(format, run))
    if format == "json":
        assert json.loads(reports.render(format, run))["run"] == HOSTILE


def test_a_report_shows_no_file_but_the_runs_own_picture(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    plots = tmp_path / "run" / "plots"
    plots.mkdir(parents=True)
    for theme in ("light", "dark"):
        (plots / FOREST.format(theme)).symlink_to(tmp_path / "secret")
    notices = ("![one](../secret)", "![two]", "[two]: ../secret", "![three][two]")
    run = run_of(tmp_path / "run", notices=notices)
    assert not run.drawn
    assert "<picture>" not in reports.render("md", run)
    assert "](../secret)" not in reports.render("md", run)
    assert "SECRET" not in reports.render("html", run)
    for theme in ("light", "dark"):
        (plots / FOREST.format(theme)).unlink()
    assert reports.write_pictures(run, plots)
    assert "<picture>" in reports.render("md", reports.read(tmp_path / "run"))


def test_an_arm_writes_its_events_into_its_own_folder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = run_of(tmp_path, measurement(), *paired("../..", (1.0,), first=1))
    reports.write_events(run, tmp_path / "a" / "b" / "tensorboard")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["a"]


def test_a_lost_combination_says_that_the_baseline_is_exported(tmp_path: Path) -> None:
    run_of(tmp_path, mode="combine")
    (tmp_path / "optimized.json").write_text("{}")
    text = reports.summary(reports.read(tmp_path))
    assert "optimized.json  (the baseline's: nothing is shown to be better)\n" in text


class Stream(io.TextIOWrapper):
    """A text stream to a pipe or file."""


def to_gone_reader() -> io.TextIOWrapper:
    reader, writer = os.pipe()
    os.close(reader)
    return Stream(os.fdopen(writer, "wb"), encoding="utf-8")


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", to_gone_reader())
    monkeypatch.setattr("sys.stderr", to_gone_reader())
    for _ in range(2):
        output.tell("x" * 100_000)
        output.say("x" * 100_000)


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr("sys.stdout", full.open("w"))
    with pytest.raises(BenchError, match="can't write to standard output: No space left on device"):
        output.tell("x")


def test_what_an_encoding_can_not_show_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"latin-1": "1.5× [-0.1, ...] ? 3 µs\n", "ascii": "1.5x [-0.1, ...] ? 3 us\n"}
    for encoding, shown in said.items():
        stream = Stream(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr("sys.stdout", stream)
        output.prepare()
        output.tell("1.5× [−0.1, …] ☃ 3 µs")
        assert stream.buffer.getvalue() == shown.encode(encoding)  # type: ignore[attr-defined]  # bytes


def test_a_closed_stream_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    output.prepare()
    output.tell("x")
    output.say("x")
    assert sys.stdin.read() == ""
    assert output.columns() == 100


def test_a_line_on_stderr_is_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("[1/2]   a\x1b[31m\nb")
    assert capsys.readouterr().err == "[1/2]   a\ufffd[31m b\n"
