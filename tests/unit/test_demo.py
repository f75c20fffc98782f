"""A picture shows what an answer rests on at the moments, and of the strength, that it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.deployment import Item, Picture
from bench.use.occlusion import _hidden, along_time
from bench.use.plain import _picture
from reports.demo import Panel, _of_time, _shade, _strongest


def panel(length: int, steps: int, rate_hz: float | None = 10.0, fall: float = 0.3) -> Panel:
    return Panel(
        kind="signals", name="it", values=np.zeros((2, length), np.float32), channels=(),
        rate_hz=rate_hz, unit="", rows=np.zeros((1, 2, steps), np.float32), labels=("a",),
        scores={"a": 0.8, "b": 0.2}, scores_are="probabilities", truth=None, about="a",
        importance=np.full((1, 40), fall, np.float32), steps=steps,
    )  # fmt: skip


class Axes:
    """Axes that keep where an image was drawn."""

    def imshow(self, image: Any, extent: tuple[float, ...], **named: object) -> None:
        self.image, self.extent = image, extent


@pytest.mark.parametrize("steps", [50, 100, 300])
def test_the_shade_lies_over_what_the_model_saw_and_not_over_the_whole_signal(steps: int) -> None:
    axes = Axes()
    _shade(axes, panel(100, steps), 0.0, 1.0)
    assert axes.extent == pytest.approx((-0.05, steps / 10 - 0.05, 0.0, 1.0))


def test_what_hardly_changes_a_score_is_pale() -> None:
    assert _strongest(panel(100, 100, fall=0.004)) == pytest.approx(0.08)
    assert _strongest(panel(100, 100, fall=-0.3)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (panel(100, 100), "seconds"), (panel(300, 300), "seconds, the first 10 of 30"),
        (panel(100, 50), "seconds, the model sees the first 5"),
        (panel(24, 24, None), "step"), (panel(100, 300), "seconds"),
    ],
)  # fmt: skip
def test_the_axis_says_what_of_a_signal_is_not_shown_or_seen(shown: Panel, said: str) -> None:
    assert _of_time(shown) == said


def test_time_is_as_long_as_the_picture_where_there_are_more_channels_than_steps() -> None:
    item = Item("it", torch.zeros(1, 8, 30), Picture("signals", np.zeros((30, 8), np.float32)))
    assert along_time(item) == 0
    filled = Item("it", torch.zeros(1, 2, 30), Picture("signals", np.zeros((2, 9), np.float32)))
    assert along_time(filled) == 1


def test_names_are_hidden_by_one_that_is_there_and_not_by_their_mean() -> None:
    names = torch.tensor([7, 7, 7, 900])
    assert _hidden(names, 0)[3].tolist() == [7, 7, 7, 7]
    assert _hidden(names == 7, 0).dtype is torch.bool


def test_an_item_of_three_dimensions_is_an_image() -> None:
    grey = _picture(np.arange(2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4))
    assert (grey.kind, grey.values.shape) == ("image", (4, 4))
    assert (float(grey.values.min()), float(grey.values.max())) == (0.0, 1.0)
    assert _picture(np.zeros((3, 4, 5), np.float32)).values.shape == (4, 5, 3)
    assert _picture(np.zeros((2, 5), np.float32)).kind == "signals"
