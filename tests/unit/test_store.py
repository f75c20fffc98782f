"""A run's folder: nothing finished is lost, half-written or mixed up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.records import files, run_folder
from bench.records.measurement import Measurement
from tests.records import header, measurement


def new_run(output: Path) -> run_folder.Folder:
    return run_folder.create(
        output, lambda run, started: header(run=run, started=started), "made-up_test"
    )


def journal_of(path: Path, *records: Measurement, end: bytes = b"") -> Path:
    file = path / "trials.jsonl"
    lines = [record.model_dump_json().encode() + b"\n" for record in records]
    file.write_bytes(b"".join(lines) + end)
    return file


def test_a_folder_is_named_after_its_time_and_label(tmp_path: Path) -> None:
    with_time = new_run(tmp_path).path.name
    assert with_time.endswith("Z_made-up_test")
    assert with_time[:4].isdigit()
    assert ":" not in with_time


def test_two_runs_of_one_second_get_two_folders(tmp_path: Path) -> None:
    assert new_run(tmp_path).path != new_run(tmp_path).path


def test_a_header_is_there_before_the_first_trial(tmp_path: Path) -> None:
    folder = new_run(tmp_path)
    assert run_folder.read_header(folder.path) == folder.header
    assert folder.header.run == folder.path.name


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    journal = run_folder.Journal(tmp_path / "trials.jsonl")
    records = [measurement(), measurement("fast", 1, metric=None)]
    for record in records:
        journal.append(record)
    assert run_folder.Journal(journal.path).records == records


def test_a_journal_finds_a_trial_by_pair_and_arm(tmp_path: Path) -> None:
    journal = run_folder.Journal(tmp_path / "trials.jsonl")
    journal.append(measurement("fast", 3))
    assert journal.get((3, "fast")) == measurement("fast", 3)
    assert journal.get((4, "fast")) is None


def test_a_torn_last_line_is_dropped_with_a_warning(tmp_path: Path) -> None:
    file = journal_of(
        tmp_path, measurement(), end=measurement("fast").model_dump_json().encode()[:99]
    )
    journal = run_folder.Journal(file)
    assert journal.records == [measurement()]
    assert journal.warning == (
        "trials.jsonl: dropped a torn last line; its trial will be run again"
    )
    assert file.read_bytes() == measurement().model_dump_json().encode() + b"\n"


def test_a_last_line_without_its_end_is_torn_even_when_it_could_be_read(tmp_path: Path) -> None:
    file = journal_of(tmp_path, end=measurement().model_dump_json().encode())
    assert run_folder.Journal(file).records == []
    assert file.read_bytes() == b""


def test_a_whole_journal_gives_no_warning(tmp_path: Path) -> None:
    assert run_folder.Journal(journal_of(tmp_path, measurement())).warning is None
    assert run_folder.Journal(tmp_path / "none.jsonl").warning is None


def test_reading_a_run_leaves_a_torn_line_as_it_is(tmp_path: Path) -> None:
    file = journal_of(tmp_path, measurement(), end=b'{"form')
    assert run_folder.read_measurements(file) == [measurement()]
    assert file.read_bytes().endswith(b'{"form')


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"garbage", "line 2 is not JSON"),
        (b"", "line 2 is not JSON"),
        (b"\xff\xfe", "line 2 is not JSON"),
        (b"[" * 100_000, "line 2 is not JSON"),
        (b"[]", "line 2: format None; this bench reads 1"),
        (b'{"format": 2}', "line 2: format 2; this bench reads 1"),
        (b'{"format": 1}', "line 2: arm: Field required"),
    ],
)
def test_a_bad_line_in_the_middle_is_refused_with_its_number(
    tmp_path: Path, line: bytes, problem: str
) -> None:
    whole = measurement().model_dump_json().encode()
    (tmp_path / "trials.jsonl").write_bytes(b"\n".join([whole, line, whole, b""]))
    with pytest.raises(BenchError) as caught:
        run_folder.Journal(tmp_path / "trials.jsonl")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_in_use_is_refused_with_its_process(tmp_path: Path) -> None:
    folder = new_run(tmp_path)
    code = (
        "import sys, pathlib; from bench.records import run_folder; "
        "run_folder.reopen(pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"is in use by process {os.getpid()}; wait for it" in done.stderr


def test_a_closed_run_can_be_opened_again(tmp_path: Path) -> None:
    folder = new_run(tmp_path)
    folder.trials.append(measurement())
    folder.close()
    again = run_folder.reopen(folder.path)
    assert again.trials.records == [measurement()]
    again.close()


def test_closing_removes_what_was_scratch(tmp_path: Path) -> None:
    folder = new_run(tmp_path)
    (folder.scratch / "trial.log").touch()
    folder.close()
    assert not (folder.path / "scratch").exists()


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    files.write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BenchError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.md"]


def test_a_full_disk_while_appending_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    journal = run_folder.Journal(tmp_path / "trials.jsonl")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BenchError, match="No space left on device; free some space"):
        journal.append(measurement())
    assert journal.records == []


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(BenchError, match="give another folder with --output"):
        new_run(tmp_path / "results")


def test_a_disk_that_is_nearly_full_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "FREE_BYTES", 1 << 62)
    with pytest.raises(BenchError, match=r"MiB are free in .* free some, or give another folder"):
        new_run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"is not a run: it has no run\.json"):
        run_folder.reopen(tmp_path)


def test_a_run_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    content = json.loads(header().model_dump_json()) | {"format": 2}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(BenchError, match=r"has format 2; .* update trainbench to read it"):
        run_folder.read_run(tmp_path)


def test_a_header_with_a_wrong_field_is_refused_by_its_name(tmp_path: Path) -> None:
    content = json.loads(header().model_dump_json()) | {"margin": "wide"}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(BenchError, match=r"run\.json: margin: "):
        run_folder.read_run(tmp_path)


def test_a_run_is_read_with_its_trials_and_probes(tmp_path: Path) -> None:
    folder = new_run(tmp_path)
    folder.trials.append(measurement())
    folder.probes.append(measurement("adaptive-batch", 0))
    found, trials, probes = run_folder.read_run(folder.path)
    assert found == folder.header
    assert [t.arm for t in trials] == ["baseline"]
    assert [p.arm for p in probes] == ["adaptive-batch"]
