"""Every two techniques work together, neither undone, or say why they don't."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from bench.errors import Clash, NotApplicable
from bench.job import Job
from bench.recipes import assembly
from bench.testing import refusal
from bench.trial.training import train
from tests.contract.cases import PICTURES, QUICK, TINY, stepped

ROOM = str(Path(__file__).resolve().parents[2] / "optimizers")
PAIRS = [pytest.param(*pair, id="+".join(pair)) for pair in itertools.combinations(QUICK, 2)]


@functools.cache
def refused_alone(number: int, name: str) -> str | None:
    return refusal(TINY[number], name)


@functools.cache
def work_alone(number: int, name: str) -> frozenset[str]:
    return work_of(TINY[number].job(name))


@functools.cache
def settings_of(number: int, *names: str) -> dict[str, Any]:
    return TINY[number].recipe(*names)[0].settings


def work_of(job: Job) -> frozenset[str]:
    """Train; return the files of the techniques whose code ran meanwhile."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        """Note a call; returning nothing, it is not told of the lines that follow."""
        if frame.f_code.co_filename.startswith(ROOM):
            files.add(Path(frame.f_code.co_filename).stem)

    with traced(note):
        assert all(map(math.isfinite, train(job).losses))
    return frozenset(files)


@contextlib.contextmanager
def traced(note: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    """Call `note` on every call of a Python function; a profiler would hear of C's too."""
    before = sys.gettrace()
    sys.settrace(note)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_neither_of_two_undoes_the_other_or_both_are_refused(one: str, other: str) -> None:
    """What a technique alone does while it trains, and what it sets, is there in the pair too."""
    numbers = range(len(TINY))
    fit = [n for n in numbers if not (refused_alone(n, one) or refused_alone(n, other))]
    if not fit:
        pytest.skip("nowhere do both apply alone")
    number = fit[0]
    case, done, refused = TINY[number], frozenset[str](), ""
    try:
        recipe, places = case.recipe(one, other)
        done = work_of(assembly.build(recipe, places, case.device, 0))
    except (Clash, NotApplicable) as reason:  # at once, or at the first step: it is rehearsed
        refused = str(reason)
    assert "\n" not in refused
    if refused:
        return
    assert done >= work_alone(number, one) | work_alone(number, other)
    plain, both = settings_of(number), recipe.settings
    for name in (one, other):
        alone = settings_of(number, name)
        assert all(both[k] != plain[k] for k, value in alone.items() if value != plain[k])


@pytest.mark.parametrize(
    ("number", "enabling", "enabled"),
    [
        (0, "freeze-encoder", "cached-features"),
        (1, "minimal-augmentation", "memory-efficient-loading"),
        (1, "minimal-augmentation", "oversampling"),
        (1, "minimal-augmentation", "weighted-sampling"),
    ],
)
def test_what_one_technique_makes_room_for_works_with_it(
    number: int, enabling: str, enabled: str
) -> None:
    assert refused_alone(number, enabled)
    assert refusal(TINY[number], enabling, enabled) is None
    both = TINY[number].job(enabling, enabled)
    replaced = {name for names in both.taken.values() for name in names}
    assert enabled in replaced or enabled.replace("-", "_") in work_of(both)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixed-precision"])
def test_a_compiled_model_learns_what_the_other_technique_alone_does(name: str) -> None:
    assert compiled_losses(name) == pytest.approx(losses_of(name), rel=5e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "channels-last", "gradient-accumulation", "gradient-checkpointing",
        "memory-efficient-attention", "selective-backprop", "curriculum-learning",
        "progressive-resizing",
    ],
)  # fmt: skip
def test_other_techniques_leave_the_traced_graphs_right(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced and differentiated as for any compiler; the kernels, which cost most, are torch's."""
    traced_only = functools.partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", lambda model, **kinds: traced_only(model))
    assert compiled_losses(name) == pytest.approx(losses_of(name), rel=5e-2)


def losses_of(*names: str) -> list[float]:
    return stepped(PICTURES.job(*names), 8)[0]


def compiled_losses(name: str) -> list[float]:
    torch.compiler.reset()
    return losses_of(name, "compile")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("gradient-accumulation", "selective-backprop", "both replace the job's step"),
        ("curriculum-learning", "selective-backprop", "exclude each other"),
        ("data-parallel:processes=2", "gradient-accumulation", "exclude each other"),
        ("adafactor", "fused-optimizer", "have a fused form|both replace the job's make_optimizer"),
    ],
)
def test_two_that_want_the_same_part_are_refused(one: str, other: str, reason: str) -> None:
    for names in ((one, other), (other, one)):
        with pytest.raises((Clash, NotApplicable), match=reason):
            PICTURES.job(*names)
