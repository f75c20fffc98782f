"""The machine's facts, the display's words, the template, the lists."""

from __future__ import annotations

import ast
import sys
from contextlib import closing
from pathlib import Path

import pynvml
import pytest

from bench.cli import list, progress, template
from bench.cli.course import Course
from bench.errors import BenchError
from bench.machine import environment
from bench.records.measurement import Status
from bench.records.run_folder import create
from tests.records import failed, header, measurement


def test_an_environment_has_all_that_a_reader_needs() -> None:
    facts = environment.capture()
    assert {
        "python", "system", "cpu", "cores", "memory_bytes", "packages", "gpus", "git_commit",
        "load_average",
    } <= set(facts)  # fmt: skip
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 0
    assert facts["packages"]["torch"].startswith("2.")


def test_a_package_that_is_not_there_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package",))
    assert environment.capture()["packages"] == {"no-such-package": None}


def test_a_machine_without_a_gpu_has_an_empty_list() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    assert environment.gpus() == []


def test_a_gpu_is_told_as_far_as_it_is_known_and_left_out_where_it_can_not_be_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*about: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def opened(index: int) -> str:
        if index == 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return "handle"

    known = {
        "nvmlInit": lambda: None, "nvmlShutdown": lambda: None, "nvmlDeviceGetCount": lambda: 2,
        "nvmlSystemGetDriverVersion": lambda: "580", "nvmlDeviceGetHandleByIndex": opened,
        "nvmlDeviceGetName": lambda handle: "GB10", "nvmlDeviceGetMemoryInfo": refuse,
    }  # fmt: skip
    for name, answer in known.items():
        monkeypatch.setattr(pynvml, name, answer)
    assert environment.gpus() == [{"name": "GB10", "memory_bytes": None, "driver": "580"}]


def test_a_folder_without_git_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.git_commit() is None


def test_time_stalled_for_a_cpu_never_falls() -> None:
    first, second = environment.cpu_stall_seconds(), environment.cpu_stall_seconds()
    assert first is None or (second is not None and second >= first >= 0)


def test_an_outcome_says_seconds_and_the_metric_by_its_name() -> None:
    said = "trained 1.50 s, accuracy 0.9000"
    assert progress.outcome(measurement(seconds=1.5), "accuracy") == said
    assert progress.outcome(measurement(metric=None), "accuracy") == "trained 1.00 s"


def test_an_outcome_that_is_none_says_why() -> None:
    record = failed("fast", 0, Status.OUT_OF_MEMORY, "no room")
    assert progress.outcome(record, "accuracy") == "out of memory: no room"


def test_a_log_has_lines_of_the_first_trial_the_last_and_what_failed_and_one_in_30_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    shown = progress.Plain(lambda: now[0])
    shown.done(failed("odd", -1, Status.NOT_APPLICABLE, "no CUDA"))
    shown.expect(8)
    for number in range(7):
        shown.begin("baseline#2")
        now[0] += 10.0
        shown.done(measurement("baseline#2", number))
    now[0] += 1
    shown.done(failed("fast", 7, Status.FAILED, "no room"))
    lines = capsys.readouterr().err.splitlines()
    assert [line[:5] for line in lines] == ["[1/8]", "[4/8]", "[7/8]", "[8/8]"]
    said = "baseline again (A/A)  seed 0  trained 1.00 s, metric 0.9000  about 14 s left"
    assert lines[0] == f"[1/8]   10.0 s  {said}"
    assert lines[3].endswith("fast  seed 7  failed: no room")


def test_a_runs_place_and_plan_are_told_before_its_first_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = progress.Plain()
    asked = header(repeats=30, first=4, raced={"test": 2}, budget_seconds=1200.0)
    with closing(create(tmp_path, asked)) as folder:
        shown.opened(folder)
        shown.begin("checking baseline")
        assert capsys.readouterr().err == ""
        shown.begin("checking fast")
        shown.done(failed("odd", -1, Status.NOT_APPLICABLE, "no CUDA"))
        shown.expect(20)
    assert capsys.readouterr().err.splitlines() == [
        f"the report so far: {folder.path / 'report.html'}",
        "1 arm does not apply here or can't gain enough: odd",
        "plan: 2 arms in 4 to 30 pairs, 20 trials until the first look; budget 20 min",
    ]


def test_the_time_left_is_known_from_the_first_trial_on_however_long_it_takes() -> None:
    course = Course(begun=0.0, expected=10, metric="accuracy")
    assert course.left(0.0) is None
    for number in range(4):
        course.begin("fast", 400.0 * number)
        course.done(measurement("fast", number, wall_seconds=400.0))
    assert course.left(1600.0) == pytest.approx(400.0 * 6)
    course.begin("fast", 1600.0)
    assert course.left(1700.0) == pytest.approx(400.0 * 6 - 100)
    course.budget_seconds = 2000.0
    assert course.left(1700.0) == pytest.approx(300.0)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_line_fits_and_keeps_the_count_and_the_time_left(width: int) -> None:
    course = Course(begun=0.0, expected=36, best="best so far scale-model 1.90× [1.20, 3.01]")
    course.done(measurement("fast", 0, wall_seconds=60.0))
    course.begin("mixed-precision+adaptive-batch+compile", 60.0)
    line = course.line(61.0, width)
    assert len(line) <= width
    assert line.startswith("trial 2/36 mixed")
    assert "about 35 min left" in line
    assert ("best so far" in line) is (width >= 120)


def test_a_quiet_run_shows_notes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shown = progress.choose(quiet=True)
    shown.done(measurement())
    shown.note("look here")
    assert capsys.readouterr().err == "look here\n"


def test_where_stderr_is_no_terminal_lines_are_plain() -> None:
    assert not sys.stderr.isatty()
    assert isinstance(progress.choose(quiet=False), progress.Plain)


def test_a_template_is_python_of_at_most_60_lines(tmp_path: Path) -> None:
    said = template.write(tmp_path / "mine.py")
    text = (tmp_path / "mine.py").read_text()
    ast.parse(text)
    assert len(text.splitlines()) <= 60
    assert "FILE" not in text
    assert f"bench --baseline {tmp_path / 'mine.py'}:MyModel --baseline-only" in said


def test_a_template_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("precious")
    with pytest.raises(BenchError, match="is there already; give another name"):
        template.write(tmp_path / "mine.py")
    assert (tmp_path / "mine.py").read_text() == "precious"


def test_a_template_is_a_python_file(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"is no Python file; give a name that ends in \.py"):
        template.write(tmp_path / "mine.txt")


def test_a_template_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"can't write .*No such file or directory"):
        template.write(tmp_path / "gone" / "mine.py")


def test_baselines_are_listed_with_a_line_each() -> None:
    rows = list.listing("baselines", None, "timehut", None, "cpu")
    (row,) = [row for row in rows if row["name"] == "timehut"]
    assert set(row) == {"name", "summary"}
    assert "\n" not in row["summary"]


def test_a_baseline_has_a_card_with_its_settings() -> None:
    (row,) = list.listing("baselines", "timehut", "timehut", None, "cpu")
    assert row["settings"]["epochs"]["default"] == 200
    assert row["settings"]["epochs"]["type"] == "integer >= 1"
    text = list.as_text("baselines", [row])
    assert "epochs = 200  (integer >= 1) passes over the training part" in text


def test_data_sets_are_listed_with_where_they_lie() -> None:
    rows = list.listing("datasets", None, "timehut", None, "cpu")
    assert {"name", "summary", "where"} == set(rows[0])
    assert "UnitTest" in {row["name"] for row in rows}


def test_an_unknown_list_gets_a_suggestion() -> None:
    with pytest.raises(BenchError, match=r'"technique" to list; did you mean "techniques"\?'):
        list.listing("technique", None, "timehut", None, "cpu")


def test_an_empty_list_says_so() -> None:
    assert list.as_text("datasets", []) == "no datasets found"


def test_a_technique_that_does_not_apply_says_why_in_its_line() -> None:
    rows = [
        {"name": "a", "summary": "Fast", "effect": "exact", "applies": True, "reason": None},
        {"name": "bb", "summary": "Odd", "effect": "model", "applies": False, "reason": "no CUDA"},
    ]
    rows = [row | {"rehearsed": True} for row in rows]
    assert list.as_text("techniques", rows).splitlines() == [
        "a   exact     Fast", "bb  model     Odd  [not here: no CUDA]",
    ]  # fmt: skip


def test_a_summary_is_the_first_line_of_a_card() -> None:
    assert list.summary("\nCompile: fuse.\n\nWhat: x") == "Compile: fuse"
    assert list.summary("") == ""
