"""Charts lie where the figures say, stay within their place, and hold text that acts on nothing."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import pytest

import reports
from bench.analysis.curves import Curves, curves_of
from bench.analysis.front import front
from bench.analysis.metric import target_of
from bench.analysis.noise import Noise, noise_of
from bench.analysis.pairs import pairs_of
from bench.analysis.points import points
from bench.analysis.verdict import Verdict
from bench.records.header import Arm
from bench.records.measurement import CONTROL, Evaluation, Measurement, Status
from reports import sentences
from reports.charts import marks
from reports.charts.scale import Scale, linear_scale, ratio_scale, ratio_ticks, signed, ticks
from reports.commands import commands
from reports.page.forest import forest_of
from reports.undone import goes_on, unfinished
from reports.view import rows
from reports.view.next_step import next_step
from reports.view.open_arms import as_asked, asking, buying, open_arms
from reports.view.whole import view_of
from tests.golden import made_up
from tests.records import header, paired, recipe


def test_a_log_scale_puts_equal_factors_at_equal_distances() -> None:
    scale = Scale(0.5, 2.0, log=True)
    assert [scale.share(value) for value in (0.5, 1.0, 2.0)] == pytest.approx([0, 0.5, 1])
    assert (scale.share(0.001), scale.share(1e9)) == (0.0, 1.0)


def test_noise_beyond_the_middles_widens_a_scale_by_no_more_than_a_factor() -> None:
    scale = ratio_scale([0.9, 1.2], [1e-9, 1e9])
    assert (scale.low, scale.high) == pytest.approx((0.9 / 4 / 1.05, 1.2 * 4 * 1.05))


@pytest.mark.parametrize("ends", [(0.99, 1.01), (0.3, 1.2), (1.0, 40.0), (0.01, 90.0)])
def test_labels_of_ratios_hold_1_and_lie_apart(ends: tuple[float, float]) -> None:
    scale = ratio_scale(ends, ends)
    found = [scale.share(value) for value, _ in ratio_ticks(scale)]
    assert (1.0, "1×") in ratio_ticks(scale)
    assert len(found) >= 2
    assert all(b - a >= 0.17 for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("values", [[0.0], [-0.01, 0.002], [5.0, 5.0], [0.0, 3e9], [1e-7, 2e-7]])
def test_labels_of_values_are_a_few_round_ones(values: list[float]) -> None:
    scale = linear_scale(values)
    found = ticks(scale, signed)
    assert 2 <= len(found) <= 7
    assert all(scale.holds(value) for value, _ in found)


def test_a_text_in_a_chart_is_no_markup() -> None:
    assert marks.label(1, 2, '<script>"\x1b') == (
        '<text x="1" y="2" class="tick" text-anchor="middle">&lt;script&gt;&quot;\ufffd</text>'
    )


def test_an_arm_that_another_beats_in_both_is_not_on_the_front() -> None:
    found = {"a": (2.0, -0.1), "b": (1.5, 0.0), "c": (1.4, -0.05), "baseline": (1.0, 0.0)}
    assert front(found) == ["a", "b"]


def test_single_pairs_are_those_that_the_interval_is_of() -> None:
    trials = made_up.pairs("fast", lambda n: made_up.trial("fast", n, 2.0, 0.5, 0.01), count=3)
    run = made_up.header()
    found = points(pairs_of(trials, "fast"), "step", target_of(run))
    assert [point.pair for point in found] == [0, 1, 2]
    assert [point.time for point in found] == pytest.approx([2.0] * 3, rel=0.02)
    assert [point.memory for point in found] == pytest.approx([0.5] * 3, rel=0.02)
    assert [point.gain for point in found] == pytest.approx([-0.01] * 3, abs=2e-3)


def test_a_curve_is_the_mean_of_trainings_within_their_range() -> None:
    def went(pair: int, offset: float) -> Measurement:
        values = [Evaluation(epoch=e, step=10 * e, train_seconds=e, values={"accuracy": e + offset})
                  for e in (1, 2, 3)]  # fmt: skip
        return made_up.trial("a", pair, metrics=tuple(values), losses=(3.0, 2.0, 1.0))

    found = curves_of("a", [went(0, -0.5), went(1, 0.5)], "accuracy")
    assert found is not None
    metric = found.metric["steps"]
    assert metric.at == (10.0, 20.0, 30.0)
    assert (metric.low, metric.mean, metric.high) == ((0.5, 1.5, 2.5), (1, 2, 3), (1.5, 2.5, 3.5))
    assert found.metric["seconds"].at == (1.0, 2.0, 3.0)
    assert found.loss["steps"].mean == (3.0, 2.0, 1.0)


def test_a_curve_by_items_is_of_the_items_that_were_recorded() -> None:
    values = [Evaluation(epoch=e, step=2 * e, train_seconds=e, values={"accuracy": e}, items=n)
              for e, n in ((1, 16), (2, 28))]  # fmt: skip
    trial = made_up.trial("a", 0, metrics=tuple(values), losses=(4.0, 3.0, 2.0, 1.0), items_seen=28)
    found = curves_of("a", [trial], "accuracy")
    assert found is not None
    assert found.metric["items"].at == (16.0, 28.0)
    loss = found.loss["items"]
    assert (loss.at[0], loss.at[-1], loss.mean[0], loss.mean[-1]) == (8.0, 28.0, 4.0, 1.0)
    assert "items" not in found_of_unrecorded().loss


def found_of_unrecorded() -> Curves:
    found = curves_of("a", [made_up.trial("a", 0)], "accuracy")
    assert found is not None
    return found


def test_a_curve_ends_where_half_of_the_trainings_have_ended() -> None:
    trials = [made_up.trial("a", n, losses=(1.0,) * steps) for n, steps in enumerate((4, 8, 8))]
    found = curves_of("a", trials, "accuracy")
    assert found is not None
    assert found.loss["steps"].at[-1] == 8.0


def test_the_forest_marks_where_the_interval_lies(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    view = view_of(run)
    forest = forest_of(run, view)
    panel, row = forest.panels["time"], view.rows[0]
    assert panel is not None
    assert row.time is not None
    chart = forest.chart(row, "time")
    (whisker,) = re.findall(r'<line x1="([\d.]+)%" y1="11" x2="([\d.]+)%"', chart)
    ends = [100 * panel.scale.share(end) for end in (row.time.low or 0, row.time.high or 0)]
    assert [float(place) for place in whisker] == pytest.approx(ends, abs=0.01)
    assert chart.count("<circle") == row.pairs
    quality = forest.panels["quality"]
    assert quality is not None
    assert quality.limit == -run.comparison.margin


def test_where_lower_is_better_a_fall_lies_to_the_right(tmp_path: Path) -> None:
    trials = made_up.pairs("good", lambda n: made_up.trial("good", n, lost=0.05))
    head = made_up.header(arms=("good",), metric_direction="lower", target=None)
    run = reports.read(made_up.write(tmp_path / "run", head, [*trials, *made_up.control(6)]))
    (row,) = view_of(run).rows
    assert row.quality is not None
    assert row.quality.middle == pytest.approx(0.05, abs=1e-3)
    assert row.quality.text.startswith("−0.05")
    assert all(point > 0 for point in row.quality.points)


def test_pictures_for_light_and_dark_are_whole_files(tmp_path: Path) -> None:
    run = reports.read(made_up.every_verdict(tmp_path / "run"))
    assert reports.write_pictures(run, tmp_path / "plots")
    for theme in ("light", "dark"):
        picture = Tree.fromstring((tmp_path / "plots" / f"forest-{theme}.svg").read_text())
        words = {element.text for element in picture.iter() if element.tag.endswith("text")}
        assert {"mixed-precision", "1.40× [1.38, 1.42]", "accuracy loss"} <= words


def test_a_machine_that_differs_from_itself_is_the_headline(tmp_path: Path) -> None:
    unequal = made_up.pairs(CONTROL, lambda n: made_up.trial(CONTROL, n, 1.3), 6)
    fast = made_up.pairs("fast", lambda n: made_up.trial("fast", n, 1.4))
    head = made_up.header(arms=("fast",))
    run = reports.read(made_up.write(tmp_path / "run", head, [*fast, *unequal]))
    assert noise_of(run.comparison) is Noise.UNEQUAL
    found = view_of(run).answer
    assert (found.badge, found.doubtful) == ("machine too noisy", True)
    assert found.headline.startswith("This machine was too noisy: the baseline against itself")


def test_what_is_undecided_is_bought_by_one_command(tmp_path: Path) -> None:
    wobble: tuple[float, ...] = (1.1, 1.5, 1.0, 1.3, 1.2, 1.05)
    less: dict[str, Any] = {"work": "less work", "effect": "learning"}
    trials = made_up.pairs("early", lambda n: made_up.trial("early", n, wobble[n], **less))
    head = made_up.header("test", ("early", "b"), command=("bench", "--test", "early", "b",
                          "--epochs", "3", "--repeats", "6", "--threads=2"))  # fmt: skip
    gone = made_up.lost("b", -1, Status.NOT_APPLICABLE, "no")
    run = reports.read(made_up.write(tmp_path / "run", head, [*trials, gone, *made_up.control(6)]))
    (one,) = found = open_arms(run)
    assert one.pairs is not None
    bought = buying(run, found)
    assert bought is not None
    assert bought[0] == "bench --test early --epochs 3 --threads=2"
    assert bought[1] == pytest.approx((6 + one.pairs) * (one.seconds or 0) / one.pairs)


def test_a_varied_script_s_winner_is_combined_as_it_was_asked_for(tmp_path: Path) -> None:
    given = "script-arguments:add=--batch-size 32"
    head = made_up.header("test", (given,), command=("bench", "script", "t.py", "--vary",
                          "--batch-size 32", "--metric", "acc", "--", "--epochs", "2"))  # fmt: skip
    run = reports.read(made_up.write(tmp_path / "run", head, made_up.control(6)))
    assert asking(run, "--combine", as_asked(run, "script-arguments")) == (
        f"bench script t.py --metric acc --combine '{given}' -- --epochs 2"
    )


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("script --repeats 3 train.py --test a", "script train.py"),
        ("script --quiet train.py --repeats=3 --test a b --seed 1", "script train.py --seed 1"),
        ("run --test a b --epochs 3", "--epochs 3"),
        ("--test=a --budget 5m --device cpu", "--device cpu"),
    ],
)
def test_a_suggested_command_keeps_all_but_the_arms_and_how_long(
    typed: str, kept: str, tmp_path: Path
) -> None:
    head = made_up.header("test", ("a",), command=("bench", *typed.split()))
    run = reports.read(made_up.write(tmp_path / "run", head, made_up.control(6)))
    before, script, after = kept.partition("script ")
    expected = f"{script}{after} --combine a" if script else f"--combine a {before}"
    assert asking(run, "--combine", "a") == f"bench {expected}"


def test_a_technique_of_one_s_own_is_suggested_as_it_was_typed(tmp_path: Path) -> None:
    typed = [f"own/clip.py:ClipGradients:norm={norm}" for norm in ("0.5", "2")]
    arms = tuple(Arm(techniques=(text.removeprefix("own/"),)) for text in typed)
    head = header(arms=arms, command=("bench", "--test", *typed))
    trials = []
    for first, norm in ((0, 0.5), (100, 2.0)):
        use = {"name": "clip.py:ClipGradients", "settings": {"norm": norm}}
        files = {"clip.py": "0" * 64}
        own = {**recipe().model_dump(mode="json"), "techniques": [use], "files": files}
        trials += paired(f"clip-gradients:norm={norm:g}", first=first, recipe=own)
    run = reports.made(tmp_path, head, trials, ())
    assert [as_asked(run, f"clip-gradients:norm={norm}") for norm in ("0.5", "2")] == typed


def test_a_search_that_has_confirmed_its_choice_is_not_said_to_go_on(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "mode": "full-optimization", "first": 4, "repeats": 30, "screening": (1, 6),
        "budget_seconds": 600.0, "arms": tuple(Arm(techniques=(name,)) for name in "ab"),
    }  # fmt: skip
    trials = paired("a", [1.5]) + paired("b", [1.02], losses=(), first=100)
    screening = reports.made(tmp_path, header(**facts, raced={"test": 2}), trials, ())
    assert goes_on(screening)
    assert next_step(screening) == ("go on", f"bench --resume {screening.folder}")
    kept = [0.001, -0.001, 0.002, 0.0]
    trials += paired("a", [1.48, 1.5, 1.52, 1.49], losses_of_metric=kept, first=200,
                     stage="confirm", baseline={"stage": "confirm"})  # fmt: skip
    head = header(**facts, raced={"test": 2, "confirm": 1})
    run = reports.made(tmp_path, head, trials, ())
    assert "b is open; its budget was" in str(unfinished(run))
    assert not goes_on(run)
    assert not any("--resume" in command for _, command in commands(run))
    assert next_step(run) is None


def test_what_won_is_exported_alone_whatever_else_won(tmp_path: Path) -> None:
    head = header(first=4, repeats=30, command=("bench", "--test", "a", "b"),
                  arms=tuple(Arm(techniques=(name,)) for name in ("a", "b")))  # fmt: skip
    kept = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0)
    gains = {"a": (1.48, 1.5, 1.52, 1.49, 1.51, 1.5), "b": (1.98, 2.0, 2.02, 1.99, 2.01, 2.0)}
    trials = paired(CONTROL, first=900)
    for first, (arm, own) in zip((0, 100), gains.items(), strict=True):
        trials += paired(arm, own, losses_of_metric=kept, first=first)
    run = reports.made(tmp_path, head, trials, ())
    assert next_step(run) == ("export it as a recipe", "bench --combine b")
    audit = head.model_copy(update={"command": ("bench", "audit", "timehut")})
    assert next_step(reports.made(tmp_path, audit, trials, ())) is None


def test_processes_that_won_are_offered_once(tmp_path: Path) -> None:
    text = "data-parallel:processes=2"
    head = made_up.header("test", (text,), command=("bench", "--processes", "2"))
    run = reports.read(made_up.write(tmp_path / "run", head, made_up.control(6)))
    asked = asking(run, "--combine", as_asked(run, "data-parallel"))
    assert asked == f"bench --combine {text}"


def test_a_module_that_is_run_as_a_script_stays_in_the_commands(tmp_path: Path) -> None:
    words = ("bench", "script", "--test", "a", "-m", "pkg.train", "--", "--output", "own")
    head = made_up.header("test", ("a",), command=words)
    run = reports.read(made_up.write(tmp_path / "run", head, made_up.control(6)))
    assert asking(run, "--combine", "a") == (
        "bench script -m pkg.train --combine a -- --output own"
    )


def test_noise_in_time_says_nothing_of_a_run_after_memory(tmp_path: Path) -> None:
    wobble: tuple[float, ...] = (0.5, 1.9, 1.1, 0.6, 1.7, 0.9)
    equal = made_up.pairs(CONTROL, lambda n: made_up.trial(CONTROL, n, wobble[n % 6]), 6)
    arm = made_up.pairs("a", lambda n: made_up.trial("a", n, wobble[n]))
    head = made_up.header("test", ("a",), objectives=("memory",))
    run = reports.read(made_up.write(tmp_path / "run", head, [*arm, *equal]))
    assert run.comparison.smallest_visible_effect is None
    assert not view_of(run).answer.headline.startswith("This machine was too noisy")
    assert "No gain in time is looked for." in sentences.noise(run)
    assert "in time, in which no gain counts" in reports.summary(run)


def test_every_verdict_has_its_place_and_its_tone() -> None:
    assert set(reports.run.ORDER) == set(rows.TONES) == set(Verdict)
