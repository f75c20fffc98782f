"""cuda-optimizations of scripts. The switches turn without a GPU, and loaders say what they pin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data._utils import pin_memory

from bench.errors import NotApplicable
from bench.interception.events import Recorder
from bench.interception.script import REHEARSED_STEPS, Script
from bench.interception.sites import Sites
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


def rehearsed(does: Callable[[Script], object], **settings: Any) -> Script:
    """Let a script do something under the technique, and hold that to having done something."""
    script = Script(torch.device("cuda"), Recorder(), rehearsed=True)
    CudaOptimizations(**settings).intercept(script)
    with ExitStack() as stack:
        script.contexts(stack)
        does(script)
    script.check_acted()
    return script


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


def test_what_a_script_turns_off_itself_is_told_and_the_rest_is_measured() -> None:
    def turn_off(script: Script) -> None:
        torch.backends.cudnn.benchmark = False

    why = "the script turns it off itself"
    assert rehearsed(turn_off).untold == {"gain of cudnn_benchmark": why}

    def pin(script: Script) -> None:
        set_seed(script)
        script.changes_loader(DataLoader(ITEMS))

    assert rehearsed(pin).untold.keys() == {"gain of cudnn_benchmark", "gain of tf32"}
    assert rehearsed(lambda script: None).untold == {}


def test_where_a_script_turns_off_all_that_was_asked_for_nothing_is_measured() -> None:
    with pytest.raises(NotApplicable) as refusal:
        rehearsed(set_seed)
    assert str(refusal.value) == (
        "the script turns off itself all that was turned on (cudnn_benchmark, tf32): take that out"
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


def moved(items: list[tuple[torch.Tensor]]) -> torch.Tensor:
    """Collate items where none is pinned, as on a GPU."""
    return torch.stack([x for (x,) in items]).to("meta")


def test_batches_that_are_on_a_gpu_already_are_given_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(pin_memory, "pin_memory", lambda batch, *_: asked.append(batch))
    on_cpu, elsewhere = {"x": [torch.ones(2)]}, (torch.ones(2), torch.ones(2, device="meta"))

    def draw(*batches: object) -> Callable[[Script], None]:
        def drawn(script: Script) -> None:
            script.changes_loader(DataLoader(ITEMS))
            pin: Any = pin_memory.pin_memory
            given.extend(pin(batch, "cuda") for batch in batches)

        return drawn

    given: list[object] = []
    rehearsed(draw(on_cpu, elsewhere), **PINNING)
    assert asked == [on_cpu]
    assert given[1] is elsewhere
    rehearsed(draw(elsewhere))  # the switches are left
    with pytest.raises(NotApplicable, match="give no batch that can be pinned: dense, on the CPU"):
        rehearsed(draw(elsewhere), **PINNING)


def test_a_loader_that_no_rehearsal_comes_to_is_not_pinned() -> None:
    first, again, other = DataLoader(ITEMS), DataLoader(ITEMS), DataLoader(TensorDataset(*ITEMS[:]))

    def draw(script: Script) -> None:
        script.changes_loader(first)
        script.steps = REHEARSED_STEPS
        for late in (again, other):
            script.changes_loader(late)

    rehearsed(draw)
    assert [one.pin_memory for one in (first, again, other)] == [True, True, False]


def test_the_lines_pin_only_what_was_drawn_from_and_can_be_pinned(tmp_path: Path) -> None:
    script = Script(torch.device("cpu"), Recorder())
    sites = Sites(script, tmp_path, tmp_path / "train.py")
    with ExitStack() as stack:
        script.contexts(stack)
        on_cpu, idle = [DataLoader(ITEMS) for _ in range(2)]
        DataLoader(ITEMS)
        elsewhere = DataLoader(ITEMS, collate_fn=moved)
        for loader in (on_cpu, elsewhere):
            assert len(list(loader)) == 2
    assert [made.one for made in sites.pinnable] == [on_cpu, idle]


def test_the_lines_pin_what_a_trial_pins() -> None:
    asked = Mock(device=torch.device("cuda"))
    asked.sites.pinnable = []
    CudaOptimizations().write(asked)
    asked.pin_loaders.assert_not_called()
    asked.at_start.assert_called_once()
    asked.say.assert_called_once()
    asked = Mock(device=torch.device("cuda"))
    CudaOptimizations(**PINNING).write(asked)
    asked.at_start.assert_not_called()
    asked.pin_loaders.assert_called_once_with(by="cuda-optimizations")
