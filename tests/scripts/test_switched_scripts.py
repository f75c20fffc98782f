"""cuda-optimizations of scripts. The switches turn without a GPU, and loaders say what they pin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from bench.errors import NotApplicable
from bench.interception.events import Recorder
from bench.interception.script import Script
from bench.testing import global_state
from optimizers.cuda_optimizations import CudaOptimizations

PINNING: dict[str, Any] = {"tf32": False, "cudnn_benchmark": False}
ITEMS = TensorDataset(torch.ones(2))


@pytest.fixture(autouse=True)
def _on_hopper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("bench.interception.script.undisturbed", lambda device: nullcontext())
    before = global_state()
    yield
    assert global_state() == before


def rehearsed(does: Callable[[Script], object], **settings: Any) -> None:
    """Let a script do something under the technique, and hold that to having done something."""
    script = Script(torch.device("cuda"), Recorder(), rehearsed=True)
    CudaOptimizations(**settings).intercept(script)
    with ExitStack() as stack:
        script.contexts(stack)
        does(script)
    script.check_acted()


def set_seed(script: Script) -> None:
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")


def test_a_script_that_leaves_the_switches_on_is_measured_with_them() -> None:
    def look(script: Script) -> None:
        cudnn = torch.backends.cudnn
        seen.append((cudnn.benchmark, cudnn.allow_tf32, torch.get_float32_matmul_precision()))

    seen: list[tuple[bool, bool, str]] = []
    rehearsed(look)
    assert seen == [(True, True, "high")]


def test_switches_that_a_script_turns_off_itself_are_not_measured_as_on() -> None:
    with pytest.raises(NotApplicable) as refusal:
        rehearsed(set_seed)
    assert str(refusal.value) == (
        "the script turns off itself what was turned on (cudnn_benchmark, tf32): take that out, or "
        "measure the rest: cudnn_benchmark=false, tf32=false"
    )
    with pytest.raises(NotApplicable, match=r"\(tf32\)"):
        rehearsed(set_seed, cudnn_benchmark=False)


def test_the_loaders_of_a_script_are_pinned() -> None:
    loader = DataLoader(ITEMS)
    rehearsed(lambda script: script.changes_loader(loader), **PINNING)
    assert loader.pin_memory
    rehearsed(lambda script: None)  # without a loader the switches are left


@pytest.mark.parametrize(
    ("loaders", "said"),
    [
        ([], "the script draws no batch from a DataLoader"),
        ([True], "the script's DataLoaders pin their batches already"),
    ],
)
def test_pinning_alone_is_refused_where_there_is_nothing_to_pin(
    loaders: list[bool], said: str
) -> None:
    def draw(script: Script) -> None:
        for pinned in loaders:
            script.changes_loader(DataLoader(ITEMS, pin_memory=pinned))

    with pytest.raises(NotApplicable, match=said):
        rehearsed(draw, **PINNING)


def test_the_lines_pin_what_a_trial_pins() -> None:
    asked = Mock(device=torch.device("cuda"))
    asked.sites.loaders = []
    CudaOptimizations().write(asked)
    asked.each_loader.assert_not_called()
    asked.at_start.assert_called_once()
    asked = Mock(device=torch.device("cuda"))
    CudaOptimizations(**PINNING).write(asked)
    asked.at_start.assert_not_called()
    asked.each_loader.assert_called_once_with(by="cuda-optimizations", pin_memory="True")
