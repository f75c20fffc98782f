"""A run's folder: nothing finished is lost, half-written or mixed up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from bench.errors import BenchError
from bench.records import files, run_folder
from bench.records.claim import read_exported
from bench.records.header import Arm, Mode
from bench.records.measurement import Measurement
from bench.run.modes import MODES
from tests.records import header, measurement, recipe


def new_run(output: Path) -> run_folder.Folder:
    name = run_folder.name_of("made-up_test", datetime.now(UTC))
    return run_folder.create(output, header(run=name))


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
    with pytest.raises(BenchError, match=r"has format 2; .* update trainpairs to read it"):
        run_folder.read_run(tmp_path)


def test_a_header_with_a_wrong_field_is_refused_by_its_name(tmp_path: Path) -> None:
    content = json.loads(header().model_dump_json()) | {"margin": "wide"}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(BenchError, match=r"run\.json: margin: "):
        run_folder.read_run(tmp_path)


def test_a_run_is_read_with_its_trials_and_probes(tmp_path: Path) -> None:
    asked = Arm(techniques=("adaptive-batch",))
    folder = run_folder.create(tmp_path, header(arms=(asked,)))
    folder.trials.append(measurement())
    folder.probes.append(measurement("adaptive-batch", 0, recipe=recipe().model_dump(mode="json")))
    found, trials, probes = run_folder.read_run(folder.path)
    assert found == folder.header
    assert [t.arm for t in trials] == ["baseline"]
    assert [p.arm for p in probes] == ["adaptive-batch"]


def test_a_pair_of_two_kinds_is_refused(tmp_path: Path) -> None:
    file = journal_of(tmp_path, measurement(), measurement("fast", kind="step"))
    with pytest.raises(BenchError, match="line 2: fast of pair 0 is a step trial, the pair's f"):
        run_folder.read_measurements(file)


def damaged(tmp_path: Path, **changes: object) -> Path:
    """Return a journal of two records, values of the second changed."""
    whole = measurement("fast").model_dump(mode="json")
    lines = [measurement().model_dump_json(), json.dumps({**whole, **changes})]
    (tmp_path / "trials.jsonl").write_text("\n".join([*lines, ""]))
    return tmp_path / "trials.jsonl"


def test_what_is_no_regular_file_is_no_record(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading one that nobody writes to would never end
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BenchError, match="it is no regular file"):
            read_exported(path)


def test_a_journal_that_holds_itself_twice_is_refused(tmp_path: Path) -> None:
    file = journal_of(tmp_path, measurement(), measurement("fast"))
    file.write_bytes(file.read_bytes() * 2)
    with pytest.raises(BenchError) as caught:
        run_folder.read_measurements(file)
    assert str(caught.value) == (
        f"{file}, line 3: baseline of pair 0 stands in line 1 already; a trial is written once: "
        "take out what was added to the file"
    )


def test_a_pair_of_two_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"line 2: fast of pair 0 has the seed 7, "):
        run_folder.read_measurements(damaged(tmp_path, seed=7))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("items", -80), ("items", 80.5), ("items", "80"), ("items", True), ("items", 2**64),
        ("pair", -2), ("peak_rss_bytes", -1), ("train_seconds", -1.0), ("step_seconds", [0.1, -1]),
        ("losses", [float("nan")]), ("metric", float("inf")), ("metric", "0.9"),
        ("flops_coverage", 1.5), ("kind", "half"), ("status", "fine"), ("work", "more work"),
        ("arm", ""), ("arm", None), ("recipe", {}), ("recipe", {"baseline": 5}),
        ("recipe", {"baseline": "../x.py:M"}), ("recipe", {"baseline": "x.py:M"}),
        ("started", "yesterday"), ("compiled", "yes"), ("phase_seconds", {"data": -1.0}),
    ],
)  # fmt: skip
def test_a_value_that_no_trial_gives_is_refused_with_its_line(
    tmp_path: Path, field: str, value: object
) -> None:
    with pytest.raises(BenchError, match=rf"line 2(: {field}| is not JSON)") as caught:
        run_folder.read_measurements(damaged(tmp_path, **{field: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["1e999", "[" * 300 + "]" * 300, '"\\ud800"', "[NaN]"])
def test_what_can_not_be_written_again_is_refused(tmp_path: Path, value: str) -> None:
    file = damaged(tmp_path, recipe={**recipe().model_dump(mode="json"), "settings": {"lr": "X"}})
    file.write_text(file.read_text().replace('"X"', value))
    with pytest.raises(BenchError, match="line 2"):
        run_folder.read_measurements(file)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    file = damaged(tmp_path)
    file.write_text(file.read_text()[:-2] + ', "metric": 0.99}\n')
    with pytest.raises(BenchError, match='line 2 is not JSON: the key "metric" is there twice'):
        run_folder.read_measurements(file)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "guess"), ("threads", 0), ("repeats", -1), ("margin", -0.1), ("seed", 1.5),
        ("metric_bounds", [1, 0]), ("budget_seconds", -5), ("environment", []), ("arms", "fast"),
    ],
)  # fmt: skip
def test_a_header_of_no_run_is_refused_by_its_field(
    tmp_path: Path, field: str, value: object
) -> None:
    content = json.loads(header().model_dump_json()) | {field: value}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(BenchError, match=rf"run\.json: {field}"):
        run_folder.read_run(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("margin", 0.5), ("metric_direction", "lower"), ("raced", {"test": 40}), ("alpha", 0.2)],
)
def test_what_was_fixed_before_the_first_trial_and_edited_later_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    folder = run_folder.create(tmp_path, header())
    folder.race("test", 1)
    folder.close()
    file = folder.path / "run.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content, sort_keys=True))  # the same, written otherwise
    assert run_folder.read_run(folder.path)[0].raced == {"test": 1}
    file.write_text(json.dumps(content | {field: value}))
    with pytest.raises(BenchError, match=r"run\.json was changed after bench wrote it; what a"):
        run_folder.read_run(folder.path)


def test_every_mode_of_a_run_can_be_read_back() -> None:
    assert set(get_args(Mode)) == set(MODES)


def test_a_folder_has_a_plain_name_whatever_the_baselines(tmp_path: Path) -> None:
    name = run_folder.name_of("../a b\x1b[31m_test", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    folder = run_folder.create(tmp_path, header(run=name))
    assert folder.path.parent == tmp_path
    assert folder.path.name == "2026-01-02T03-04-05Z_..-a-b-31m_test"
    assert folder.header.run == folder.path.name


def test_a_journal_that_leads_to_a_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(header().model_dump_json())
    (tmp_path / "trials.jsonl").symlink_to("/dev/zero")
    with pytest.raises(BenchError, match=r"trials\.jsonl: it is no regular file"):
        run_folder.read_run(tmp_path)
