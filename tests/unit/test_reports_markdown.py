"""Whatever a user or an exception says, the Markdown keeps its shape."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.analysis.attribution import Attribution, Contribution
from bench.analysis.intervals import Interval
from bench.records.measurement import BASELINE, CONTROL, Evaluation, Inference, Measurement, Status
from reports import formatting
from reports.formats.markdown import escape, fence
from reports.run import Run
from tests.golden import made_up
from tests.records import planned

HOSTILE = "a | b\nc `d` *e* <script>x</script> ](y) \x1b[31m # \\"


def test_a_pipe_and_a_line_break_do_not_break_a_table() -> None:
    assert escape("a|b\r\nc") == r"a\|b c"


def test_marks_that_mean_something_are_shown_as_they_are() -> None:
    assert escape("`x` *y* __init__ data_dir") == r"\`x\` \*y\* \_\_init\_\_ data_dir"
    assert escape("<b>") == r"\<b>"
    assert escape("&lt; a < 5 & b") == "&amp;lt; a < 5 & b"


def test_a_decorator_or_a_number_calls_no_account_and_no_issue() -> None:
    said = escape("@torch.compile (see #12, me/it#3): a@b.c, baseline#2, # 5")
    assert said == "@&#8203;torch.compile (see #&#8203;12, me/it#&#8203;3): a@b.c, baseline#2, # 5"


def test_control_characters_are_replaced() -> None:
    assert "\x1b" not in escape("\x1b[31mred")


def test_a_code_block_is_not_ended_by_what_it_holds() -> None:
    assert fence("echo '```'").splitlines()[0] == "````sh"


def test_a_hostile_reason_keeps_every_row_at_its_columns(tmp_path: Path) -> None:
    text = _report(tmp_path, [made_up.lost("bad", 0, Status.FAILED, HOSTILE), *made_up.control(1)])
    rows = [line for line in text.splitlines() if line.startswith("| bad | 0 |")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 6
    assert "<script>" not in text.replace(r"\<script>", "")
    assert "\x1b" not in text


def test_every_table_has_rows_of_one_width(tmp_path: Path) -> None:
    for name, write in made_up.RUNS.items():
        text = reports.render("md", reports.read(write(tmp_path / name)))
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1, block


def test_the_verdict_comes_first(tmp_path: Path) -> None:
    text = reports.render("md", reports.read(made_up.every_verdict(tmp_path / "run")))
    assert text.splitlines()[2].startswith("**mixed-precision makes training steps 1.40× faster")


def test_a_gain_is_named_with_its_cost_and_its_work(tmp_path: Path) -> None:
    text = reports.render("md", reports.read(made_up.searched(tmp_path / "run")))
    assert "at the cost of 1.25× the memory" in text.splitlines()[2]
    assert "it does other mathematics" in text.splitlines()[2]


def test_sections_without_content_are_left_out(tmp_path: Path) -> None:
    text = reports.render("md", reports.read(made_up.baseline_only(tmp_path / "run")))
    for title in ("What was compared", "What failed", "What does not apply", "searched for"):
        assert title not in text


def test_step_trials_are_not_said_to_have_been_trained(tmp_path: Path) -> None:
    step: dict[str, Any] = {"kind": "step", "metric": None, "metrics": (), "effect": "exact"}
    pairs = made_up.pairs("memo", lambda n: made_up.trial("memo", n, 1.2, **step), **step)
    text = _report(tmp_path, [*pairs, *made_up.control(6, **step)])
    assert "memo makes training steps 1.200× faster" in text
    assert "with the same losses bit for bit over 22 steps; it does the same work" in text
    assert "| not run to the end |" in text
    alone = reports.read(made_up.write(tmp_path / "b", made_up.header(), made_up.control(**step)))
    assert "A step of timehut takes 25.0 ms" in _md(alone)


def test_what_a_deployed_model_gains_is_said(tmp_path: Path) -> None:
    small: dict[str, Any] = {
        "effect": "model", "work": "other mathematics", "model_bytes": 637_248,
        "inference": (Inference(items=1, seconds=(0.0014,)), Inference(items=32, seconds=(0.001,))),
        "forward_flops_per_item": None,
    }  # fmt: skip
    pairs = made_up.pairs("int8", lambda n: made_up.trial("int8", n, **small))
    text = _report(tmp_path, [*pairs, *made_up.control(6)])
    gains = r"answers 2\.00+× faster \[[^]]+\] and deploys a file 4\.00× smaller"
    assert re.search(rf"\*\*int8 {gains}, with accuracy", text)
    (latency,) = re.findall(r"^\| int8 \|.*1.40 ms.*$", text, re.MULTILINE)
    assert latency == "| int8 | 622 KiB | 4.00× | unknown | 1.40 ms | 2.00× |"


def test_inference_of_a_model_that_had_run_before_is_a_warning(tmp_path: Path) -> None:
    warm: dict[str, Any] = {"inference": (Inference(items=1, seconds=(0.001,), fresh=False),)}
    pairs = made_up.pairs("locked", lambda n: made_up.trial("locked", n, **warm))
    assert "The model of locked can't be copied" in _report(tmp_path, [*pairs, *made_up.control(6)])


def test_a_run_of_nothing_still_has_a_report(tmp_path: Path) -> None:
    text = _report(tmp_path, [])
    assert "nothing is known of it" in text
    assert "not finished: 0 of 6 pairs" in text


def test_a_baseline_that_always_fails_is_said_to(tmp_path: Path) -> None:
    broken = [made_up.lost(arm, n, Status.DIVERGED, "NaN") for n in range(6)
              for arm in (BASELINE, CONTROL)]  # fmt: skip
    text = _report(tmp_path, broken)
    assert "No trial of timehut succeeded (diverged: NaN), so nothing is known of it." in text
    assert "no trial of baseline succeeded" in text
    assert text.count("| diverged | NaN |") == 12


def test_a_claim_that_holds_stands_beside_what_was_measured(tmp_path: Path) -> None:
    run = reports.read(made_up.verified(tmp_path / "run"))
    claim = run.header.claim
    assert claim is not None
    lower = claim.model_copy(update={"memory_ratio": (1.0, 1.01, 1.02)})
    run = replace(run, header=run.header.model_copy(update={"claim": lower}))
    text = reports.render("md", run)
    assert "(claimed at least 1.36×), memory 0.999×" in text
    assert "and accuracy 0.9805 [0.9793, 0.9817] (claimed at least 0.9770).**" in text
    assert "wider than those by which the claim is" in text
    assert json.loads(reports.render("json", run))["claim"]["holds"] is True


def test_a_claim_is_judged_once_the_run_is_finished(tmp_path: Path) -> None:
    run = reports.read(made_up.verified(tmp_path / "run"))
    run = replace(run, trials=run.trials[:6])
    assert "**The claim is not judged yet.**" in reports.render("md", run)
    found = json.loads(reports.render("json", run))["claim"]
    assert (found["holds"], found["problems"]) == (None, [])


def test_a_baseline_that_differs_from_itself_is_a_warning(tmp_path: Path) -> None:
    unequal = made_up.pairs(CONTROL, lambda n: made_up.trial(CONTROL, n, 1.3))
    text = _report(tmp_path, unequal)
    assert "The baseline differs from itself" in text
    assert "Wall and CPU time disagree" not in text


def test_a_busy_machine_is_a_warning(tmp_path: Path) -> None:
    text = _report(tmp_path, made_up.control(load_average=7.0, cpu_pressure=0.4))
    assert "a CPU during 40 % of a trial and the load average was 7.0 on 2 cores" in text


def test_a_wall_clock_that_disagrees_with_cpu_time_is_a_warning(tmp_path: Path) -> None:
    trials = made_up.control()
    slow = trials[0].model_copy(update={"window_seconds": 9.0})
    assert "Wall and CPU time disagree" in _report(tmp_path, [slow, *trials[1:]])


def test_cuda_memory_has_columns_of_its_own(tmp_path: Path) -> None:
    card = {"peak_allocated_bytes": 2 * 1024**3, "peak_reserved_bytes": 3 * 1024**3}
    text = _report(tmp_path, made_up.control(**card))
    assert "| arm | peak allocated (CUDA) | peak reserved (CUDA) |" in text
    assert "| baseline | 2.00 GiB | 3.00 GiB |" in text


def test_commands_name_the_folder_that_the_run_was_asked_to_use(tmp_path: Path) -> None:
    command: tuple[str, ...] = ("bench", "--baseline-only", "--output", "my runs")
    head = made_up.header("baseline-only", command=command)
    run = reports.read(made_up.write(tmp_path / "run", head, made_up.control(count=1)))
    assert "bench --resume 'my runs/2026-11-20T12-00-00Z_timehut_baseline-only'" in _md(run)
    head = made_up.header("baseline-only", command=("bench", "audit", "mine", "--output", "own"))
    place = tmp_path / "an_audit" / "mine" / "run"
    run = reports.read(made_up.write(place, head, made_up.control(count=1)))
    deeper = "own/an_audit/mine/2026-11-20T12-00-00Z_timehut_baseline-only"
    assert f"bench --resume {deeper}" in _md(run)
    command = ("bench", "script", "t.py", "--", "--output", "own")
    head = made_up.header("baseline-only", command=command)
    run = reports.read(made_up.write(tmp_path / "script", head, made_up.control(count=1)))
    assert "bench --resume results/2026-11-20T12-00-00Z_timehut_baseline-only" in _md(run)


def test_a_run_that_goes_on_does_not_say_that_nothing_beats_the_baseline(tmp_path: Path) -> None:
    path = made_up.interrupted(tmp_path / "run")
    (path / "optimized.json").write_text("{}")
    assert "(the baseline: nothing is shown to beat it yet)" in _md(reports.read(path))


def test_a_run_without_a_command_gets_one_that_asks_for_the_same(tmp_path: Path) -> None:
    head = made_up.header("test", ("compile",), command=())
    run = reports.read(made_up.write(tmp_path / "run", head, []))
    expected = "bench --test compile --baseline timehut --set dataset=Chinatown epochs=50"
    assert expected in _md(run)


def _report(tmp_path: Path, trials: list[Measurement]) -> str:
    head = made_up.header().model_copy(update={"arms": planned(trials)})
    return _md(reports.read(made_up.write(tmp_path / "run", head, trials)))


def _md(run: reports.Run) -> str:
    return reports.render("md", run)


def test_what_was_seen_stands_beside_the_epochs_and_metrics_beside_the_judged_one(
    tmp_path: Path,
) -> None:
    last = Evaluation(
        epoch=3, step=150, train_seconds=9.0, values={"accuracy": 0.9, "recall": 0.81234}
    )
    facts: dict[str, Any] = {"epochs": 3, "items_seen": 9600, "metrics": (last,)}
    trials = [made_up.trial(arm, 0, **facts) for arm in (BASELINE, CONTROL)]
    text = _report(tmp_path, trials)
    assert "| arm | epochs | series seen | recall |" in text
    assert "| baseline | 3 | 9,600 | 0.8123 |" in text


def test_the_other_metrics_of_a_candidate_have_a_paired_difference(tmp_path: Path) -> None:
    def facts(pair: int, recall: float) -> dict[str, Any]:
        values = {"accuracy": 0.9, "recall": recall + 0.01 * pair}
        last = Evaluation(epoch=3, step=150, train_seconds=9.0, values=values)
        return {"epochs": 3, "items_seen": 9600, "metrics": (last,)}

    trials = [
        made_up.trial(arm, pair, **facts(pair, recall))
        for pair in range(3)
        for arm, recall in ((BASELINE, 0.5), (CONTROL, 0.5), ("ema", 0.6))
    ]
    text = _report(tmp_path, trials)
    assert "| ema | 3 | 9,600 | 0.6100, +0.1000 (equal in all) |" in text


def test_noise_that_hides_tenfold_effects_is_said_in_words(tmp_path: Path) -> None:
    trials = [
        made_up.trial(arm, pair, gain=gain)
        for pair, wild in enumerate((9.0, 0.1, 9.0, 0.1, 9.0, 0.1))
        for arm, gain in ((BASELINE, 1.0), (CONTROL, wild))
    ]
    text = _report(tmp_path, trials)
    assert "Not even a tenfold effect on time would have shown" in text
    assert "smallest effect that shows: **more than tenfold**" in text


def test_a_sequential_run_says_what_is_open_and_among_how_many_arms(tmp_path: Path) -> None:
    wobble = (0.8, 1.9, 1.1, 0.7, 1.6)

    def noisy(pair: int) -> Measurement:
        return made_up.trial("early-stopping", pair, wobble[pair])

    head = made_up.header(
        "test", ("early-stopping", "compile"), first=4, repeats=30, raced={"test": 2}
    )
    trials = [
        *made_up.pairs("early-stopping", noisy, 0, 5),
        *made_up.pairs("compile", lambda n: made_up.trial("compile", n), 10, 5),
        *made_up.control(20, 5),
    ]  # fmt: skip
    text = _md(reports.read(made_up.write(tmp_path / "run", head, trials)))
    assert "2 arms raced: any false win in at most 5 % of such runs; still open: early" in text
    assert "**This run is not finished: early-stopping is open. bench --resume " in text
    assert "| compile | no gain |" in text


def test_no_arm_is_said_to_have_raced_where_none_applies(tmp_path: Path) -> None:
    refused = made_up.lost("compile", -1, Status.NOT_APPLICABLE, "no step calls it")
    text = _report(tmp_path, [refused, *made_up.control(2)])
    assert "no step calls it" in text
    assert "raced" not in text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.98, 1.06, "adds nothing measurable to time: 1.02× [0.98, 1.06]"),
        (0.88, 0.94, "costs time: 0.91× [0.88, 0.94]"),
        (1.01, 1.06, None),
    ],
)
def test_the_answer_names_a_part_of_the_recipe_that_is_not_shown_to_help(
    tmp_path: Path, low: float, high: float, said: str | None
) -> None:
    run = reports.read(made_up.searched(tmp_path / "run"))
    found = run.comparison.attribution
    assert found is not None
    ratio = Interval(low, math.sqrt(low * high), high)
    parts = (found.contributions[0], Contribution("mixed-precision", ratio))
    told = replace_in(run, found.model_copy(update={"contributions": parts}))
    head = reports.render("md", told).partition("## ")[0]
    line = f"- mixed-precision: **{said}** (the recipe without it is not confirmed in fresh pairs)"
    assert (line in head) is (said is not None)
    assert ("- mixed-precision" in head) is (said is not None)


def test_the_product_of_what_parts_add_is_told_from_what_fresh_pairs_give(tmp_path: Path) -> None:
    run = reports.read(made_up.searched(tmp_path / "run"))
    assert run.winner is not None
    fresh = formatting.ratio_with_interval(run.winner.time_ratio)
    for text in (reports.render("md", run), reports.render("html", run)):
        assert "what the whole gains in the trials that measured its" in text
        assert f"The fresh pairs that judge the whole give {fresh}." in text
    assert "together, in these trials: " in reports.render("html", run)


def replace_in(run: Run, found: Attribution) -> Run:
    return replace(run, comparison=run.comparison.model_copy(update={"attribution": found}))


def test_where_items_are_unknown_rates_are_of_steps(tmp_path: Path) -> None:
    why = {"items": "no DataLoader gives them"}
    trials = [made_up.trial(BASELINE, 0, inference=(), unknown=facts) for facts in ({}, why)]
    known, unknown = (_report(tmp_path / str(n), [one]) for n, one in enumerate(trials))
    assert "series/s" in known
    assert "steps/s" not in known
    assert "steps/s" in unknown
    assert "series/s" not in unknown
    assert "Unknown of baseline: items (no DataLoader gives them)." in unknown
