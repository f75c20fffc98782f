"""The table of objectives: which count, and what levels follow from their number."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.analysis.objectives import BY_NAME, counting, told
from bench.records.measurement import Inference, Measurement
from tests.records import measurement


def names(effect: str, measured: Measurement) -> list[str]:
    return [one.name for one in counting(effect) if told(one, [measured])]


def test_training_costs_count_for_every_effect_and_deployed_ones_for_another_model() -> None:
    whole = measurement(
        "baseline", 0, model_bytes=4000, inference=(Inference(items=1, seconds=(0.1,)),)
    )
    assert names("exact", whole) == ["time", "memory"]
    assert names("model", whole) == ["time", "memory", "inference time", "file size"]


def test_energy_counts_where_the_hardware_counts_it() -> None:
    counted = measurement("baseline", 0, energy_joules=12.0, items_seen=6)
    assert names("learning", counted) == ["time", "memory", "energy"]
    assert BY_NAME["energy"].of_step(counted) == 2.0
    assert BY_NAME["energy"].of_training(counted) == 12.0


def test_what_deploys_the_trained_model_answers_as_the_baseline_does() -> None:
    latency = BY_NAME["inference time"].log_ratio("step")
    timed: dict[str, Any] = {"inference": (Inference(items=1, seconds=(0.1,)),)}
    slower: dict[str, Any] = {"inference": (Inference(items=1, seconds=(0.2,)),)}
    baseline = measurement(**timed)
    assert latency(baseline, measurement("quick")) == 0.0
    assert latency(baseline, measurement("quick", **slower)) == 0.0
    assert latency(baseline, measurement("slim", effect="model")) is None
    found = latency(baseline, measurement("slim", effect="model", **slower))
    assert found == pytest.approx(-math.log(2))


def test_settings_that_change_the_model_are_told_by_its_file() -> None:
    size = BY_NAME["file size"]
    small, large = measurement(model_bytes=1000), measurement("wide", model_bytes=4000)
    assert not size.is_shared(small, large)
    found = size.log_ratio("training")(small, large)
    assert found == pytest.approx(-math.log(4))
    assert size.is_shared(small, measurement("same", model_bytes=1001))
    assert size.is_shared(small, measurement("unknown"))
