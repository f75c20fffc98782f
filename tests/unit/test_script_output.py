"""The metric in what a script writes: the last number that a pattern is meant to match, whole."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.interception.output import found_in

ACCURACY = r"acc=([\d.]+)"


def found(tmp_path: Path, text: str, pattern: str = ACCURACY) -> float:
    log = tmp_path / "log"
    log.write_text(text)
    return found_in(log, pattern)


@pytest.mark.parametrize(
    ("text", "pattern", "value"),
    [
        ("acc=0.9\nacc=0.95, loss=1", ACCURACY, 0.95),
        ("acc: 97%", r"acc: (\d+)%", 97.0),
        ("ppl=1,234.5", r"ppl=([\d.,]+)", 1234.5),
        ("acc=0.9,0.8", ACCURACY, 0.9),
        ("top=71,90", r"top=(\d+),", 71.0),
        ("acc=97. done", ACCURACY, 97.0),
        ("loss=-0.5", r"loss=-([\d.]+)", 0.5),
        ("top-1 0.5", r"top-1 ([\d.]+)", 0.5),
        ("acc=nan train\nacc=0.5 val\nacc=nan train", r"acc=([\d.]+) val", 0.5),
        ("loss 3.2e-4", r"loss ([\d.e-]+)", 3.2e-4),
    ],
)
def test_the_last_number_counts(tmp_path: Path, text: str, pattern: str, value: float) -> None:
    assert found(tmp_path, text, pattern) == value


@pytest.mark.parametrize("text", ["acc=0.9\nacc=nan", "acc=nan", "acc=0.9\nacc=-Inf"])
def test_a_training_that_diverged_has_not_the_metric_of_an_earlier_epoch(
    tmp_path: Path, text: str
) -> None:
    assert not math.isfinite(found(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "pattern", "said"),
    [
        ("acc=1e-05", ACCURACY, "matches '1' of '1e-05'; let its group take whole numbers"),
        ("acc 0.95", r"acc.*([\d.]+)", "matches '5' of '0.95'"),
        ("acc=12.5", r"acc=(\d+)", "matches '12' of '12.5'"),
        (
            "acc=1,234.5",
            ACCURACY,
            "matches '1' of '1,234.5'; let its group take thousands, ([\\d.,",
        ),
        ("acc=0,93", ACCURACY, "matches '0' of '0,93'; let its group take"),
        ("acc -0.5", r"acc.*?([\d.]+)", "matches '0.5' of '-0.5'"),
        ("acc=0.9\nacc=-0.5", ACCURACY, "does not match '-0.5'"),
        ("nothing", ACCURACY, "never matches what the script writes; its last line is: nothing"),
        ("acc=1.2.3", ACCURACY, "matches '1.2.3', which is no number"),
    ],
)
def test_a_part_of_a_number_is_none(tmp_path: Path, text: str, pattern: str, said: str) -> None:
    with pytest.raises(BenchError) as refusal:
        found(tmp_path, text, pattern)
    assert said in str(refusal.value)
