"""What programs and other rooms may rely on: formats, JSON keys, no torch, torn lines."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.errors import BenchError
from bench.records.header import Arm
from bench.records.measurement import Inference, Measurement, Purpose, Status
from reports.formats.columns import cut
from reports.sentences import reason, verdict
from reports.undone import unfinished
from tests.golden import made_up
from tests.records import header, measurement

ARM_KEYS = {"verdict", "work", "time_ratio", "memory_ratio", "metric", "pairs", "reason"}


def test_reports_never_import_torch(tmp_path: Path) -> None:
    run = made_up.searched(tmp_path / "run")
    code = (
        "import sys, reports; from pathlib import Path\n"
        f"run = reports.read(Path({str(run)!r}))\n"
        "texts = [reports.render(f, run) for f in reports.FORMATS] + [reports.summary(run)]\n"
        "assert all(texts)\n"
        "print([name for name in ('torch', 'pandas', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    run = reports.read(made_up.baseline_only(tmp_path / "run"))
    with pytest.raises(
        BenchError,
        match='no report format "pdf"; there are: md, html, json, csv, junit, pytest-benchmark',
    ):
        reports.render("pdf", run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is not a run"):
        reports.read(tmp_path)


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    path = made_up.interrupted(tmp_path / "run")
    assert not (path / "trials.jsonl").read_bytes().endswith(b"\n")
    assert len(reports.read(path).trials) == 5


def test_the_json_has_the_keys_that_others_rely_on(tmp_path: Path) -> None:
    path = made_up.every_verdict(tmp_path / "run")
    found = json.loads(reports.render("json", reports.read(path)))
    assert found["format"] == 1
    assert found["run"] == "2026-11-20T12-00-00Z_timehut_test"
    assert found["baseline"] == "timehut"
    assert {*found["arms"]} == {"mixed-precision", "compile", "pruning", "early-stopping",
                                "channels-last", "broken"}  # fmt: skip
    assert all(arm.keys() >= ARM_KEYS for arm in found["arms"].values())
    low, middle, high = found["arms"]["mixed-precision"]["time_ratio"]
    assert 1.3 < low < middle < high < 1.5
    assert 0 < found["smallest_visible_effect"] < 0.05


def test_what_is_unknown_is_null_in_the_json(tmp_path: Path) -> None:
    path = made_up.interrupted(tmp_path / "run")
    found = json.loads(reports.render("json", reports.read(path)))
    assert found["smallest_visible_effect"] is None
    assert found["arms"]["mixed-precision"]["time_ratio"][0] is None
    assert found["finished"] is False


def test_a_csv_has_one_line_a_trial_whatever_its_reason_holds(tmp_path: Path) -> None:
    path = made_up.every_verdict(tmp_path / "run")
    run = reports.read(path)
    rows = list(csv.DictReader(io.StringIO(reports.render("csv", run))))
    assert len(rows) == len(run.trials)
    broken = next(row for row in rows if row["arm"] == "broken")
    assert (broken["status"], broken["reason"]) == ("failed", "ValueError: a\nb (x.py, line 3)")
    assert broken["step_median_seconds"] == ""
    whole = next(row for row in rows if row["arm"] == "compile")
    assert float(whole["step_median_seconds"]) == pytest.approx(0.025, rel=0.02)
    assert json.loads(whole["techniques"])[0]["name"] == "compile"


@pytest.mark.parametrize("width", [40, 80, 100, 156, 200])
@pytest.mark.parametrize("name", list(made_up.RUNS))
def test_the_summary_is_plain_text_of_at_most_25_lines(
    name: str, width: int, tmp_path: Path
) -> None:
    text = reports.summary(reports.read(made_up.RUNS[name](tmp_path / "run")), width)
    lines = text.replace(str(tmp_path), "results").splitlines()
    assert not set(text) & set("│┃━─╭╯\x1b")
    assert all(len(line) <= width for line in lines if not re.search("bench |/run/", line))
    assert sum(max(1, -(-len(line) // width)) for line in lines) <= 25


def test_a_line_that_is_too_long_ends_after_a_whole_word() -> None:
    assert cut("A/A 0.99× [0.95, 1.03]", 20) == "A/A 0.99× [0.95 …"
    assert cut("x" * 50, 40) == "x" * 39 + "…"


def test_figures_are_told_whole_on_a_narrow_terminal_too(tmp_path: Path) -> None:
    run = reports.read(made_up.baseline_only(tmp_path / "run"))
    said = " ".join(reports.summary(run, 40).split())
    assert "training 2.60 s, step 25.0 ms, memory 140 MiB" in said
    assert "shows 4.2 %; baseline against itself (A/A) 1.00× [0.97, 1.02]" in said


def test_the_summary_says_what_does_not_apply_in_one_line(tmp_path: Path) -> None:
    names = [f"a-technique-with-a-long-name-{n}" for n in range(19)]
    trials = [made_up.lost(name, -1, Status.NOT_APPLICABLE, "not here") for name in names]
    path = made_up.write(tmp_path / "run", made_up.header("test", names),
                         [*trials, *made_up.control()])  # fmt: skip
    text = reports.summary(reports.read(path))
    (line,) = (line for line in text.splitlines() if names[0] in line)
    assert line.startswith("19 do not apply: ")
    assert line.endswith("…")
    assert "not finished" not in text


def test_the_next_command_of_a_script_leaves_its_own_arguments_behind(tmp_path: Path) -> None:
    words = ("bench", "script", "train.py", "--repeats", "2", "--seed", "1", "--", "--test", "a")
    head = made_up.header("baseline-only", command=words)
    run = reports.read(made_up.write(tmp_path / "run", head, made_up.control()))
    assert reports.summary(run).splitlines()[-1] == (
        "see what pays: bench script train.py --seed 1 --full-optimization -- --test a"
    )


def test_the_summary_ends_with_the_next_command(tmp_path: Path) -> None:
    ends = {
        name: reports.summary(reports.read(write(tmp_path / name))).splitlines()[-1]
        for name, write in made_up.RUNS.items()
    }
    assert ends["baseline_only"] == (
        "see what pays: bench --full-optimization --set dataset=Chinatown"
    )
    assert ends["every_verdict"] == (
        "export it as a recipe: bench --combine mixed-precision --set dataset=Chinatown"
    )
    folder = "results/2026-11-20T12-00-00Z_timehut"
    assert ends["searched"] == (
        f"train with it: bench train {folder}_full-optimization/optimized.json"
    )
    assert ends["interrupted"] == f"go on: bench --resume {folder}_test"
    assert ends["verified"].startswith("report: ")


@pytest.mark.parametrize("name", ["baseline_only", "every_verdict", "searched"])
def test_a_whole_run_is_not_called_unfinished(name: str, tmp_path: Path) -> None:
    run = reports.read(made_up.RUNS[name](tmp_path / "run"))
    assert json.loads(reports.render("json", run))["finished"] is True


def test_the_winner_of_a_full_optimisation_is_the_confirmed_one(tmp_path: Path) -> None:
    run = reports.read(made_up.searched(tmp_path / "run"))
    assert run.winner is not None
    assert run.winner.confirmed
    assert run.candidates[0] == run.winner


def test_what_a_budget_left_unmeasured_is_named(tmp_path: Path) -> None:
    arms = ("mixup", "pruning:ratio=0.3", "pruning:ratio=0.5", "quick")
    head = header(
        first=4, repeats=30, budget_seconds=60.0, arms=tuple(Arm(techniques=(a,)) for a in arms)
    )
    trials = [measurement(), measurement("quick"), measurement("pruning:ratio=0.3")]
    said = unfinished(reports.made(tmp_path, head, trials, ()))
    assert said is not None
    assert said.startswith(
        "This run is not finished: 2 arms of 4 were not measured: mixup and pruning; its budget "
        "was 60.0 s."
    )


def test_arms_that_the_budget_left_unmeasured_are_not_said_to_gain_nothing(tmp_path: Path) -> None:
    head = header(budget_seconds=60.0, arms=(Arm(techniques=("mixup",)), Arm(techniques=("ema",))))
    bounded = measurement("ema", pair=-1, status=Status.BOUNDED, reason="at most 1.01x")
    run = reports.made(tmp_path, head, [bounded], ())
    assert verdict(run).startswith("No arm was measured against the baseline yet. ")


def test_what_is_confirmed_is_not_taken_for_an_arm_that_was_planned(tmp_path: Path) -> None:
    arms = tuple(Arm(techniques=(name,)) for name in ("mixup", "quick", "small"))
    head = header(mode="full-optimization", first=4, repeats=30, screening=(1, 6), arms=arms)
    trials = [measurement(), measurement("quick"), measurement("small")]
    both = [measurement(arm, 9, stage="confirm") for arm in ("baseline", "quick+small")]
    said = unfinished(reports.made(tmp_path, head, [*trials, *both], ()))
    assert said is not None
    assert "1 arm of 3 were not measured: mixup" in said


def test_a_winner_that_answers_more_slowly_says_so(tmp_path: Path) -> None:
    slow: dict[str, Any] = {
        "work": "other mathematics", "effect": "model", "model_bytes": 637_248,
        "inference": (Inference(items=1, seconds=(0.0056,) * 5),),
    }  # fmt: skip
    small = made_up.pairs("small", lambda n: made_up.trial("small", n, **slow))
    head = made_up.header("test", ("small",))
    run = reports.read(made_up.write(tmp_path / "run", head, [*small, *made_up.control(6)]))
    assert "smaller at the cost of 2.00× the inference time, with accuracy" in verdict(run)


def test_what_was_left_out_of_the_combination_says_so(tmp_path: Path) -> None:
    stages: tuple[tuple[str, Purpose], ...] = (
        ("a", "test"), ("b", "test"), ("c", "test"), ("a+b+c", "combine"), ("a+b", "confirm")
    )  # fmt: skip
    trials: list[Measurement] = []
    for number, (arm, stage) in enumerate(stages):
        made = partial(made_up.trial, arm, gain=1.4, stage=stage)
        trials += made_up.pairs(arm, made, 6 * number, stage=stage)
    head = made_up.header("full-optimization", ("a", "b", "c"))
    run = reports.read(made_up.write(tmp_path / "run", head, trials))
    left = "beside what was combined it was not shown to add to the gain"
    assert [one.arm for one in run.candidates if left in reason(run, one)] == ["c"]
