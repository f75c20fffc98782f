"""adaptive-batch against a machine made up: how fast each size is, and which sizes fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.baseline import Settings
from bench.errors import NotApplicable
from bench.recipes import registry
from bench.records.measurement import Measurement, Status
from optimizers.adaptive_batch import GIB, AdaptiveBatch
from tests.records import failed, measurement


class Sized(Settings):
    """Settings with a batch."""

    batch_size: int = 8
    lr: float = 0.1


class WithoutBatch(Settings):
    """Settings of a baseline that has none."""


class WithoutRate(Settings):
    """Settings whose learning rate has another name."""

    batch_size: int = 8


def larger_is_faster(size: int) -> float:
    """Return the seconds of an item."""
    return 1.0 / size


@dataclass
class Machine:
    """Where sizes up to `fits` fit, and an item takes `seconds(size)`; it logs what was asked."""

    fits: int
    seconds: Callable[[int], float] = larger_is_faster
    tried: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    limits: set[int | None] = field(default_factory=set)

    def probe(self, settings: Any, memory_limit_bytes: int | None = None) -> Measurement:
        size = settings.batch_size
        self.tried.append(size)
        self.rates.append(getattr(settings, "lr", 0.0))
        self.limits.add(memory_limit_bytes)
        if size > self.fits:
            return failed("adaptive-batch", 0, Status.OUT_OF_MEMORY, "no room")
        return measurement("adaptive-batch", seconds=self.seconds(size), items=1)


def chosen(machine: Machine, settings: Settings | None = None, **own: Any) -> Any:
    return AdaptiveBatch(**own).configure(settings or Sized(), machine.probe)


def test_the_largest_that_fits_is_found_to_within_an_eighth() -> None:
    machine = Machine(fits=100)
    found = chosen(machine).batch_size
    assert 100 - 100 // 8 <= found <= 100
    assert machine.tried[:5] == [8, 16, 32, 64, 128]


@pytest.mark.parametrize("fits", [8, 9, 15, 16, 17, 31, 500, 1000, 4095])
def test_no_size_is_tried_twice_and_few_are_tried(fits: int) -> None:
    machine = Machine(fits=fits, seconds=lambda size: 1.0 / size + (size == 8))
    try:
        found = chosen(machine).batch_size
    except NotApplicable:
        found = 8
    assert found <= fits
    assert len(machine.tried) == len(set(machine.tried)) <= 16


def test_the_fastest_is_used_even_where_larger_ones_fit() -> None:
    machine = Machine(fits=10_000, seconds=lambda size: abs(size - 64) + 1.0)
    assert chosen(machine).batch_size == 64
    assert machine.tried == [8, 16, 32, 64, 128, 256]  # two in a row gained nothing


def test_one_size_that_gains_nothing_may_be_chance() -> None:
    machine = Machine(fits=10_000, seconds=lambda size: 1.0 / size + (size == 32))
    assert chosen(machine, largest=256).batch_size == 256


def test_everything_fits_up_to_the_largest_asked_for() -> None:
    machine = Machine(fits=10**9)
    assert chosen(machine, largest=100).batch_size == 100
    assert machine.tried == [8, 16, 32, 64, 100]


def test_where_the_start_is_the_fastest_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable) as caught:
        chosen(Machine(fits=24, seconds=float))
    assert str(caught.value) == (
        "the batch size 8 is the fastest of 8, 16, 24 (the largest that fits: 24)"
    )


def test_what_gets_no_faster_is_not_made_larger() -> None:
    machine = Machine(fits=10_000, seconds=float)
    with pytest.raises(NotApplicable) as caught:
        chosen(machine)
    assert str(caught.value) == "the batch size 8 is the fastest of 8, 16, 32"
    assert machine.tried == [8, 16, 32]


def test_where_not_even_the_start_fits_it_does_not_apply() -> None:
    machine = Machine(fits=4)
    with pytest.raises(NotApplicable, match="not even a batch of 8 fits: no room"):
        chosen(machine)
    assert machine.tried == [8]


def test_a_start_above_the_largest_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="the batch size 8 is above largest=4"):
        chosen(Machine(fits=100), largest=4)


def test_a_baseline_without_a_batch_size_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="the baseline has no setting batch_size"):
        chosen(Machine(fits=100), WithoutBatch())


def test_every_probe_has_the_memory_limit() -> None:
    machine = Machine(fits=100)
    chosen(machine, memory_limit_gib=0.5)
    assert machine.limits == {GIB // 2}


def test_without_a_limit_none_is_asked_for() -> None:
    machine = Machine(fits=100)
    chosen(machine)
    assert machine.limits == {None}


@pytest.mark.parametrize(("rule", "rate"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_the_learning_rate_follows_the_batch_by_its_rule(rule: str, rate: float) -> None:
    machine = Machine(fits=32)
    found = chosen(machine, learning_rate_scaling=rule)
    assert found.batch_size == 32
    assert found.lr == pytest.approx(rate)


def test_a_probe_has_the_learning_rate_of_its_size() -> None:
    machine = Machine(fits=16)
    chosen(machine, learning_rate_scaling="linear", largest=16)
    assert machine.rates == pytest.approx([0.1, 0.2])


def test_scaling_a_learning_rate_that_is_not_there_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="no setting lr to scale with the batch"):
        chosen(Machine(fits=32), WithoutRate(), learning_rate_scaling="sqrt")


def test_a_size_that_fails_for_another_reason_is_not_used() -> None:
    def probe(settings: Any, memory_limit_bytes: int | None = None) -> Measurement:
        if settings.batch_size > 20:
            return failed("adaptive-batch", 0, Status.FAILED, "larger than the training part")
        return measurement(seconds=1.0 / settings.batch_size, items=1)

    assert 16 <= AdaptiveBatch().configure(Sized(), probe).batch_size <= 20


def test_the_batch_is_searched_in_the_settings_that_the_others_ask_for() -> None:
    stage = registry.load_technique("adaptive-batch").stage
    others = [name for name in registry.names(registry.TECHNIQUES) if name != "adaptive-batch"]
    assert all(registry.load_technique(name).stage < stage for name in others)


def test_no_batch_above_the_training_part_is_chosen() -> None:
    asked: list[int] = []

    def probe(settings: Any, memory_limit_bytes: int | None = None) -> Measurement:
        asked.append(settings.batch_size)
        held = min(settings.batch_size, 96)
        seconds = (1e-3 + 1e-6 * held) * (0.9 if settings.batch_size > 96 else 1.0)
        return measurement(
            "adaptive-batch", seconds=10 * seconds, items=10 * held, step_seconds=(seconds,) * 10,
            largest_batch=held,
        )  # fmt: skip

    made = AdaptiveBatch(learning_rate_scaling="linear").configure(Sized(), probe)
    assert asked == [8, 16, 32, 64, 128, 96]
    assert made.batch_size == 96
    assert made.lr == pytest.approx(0.1 * 96 / 8)


@pytest.mark.parametrize("unit", [1, 50])
def test_a_batch_is_known_by_what_the_first_size_held(unit: int) -> None:
    def probe(settings: Any, memory_limit_bytes: int | None = None) -> Measurement:
        held = unit * min(settings.batch_size, 40)
        return measurement("adaptive-batch", seconds=1.0, items=10 * held, largest_batch=held)

    assert AdaptiveBatch().configure(Sized(), probe).batch_size == 40
