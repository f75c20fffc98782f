"""Each command of `bench`, as a user runs it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.analysis.claims import judged
from bench.analysis.proof import Proof
from bench.records.claim import Claim
from tests.cli.calls import called_once
from tests.cli.processes import FAULTS, TINY, Bench, only_run, records

CONTRACT = {
    "arm", "pair", "seed", "status", "reason", "recipe", "metric", "metrics", "step_seconds",
    "window_seconds", "cpu_seconds", "items", "phase_seconds", "base_rss_bytes", "peak_rss_bytes",
    "peak_allocated_bytes", "peak_reserved_bytes", "model_flops_per_step", "flops_coverage",
    "parameters", "model_bytes", "format",
}  # fmt: skip


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run that exported a recipe, made once."""
    combine = ("--baseline", TINY, "--combine", f"{FAULTS}:Harmless", "--repeats", "2")
    return called_once(
        tmp_path_factory.mktemp("combined"), *combine, "--set", "pause=0.01", "epochs=4"
    )


@pytest.fixture
def exported(combined: Path, tmp_path: Path) -> Path:
    """Return an exported recipe in a folder of its own, with the files that it needs."""
    return Path(shutil.copytree(combined, tmp_path / "exported")) / "optimized.json"


def test_bench_alone_prints_help(called: Bench) -> None:
    done = called()
    assert done.returncode == 0
    for word in ("--baseline-only", "--full-optimization", "verify", "doctor"):
        assert word in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_and_options(bench: Bench, shell: str) -> None:
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # tests may run under no shell
    assert "bench" in bench("--show-completion", shell, **named).stdout
    asked = {
        "bash": {"COMP_WORDS": "bench --full", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "bench --full"},
        "fish": {"_TYPER_COMPLETE_ARGS": "bench --full", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = bench(_BENCH_COMPLETE=f"complete_{shell}", **asked)
    assert "--full-optimization" in done.stdout, done.stderr


def test_the_shell_completes_the_names_of_techniques(bench: Bench) -> None:
    words = {"COMP_WORDS": "bench --test mixed", "COMP_CWORD": "2"}
    assert bench(_BENCH_COMPLETE="complete_bash", **words).stdout.strip() == "mixed-precision"


def test_a_line_of_trials_has_the_names_that_others_rely_on(finished: Path) -> None:
    lines = records(finished)
    assert {line["arm"] for line in lines} == {
        "baseline", "baseline#2", "harmless", "mixed-precision",
    }  # fmt: skip
    assert all(set(line) >= CONTRACT for line in lines)
    assert all(line["metrics"][-1]["train_seconds"] > 0 for line in lines)


def test_every_trial_of_a_recipe_has_its_flops_and_one_has_the_cross_checks(finished: Path) -> None:
    lines = records(finished)
    for arm in ("baseline", "baseline#2", "harmless", "mixed-precision"):
        (counted,) = {line["model_flops_per_step"] for line in lines if line["arm"] == arm}
        assert counted > 0, arm
    assert sum(line["flops_check"] is not None for line in lines) == 1


def test_equal_seeds_give_equal_results_in_both_trials_of_the_control(finished: Path) -> None:
    lines = records(finished)
    (second,) = [line for line in lines if line["arm"] == "baseline#2" and line["seed"] == 1]
    (first,) = [x for x in lines if x["arm"] == "baseline" and x["pair"] == second["pair"]]
    assert first["losses"] == second["losses"]
    assert first["metric"] == second["metric"]


def test_show_prints_what_the_run_found(called: Bench, finished: Path) -> None:
    text = called("show", str(finished)).stdout
    assert "harmless" in text
    assert "A/A" in text
    found: dict[str, Any] = json.loads(called("show", str(finished), "--json").stdout)
    assert set(found) >= {"run", "baseline", "arms", "smallest_visible_effect"}
    arm = found["arms"]["mixed-precision"]
    assert set(arm) >= {
        "verdict",
        "work",
        "time_ratio",
        "memory_ratio",
        "metric",
        "pairs",
        "reason",
    }
    assert arm["pairs"] == 2
    low, middle, high = arm["time_ratio"]
    assert (low, high) == (None, None)  # two pairs bound nothing
    assert middle > 0
    low, middle, high = found["baseline_metric"]  # two seeds: the interval is cut at 0 or 1
    assert 0 <= low <= middle <= high <= 1


@pytest.mark.parametrize(
    ("form", "sign"), [("md", "# tiny: "), ("json", '"format": 1'), ("csv", "arm,")]
)
def test_a_report_is_made_anew_in_every_format(
    called: Bench, finished: Path, form: str, sign: str
) -> None:
    done = called("report", str(finished), "--format", form)
    assert done.returncode == 0
    assert sign in done.stdout


def test_a_report_of_no_known_format_is_refused(called: Bench, finished: Path) -> None:
    done = called("report", str(finished), "--format", "pdf")
    assert done.returncode == 2
    assert "pdf" in done.stderr


def test_json_goes_to_stdout_alone(bench: Bench) -> None:
    done = bench("--baseline", TINY, "--baseline-only", "--repeats", "1", "--json")
    assert json.loads(done.stdout)["baseline"] == "tiny"
    assert done.stderr == ""


def test_plain_progress_names_the_first_trial_and_the_last(called: Bench) -> None:
    done = called("--baseline", TINY, "--baseline-only", "--repeats", "2")
    assert re.findall(r"^\[\d/4\]", done.stderr, re.MULTILINE) == ["[1/4]", "[4/4]"]
    assert "\x1b" not in done.stderr + done.stdout


def test_a_budget_ends_a_run(called: Bench, tmp_path: Path) -> None:
    args = ("--baseline", TINY, "--baseline-only", "--repeats", "50", "--budget", "4s")
    done = called(*args, "--set", "pause=0.01")
    assert done.returncode == 0
    assert "the budget is spent after" in done.stderr
    assert 1 <= len(records(only_run(tmp_path))) < 100


@pytest.mark.parametrize("what", ["baselines", "datasets"])
def test_lists_are_one_line_each(called: Bench, what: str) -> None:
    done = called("list", what)
    assert done.returncode == 0, done.stderr
    rows = json.loads(called("list", what, "--json").stdout)
    assert len(done.stdout.strip().splitlines()) == len(rows) > 0


def test_the_list_of_techniques_says_what_applies_here(called: Bench) -> None:
    args = ("list", "techniques", "--baseline", TINY)
    rows = {row["name"]: row for row in json.loads(called(*args, "--json").stdout)}
    fields = {"name", "summary", "effect", "applies", "reason", "rehearsed"}
    assert all(set(row) == fields for row in rows.values())
    assert all(row["applies"] is (row["reason"] is None) for row in rows.values())
    assert rows["mixed-precision"]["applies"] is True
    assert rows["mixed-precision"]["rehearsed"] is False
    assert rows["gradient-checkpointing"]["applies"] is False
    assert "no repeated blocks" in rows["gradient-checkpointing"]["reason"]
    assert "no validation part" in rows["early-stopping"]["reason"]
    done = called(*args)
    assert done.returncode == 0, done.stderr
    *lines, blank, said = done.stdout.strip().splitlines()
    assert (len(lines), blank) == (len(rows), "")
    assert said.startswith("What applies was not rehearsed: its first steps, which every run")


def test_a_technique_s_card_and_settings_are_printed(called: Bench) -> None:
    text = called("list", "techniques", "early-stopping", "--baseline", TINY).stdout
    assert "not rehearsed" not in text
    for word in ("What:", "Helps:", "Hurts:", "Effect:", "Source:", "patience = 10"):
        assert word in text


def test_the_template_is_short_and_never_overwrites(called: Bench, tmp_path: Path) -> None:
    """That it is measured from any folder, the README's commands show."""
    assert called("init", "my_model.py").returncode == 0
    assert len((tmp_path / "my_model.py").read_text().splitlines()) <= 60
    again = called("init", "my_model.py")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_an_exported_recipe_takes_its_files_along_and_verifies(
    called: Bench, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(Path(TINY.rpartition(":")[0]).read_text())
    (tmp_path / "more.py").write_text(Path(FAULTS).read_text().replace("sleep(0.2)", "sleep(0.02)"))
    args = ("--baseline", "mine.py:Tiny", "--combine", "more.py:Slow", "--repeats", "2")
    assert called(*args, "--set", "pause=0.02").returncode == 0  # sleeping takes equally long
    run = only_run(tmp_path)
    exported = json.loads((run / "optimized.json").read_text())
    assert exported["recipe"]["techniques"] == []  # sleeping won nothing: the baseline is exported
    assert sorted(exported["recipe"]["files"]) == ["mine.py"]
    (tmp_path / "mine.py").unlink()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere).mkdir()
    for name in ("optimized.json", "mine.py"):
        (elsewhere / name).write_bytes((run / name).read_bytes())
    done = called("verify", "elsewhere/optimized.json", "--repeats", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("The claim holds: step time ")
    (report,) = (tmp_path / "results").glob("*_verify/report.md")
    assert "an exported recipe, measured again\n\n**The claim holds: " in report.read_text()
    (elsewhere / "mine.py").write_text("changed")
    done = called("verify", "elsewhere/optimized.json")
    assert done.returncode == 2
    assert "is not the file that was measured" in done.stderr


def test_a_claim_ten_times_as_good_fails(called: Bench, exported: Path, tmp_path: Path) -> None:
    """The command answers on one part of a claim; the others are held to the same trials."""
    recipe = json.loads(exported.read_text())
    whole = recipe["claim"]
    recipe["claim"] = ten_times(whole, "time_ratio")
    exported.write_text(json.dumps(recipe))
    done = called("verify", str(exported), "--repeats", "4")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("The claim does not hold: claimed a time ratio of at least ")
    run = reports.read(only_run(tmp_path))
    for part, said in (("memory_ratio", "a memory ratio of"), ("metric", "accuracy of")):
        claim = Claim.model_validate(ten_times(whole, part))
        found = judged(claim, run.comparison, run.trials)
        assert found.answer is Proof.BROKEN
        assert found.problems[0].startswith(f"claimed {said} at least ")


def ten_times(claim: dict[str, Any], part: str) -> dict[str, Any]:
    """Return a claim of which one part is so much better, however busy the machine is."""
    return {**claim, part: [10 * value for value in claim[part]]}


def test_settings_that_the_baseline_can_not_build_are_a_reason_not_the_end(
    called: Bench, tmp_path: Path
) -> None:
    (tmp_path / "more.py").write_text(
        "from bench.technique import Effect, Stage, Technique\n"
        "class Huge(Technique):\n"
        "    name = 'huge-batch'; stage = Stage.DATA; effect = Effect.LEARNING\n"
        "    def configure(self, settings, probe):\n"
        "        return settings.model_copy(update={'batch_size': 10_000})\n"
    )
    args = ("--test", "more.py:Huge", "--repeats", "1", "--epochs", "1", "--dataset", "UnitTest")
    done = called(*args)
    assert done.returncode == 0, done.stderr
    (lost,) = [r for r in records(only_run(tmp_path)) if r["arm"] == "huge-batch"]
    assert lost["status"] == "not_applicable"
    assert "batch_size=10000 is larger than the training part" in lost["reason"]


def test_a_recipe_is_trained_for_real(called: Bench, exported: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    done = called("train", str(exported))
    assert done.returncode == 0, done.stderr
    weights = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert weights["0.weight"].shape == (32, 8)
    training = json.loads((tmp_path / "checkpoint" / "training.json").read_text())
    assert training["epochs"] == 4
    assert training["metrics"][-1]["values"]["accuracy"] > 0.8


def test_a_recipe_is_not_measured_against_another_baseline(called: Bench, exported: Path) -> None:
    done = called("--recipe", str(exported), "--baseline", "timehut")
    assert done.returncode == 2
    assert done.stderr.startswith(f"bench: --baseline timehut is not what {exported} was exported")
    own = json.loads(exported.read_text())["baseline"]["baseline"]
    same = called("--recipe", str(exported), "--baseline", own, "--dry-run", "--repeats", "2")
    assert same.returncode == 0, same.stderr


def test_an_exported_recipe_is_measured_against_its_baseline(called: Bench, exported: Path) -> None:
    done = called("--recipe", str(exported), "--repeats", "2", "--output", "again")
    assert done.returncode == 0, done.stderr


def test_the_gate_passes_a_run_against_itself_and_fails_a_slower_one(
    called: Bench, finished: Path, tmp_path: Path
) -> None:
    rules = ("--fail-on", "time=5%", "memory=10%", "accuracy")
    # A busy machine spreads two short trials too far to tell even a doubled time: theirs are
    # replaced by times as a quiet one gives.
    quiet, slow = (
        with_windows(finished, tmp_path / name, factor)
        for name, factor in (("quiet", 1), ("slow", 2))
    )
    same = called("compare", str(quiet), str(quiet), *rules)
    assert same.returncode != 1, same.stdout  # two pairs can't tell all that is asked
    assert "ok  harmless: time +0.0%" in same.stdout
    worse = called("compare", str(quiet), str(slow), *rules)
    assert worse.returncode == 1, worse.stdout
    assert "FAIL  harmless: time +100.0%" in worse.stdout


def with_windows(run: Path, into: Path, factor: float) -> Path:
    """Copy a run into a new folder, windows about a second long, or so much for harmless."""
    into.mkdir()
    (into / "run.json").write_bytes((run / "run.json").read_bytes())
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        own = factor if line["arm"] == "harmless" else 1
        line["window_seconds"] = line["train_seconds"] = own * (1 + number / 1000)
        if line["peak_rss_bytes"] is not None:
            line["peak_rss_bytes"] = line["base_rss_bytes"] + 50_000_000
    (into / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return into


@pytest.mark.slow
def test_the_doctor_tells_the_machine_s_noise(called: Bench) -> None:
    done = called("doctor")
    assert done.returncode == 0, done.stderr
    for word in ("cpu", "FLOP/s", "GiB/s", "against itself"):
        assert word in done.stdout
