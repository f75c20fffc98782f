"""Numbers become words with units, and are rounded here alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import reports
from bench.analysis.intervals import Interval
from bench.data_card import DataCard
from reports import context_tables, formatting, sentences, warnings
from reports.charts.names import shortened
from tests.golden import made_up


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"), (0.0, "0 µs"), (1.234e-5, "12.3 µs"), (0.0456, "45.6 ms"),
        (1.0, "1.00 s"), (119.0, "119 s"), (120.0, "2.00 min"), (9000.0, "2.50 h"),
    ],
)  # fmt: skip
def test_seconds_take_the_unit_that_fits(value: float | None, text: str) -> None:
    assert formatting.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"), (0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"),
        (3 * 1024**2, "3.00 MiB"), (2048 * 1024**3, "2,048 GiB"), (-1024**2, "−1.00 MiB"),
    ],
)  # fmt: skip
def test_bytes_are_powers_of_1024(value: float | None, text: str) -> None:
    assert formatting.size(value) == text


def test_a_count_of_operations_is_never_written_as_a_rate() -> None:
    assert formatting.flops(542e6) == "542 MFLOPs"
    assert formatting.flops(1.5e13) == "15.0 TFLOPs"
    assert formatting.flops(None) == "unknown"


def test_a_ratio_shows_its_interval() -> None:
    assert formatting.ratio_with_interval(Interval(1.18, 1.234, 1.28)) == "1.23× [1.18, 1.28]"


def test_a_narrow_interval_gets_a_third_decimal() -> None:
    assert formatting.ratio_with_interval(Interval(0.997, 1.001, 1.005)) == "1.001× [0.997, 1.005]"


def test_one_pair_says_that_it_has_no_interval() -> None:
    assert formatting.ratio_with_interval(Interval(None, 1.2, None)) == "1.20× (no interval)"
    assert (
        formatting.difference_with_interval(Interval(None, -0.01, None)) == "−0.0100 (no interval)"
    )


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    assert formatting.ratio_with_interval(None) == "unknown"
    assert formatting.metric_with_interval(None) == "unknown"
    assert formatting.difference_with_interval(None) == "unknown"
    assert formatting.ratio(None) == formatting.percent(None) == formatting.count(None) == "unknown"


def test_a_difference_carries_its_sign_unless_it_rounds_to_nothing() -> None:
    found = formatting.difference_with_interval(Interval(-0.004, -0.00001, 0.002))
    assert found == "0.0000 [−0.0040, +0.0020]"


def test_a_small_share_is_not_shown_as_none() -> None:
    assert formatting.percent(0.0002) == "< 0.1 %"
    assert formatting.percent(0.081) == "8.1 %"
    assert formatting.percent(1.0) == "100 %"


def test_extreme_ratios_stay_readable() -> None:
    assert formatting.ratio(123.4) == "123×"
    assert formatting.ratio(0.0123) == "0.0123×"


def test_words_are_listed_with_an_and() -> None:
    assert formatting.listing(["a"]) == "a"
    assert formatting.listing(["a", "b", "c"]) == "a, b and c"


def test_numbers_agree_with_their_nouns() -> None:
    assert formatting.number(1, "pair") == "1 pair"
    assert formatting.number(1200, "step") == "1,200 steps"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"), (1e-17, "0.0000"), (3.03e-5, "3.03e-05"), (0.0123, "0.0123"),
        (-0.5, "-0.5000"), (19_003.4, "19,003"), (123.456, "123.5"),
    ],
)  # fmt: skip
def test_a_metric_shows_what_it_is_however_small_or_large(value: float, text: str) -> None:
    assert formatting.metric(value) == text


def test_differences_of_a_small_metric_are_told_and_those_of_rounding_are_not() -> None:
    show = formatting.difference_with_interval
    assert show(Interval(-4e-6, 1e-6, 6e-6)) == "+1e-06 [−4e-06, +6e-06]"
    assert show(Interval(-2e-6, 1e-17, 2e-6)) == "0.0000 [−2e-06, +2e-06]"
    assert show(Interval(-0.0004, 1e-17, 0.00004)) == "0.0000 [−0.0004, 0.0000]"
    assert show(Interval(-40.0, 12_345.6, 90_000.0)) == "+12,346 [−40, +90,000]"


def test_a_little_energy_is_not_none() -> None:
    assert [formatting.energy(joules) for joules in (0.0, 0.31, 42.0, 12_000.0)] == [
        "0 J", "0.310 J", "42.0 J", "12,000 J",
    ]  # fmt: skip


def test_a_stream_s_part_is_of_unknown_size_and_not_of_none() -> None:
    rows = dict(context_tables._data_rows(DataCard("stream", "0" * 64, 0, 8)))
    assert (rows["training part"], rows["test part"]) == ("unknown", "8 items")


def test_a_sequential_run_says_how_many_pairs_an_arm_may_have(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"first": 4, "repeats": 30}
    both = "1 to 6 to screen it, 4 to 30 to confirm it"
    for screening, said in ((None, "4 to 30"), ((1, 6), both)):
        mode = "full-optimization" if screening else "test"
        head = made_up.header(mode, ("a",), screening=screening, **facts)
        run = reports.read(made_up.write(tmp_path / mode, head, made_up.control()))
        table = context_tables.environment(run)
        assert table is not None
        assert ("pairs for each arm", said) in table.rows
        misses = "the screening before, in 6 pairs at most, misses more."
        assert (misses in " ".join(sentences.noise(run))) is bool(screening)


def test_both_ends_of_a_long_name_are_kept() -> None:
    found = shortened("scale-model+limit-steps+sequence-reduction", 27)
    assert found == "scale-model+l…nce-reduction"
    assert shortened("scale-model", 27) == "scale-model"


def test_a_training_that_every_seed_repeats_is_warned_of(tmp_path: Path) -> None:
    same: dict[str, Any] = {"metric": 0.75}
    for name, facts, count in (("same", same, 1), ("own", {}, 0)):
        trials = made_up.pairs("quick", lambda n: made_up.trial("quick", n), 5, **facts)
        head = made_up.header("test", ("quick",))
        run = reports.read(made_up.write(tmp_path / name, head, trials))
        said = [text for text in warnings.warnings(run) if text.startswith("Every seed gives the")]
        assert len(said) == count


def test_a_metric_that_no_seed_moves_is_doubted(tmp_path: Path) -> None:
    stuck = made_up.pairs("stuck", lambda n: made_up.trial("stuck", n, metric=0.75), 5)
    moving = made_up.pairs("stuck", lambda n: made_up.trial("stuck", n), 5)
    for name, trials, count in (("all", stuck, 1), ("few", stuck[:6], 0), ("moving", moving, 0)):
        head = made_up.header("test", ("stuck",))
        run = reports.read(made_up.write(tmp_path / name, head, trials))
        said = [text for text in warnings.warnings(run) if "seeds: so does a model" in text]
        assert len(said) == count
        assert all(text.startswith("stuck reaches accuracy 0.75") for text in said)
