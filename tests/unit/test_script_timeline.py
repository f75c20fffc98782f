"""What was seen of a script, made up, and the steps that it is taken for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.interception.events import Event, Kind, LossRecorder
from bench.trial.script_timeline import Learnt, _where_trained, course_of, learnt

WORDS = {
    "d": (Kind.DRAWING, Kind.DRAW, 8), "f": (Kind.CALLING, Kind.CALL, 4),
    "e": (Kind.EVALUATING, Kind.EVALUATION, 0), "u": (Kind.STEPPING, Kind.STEP, 0),
    "v": (Kind.STEPPING, Kind.STEP, 1), "w": (Kind.STEPPING, Kind.STEP, 2),
    "g": (Kind.CALLING, Kind.CALL, 4), "t": (Kind.ASKED, Kind.ASKED, 1),
    "a": (Kind.ASKED, Kind.ASKED, 0), "n": (Kind.DRAWING, Kind.DRAW, 0),
}  # fmt: skip


def seen(text: str) -> list[Event]:
    """Return events of one second each: draw, forward, backward, evaluation, optimizers.

    Calls for a gradient in evaluation mode (g), answers without one to another model (a) or in
    training mode (t), a draw that finds nothing more (n).
    """
    events, losses = list[Event](), 0
    for at, letter in enumerate(text):
        if letter == "b":
            begin, end, number = Kind.BACKING, Kind.BACKWARD, losses
            losses += 1
        else:
            begin, end, number = WORDS[letter]
        begun = number if letter in "uvwta" else int(letter == "g")
        events += [Event(begin, 2 * at, at, begun), Event(end, 2 * at + 1, at, number)]
    return events


ROUNDS = pytest.mark.parametrize(
    ("text", "walls", "losses"),
    [
        ("dfbu" * 3, [7, 8, 8], [1, 2, 4]),
        ("fbfbu" * 2, [9, 10], [3, 12]),  # accumulation
        ("fbufbv" * 2, [11, 12], [3, 12]),  # two optimizers in turn
        ("fbufbufbv" * 2, [5, 12, 6, 12], [1, 6, 8, 48]),  # one of them steps oftener
        ("eefbu" + "fbu" + "ddeefbu", [5, 6, 6], [1, 2, 4]),  # evaluations are in no step
        ("defbu", [5], [1]),
        ("fbu" * 3 + "fbv" * 3 + "fbw" * 2, [5] + 7 * [6], [2**n for n in range(8)]),  # in turn
        ("fbu" * 2 + "fbv", [5, 12], [1, 6]),
    ],
)


@ROUNDS
def test_a_step_ends_before_the_optimizer_that_stepped_first_steps_again(
    text: str, walls: list[float], losses: list[float]
) -> None:
    course = course_of(seen(text), [2.0**number for number in range(9)])
    assert [step.wall for step in course.timeline.steps] == walls
    assert course.losses == losses


@ROUNDS
def test_losses_alone_are_those_of_the_same_steps(
    text: str, walls: list[float], losses: list[float]
) -> None:
    recorder = LossRecorder(losses=[2.0**number for number in range(9)])
    for event in seen(text):
        recorder.note(event.kind, event.number, cpu=True)
    assert learnt(recorder) == Learnt(len(walls), [*map(float, losses)])
    assert len([*recorder]) == text.count("b") + 2 * sum(map(text.count, "uvw"))
    recorder.note(Kind.STEPPING, 0)
    recorder.note(Kind.BACKWARD, recorder.note_loss(torch.ones(2)))
    recorder.note(Kind.STEP, 0)
    assert learnt(recorder).losses == []  # a loss is no single number


def test_phases_add_up_to_the_step() -> None:
    (step,) = course_of(seen("dfbu"), [1.0]).timeline.steps
    assert step.phases == {"data_wait": 1, "forward": 2, "backward": 1, "update": 2, "other": 1}
    assert sum(step.phases.values()) == step.wall


def test_passes_within_an_optimizer_s_step_are_phases_of_their_own() -> None:
    kinds = (
        Kind.STEPPING, Kind.CALLING, Kind.CALL, Kind.BACKING, Kind.BACKWARD, Kind.STEP,
    )  # fmt: skip
    events = [Event(kind, at, at, 0) for at, kind in enumerate(kinds)]
    course = course_of(events, [1.0])
    assert course.closures
    assert course.timeline.steps[0].phases == {"update": 2, "forward": 2, "backward": 1}


def test_batches_that_are_drawn_before_a_step_s_first_call_belong_to_it() -> None:
    accumulated = course_of(seen("d" + 2 * "ddfbfbu"), [1.0] * 4)  # one was only looked at
    assert [step.items for step in accumulated.timeline.steps] == [16, 16]
    assert [step.wall for step in accumulated.timeline.steps] == [13, 14]


def test_a_batch_that_is_read_ahead_is_counted_where_it_is_trained_on() -> None:
    epoch = "ddfbu" + "dfbu" + "fbu"
    for epochs in (1, 2):
        steps = course_of(seen(epochs * epoch + "ddfbu"), [1.0] * 7).timeline.steps
        assert [step.items for step in steps[3:]] == [8] * (3 * epochs - 2)
    several = course_of(seen("ddfbu" * 3), [1.0] * 3).timeline.steps  # of two loaders
    assert [step.items for step in several[1:]] == [16, 16]


def test_a_step_that_drew_nothing_is_not_held_against_all_before_it() -> None:
    class Drawn(list[list[int]]):
        def __getitem__(self, key: Any) -> Any:
            assert not isinstance(key, slice), "all steps before one are copied"
            return super().__getitem__(key)

    assert _where_trained([4] * 3, Drawn([[], [], []]), [1] * 3) == [4] * 3
    ahead = Drawn([[], [8, 8], [], [8], []])
    assert _where_trained([4, 16, 4, 8, 4], ahead, [1] * 5) == [4, 8, 8, 8, 4]


def test_items_are_drawn_or_else_called_with() -> None:
    assert [s.items for s in course_of(seen("dfbu" * 2), [1, 1]).timeline.steps] == [8, 8]
    assert [s.items for s in course_of(seen("fbfbu"), [1, 1]).timeline.steps] == [8]
    assert [s.items for s in course_of(seen("defbu" * 2), [1, 1]).timeline.steps] == [4, 4]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("fbfbu" * 2, [8, 8]),  # accumulation
        ("ffbufbv" * 2, [4, 4]),  # a GAN's two losses are of the same items
        ("fbuv" * 2, [4, 4]),
        ("fbufbvfbv" * 2, [8, 8]),
    ],
)
def test_items_that_no_loader_gives_are_those_of_different_passes(
    text: str, items: list[int]
) -> None:
    course = course_of(seen(text), [1.0] * 9)
    assert [step.items for step in course.timeline.steps] == items


def test_an_optimizer_that_asks_three_times_for_its_loss_trains_on_its_items_once() -> None:
    asked = (Kind.CALLING, Kind.CALL, Kind.BACKING, Kind.BACKWARD) * 3
    kinds = (Kind.STEPPING, *asked, Kind.STEP) * 2
    events = [Event(kind, at, at, 4 * (kind is Kind.CALL)) for at, kind in enumerate(kinds)]
    assert [step.items for step in course_of(events, [1.0]).timeline.steps] == [4, 4]


@pytest.mark.parametrize("away", ["dadan", "dtdtn", "dfdfn", "dgdgn", "gg", "aa"])
def test_what_answers_now_and_then_for_no_update_is_evaluation(away: str) -> None:
    course = course_of(seen("dfbu" * 3 + away + "dfbu" * 2), [1.0] * 5)
    assert [step.items for step in course.timeline.steps] == [8] * 5
    assert all(step.wall <= 2 * len("ndfbu") for step in course.timeline.steps)
    assert course.evaluate_seconds > 0


@pytest.mark.parametrize("step", ["dafbu", "dtfbu", "tttdfbu", "dgfbu", "dfdfbu"])
def test_what_answers_at_every_step_is_training(step: str) -> None:
    course = course_of(seen(step * 4), [1.0] * 4)
    assert [one.wall for one in course.timeline.steps[1:]] == [2 * len(step)] * 3
    assert course.evaluate_seconds == 0
    steps = course_of(seen(step * 4 + "dadan" + step * 2), [1.0] * 6).timeline.steps
    assert {one.items for one in steps} == {8 * step.count("d")}


def test_what_is_played_before_some_updates_is_training() -> None:
    course = course_of(seen(("ttt" + "dfbu" * 4) * 3), [1.0] * 12)
    assert course.evaluate_seconds == 0


def test_a_first_step_that_was_not_seen_is_of_as_many_items_as_all_others() -> None:
    course = course_of(seen("bu" + "gbu" * 3), [1.0] * 4)
    assert course.items_known
    assert [step.items for step in course.timeline.steps] == [4] * 4


@pytest.mark.parametrize("text", ["bu" * 3, "bugbudgbu", "gbubugbu"])
def test_where_the_items_of_a_step_are_unknown_steps_are_counted(text: str) -> None:
    course = course_of(seen(text), [1.0] * 3)
    assert not course.items_known
    assert [step.items for step in course.timeline.steps] == [1] * 3
