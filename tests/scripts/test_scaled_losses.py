"""Losses scaled for float16: gradients that a script sees are the true ones, or it is refused.

Powers of two round nothing: on float32 losses are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from bench.errors import NotApplicable
from bench.interception.backward import LOOKED_AT, Backward
from bench.interception.events import Recorder
from bench.interception.patches import Patches
from bench.interception.scaling import Scaling
from bench.interception.script import Ended, Script
from bench.technique import Effect, Stage, Technique
from bench.trial.script import run_script
from tests.scripts.cases import intercepted, plainly, trial_of


class Scaled(Technique):
    """What mixed-precision asks for in float16, alone."""

    name: ClassVar[str] = "scaled"
    stage: ClassVar[Stage] = Stage.PRECISION
    effect: ClassVar[Effect] = Effect.EXACT

    def intercept(self, script: Script) -> None:
        Scaling(script, by=self.name)


@pytest.mark.parametrize("name", ["accumulation", "gan", "language"])
def test_a_script_whose_losses_are_scaled_trains_as_it_does(name: str, tmp_path: Path) -> None:
    ran = run_script(trial_of(name, tmp_path), [Scaled()], on_trained=lambda: None)
    assert tuple(ran.course.losses) == plainly(name)


@pytest.fixture
def script() -> Script:
    return Script(torch.device("cpu"), Recorder(), rehearsed=True)


@pytest.fixture
def scaling(script: Script) -> Scaling:
    return Scaling(script, "fp16")


def weight_and_loss(scaling: Scaling) -> tuple[nn.Linear, Tensor]:
    """Return a model that is scaled, and its loss."""
    model = nn.Linear(4, 1)
    scaling.script.changes_model(model, model)
    return model, model(torch.ones(2, 4)).square().mean()


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (lambda s, loss: s.scaled([loss, loss]), "begins at no single number"),
        (lambda s, loss: s.scaled(loss.expand(2)), "begins at no single number"),
        (lambda s, loss: s.scaled(loss, None, None, True), "makes a graph of its own"),
        (lambda s, loss: s.scaled(loss, inputs=[loss]), "is given gradients, or inputs"),
        (lambda s, loss: torch.autograd.grad(loss, loss), "for gradients by torch.autograd.grad"),
        (lambda s, loss: torch.amp.GradScaler("cpu").scale(loss), "scales its losses itself"),
        (
            lambda s, loss: s.scaled(loss * nn.Parameter(torch.ones(1))),
            "a gradient goes to what is no weight of a trained model",
        ),
        (lambda s, loss: s.before_step(stepped(), (0, lambda: 0), {}), "is given a closure"),
        (lambda s, loss: s.before_step(stepped(), (0,), {}), "changes what is no weight of a tr"),
    ],
)
def test_where_a_scaled_gradient_could_be_seen_it_is_refused(
    ask: Callable[[Scaling, Tensor], object], why: str, scaling: Scaling
) -> None:
    _, loss = weight_and_loss(scaling)
    with ExitStack() as stack:
        scaling.script.contexts(stack)
        with pytest.raises(Ended):
            ask(scaling, loss)
    assert str(scaling.script.refused).startswith("fp16: no scaler can be placed right: ")
    assert why in str(scaling.script.refused)


def stepped() -> torch.optim.Optimizer:
    """Return an optimizer of a weight that has a gradient, and is no model's."""
    other = nn.Parameter(torch.ones(1))
    other.grad = torch.ones(1)
    return torch.optim.SGD([other], 0.1)


def test_weights_of_another_format_are_refused(scaling: Scaling) -> None:
    model = nn.Linear(4, 1).double()
    with pytest.raises(Ended):
        scaling.script.changes_model(model, model)
    assert str(scaling.script.refused) == (
        "weight is torch.float64: float16 is for weights of float32"
    )


def test_a_step_whose_gradients_overflowed_is_left_out(scaling: Scaling) -> None:
    model, loss = weight_and_loss(scaling)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    scaling.script.optimizers.add(optimizer)
    for factor in (1.0, 1e34, 1.0):
        optimizer.zero_grad()
        before, scale = model.weight.detach().clone(), scaling.scale
        loss = model(torch.ones(2, 4)).square().mean()
        scaling.scaled(loss * factor).backward()
        scaling.settle()
        nn.utils.clip_grad_value_(model.parameters(), 1.0)
        scaling.before_step(optimizer, (optimizer,), {})
        optimizer.step()
        left_out = factor > 1
        assert torch.equal(model.weight, before) == left_out
        assert scaling.scale == (scale / 2 if left_out else scale)


def test_fp16_is_refused_on_a_cpu(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="fp16 needs CUDA: on the CPU use precision=bf16"):
        intercepted(trial_of("plain", tmp_path, "mixed-precision:precision=fp16", kind="build"))


def test_a_scaled_loss_is_found_without_a_look_at_its_value(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Patches() as patches:
        seen = Backward(script, patches)
        loss = torch.full((), 3.0, requires_grad=True) * 1
        scaled = torch.amp.GradScaler("cpu").scale(loss)
        monkeypatch.setattr(torch.Tensor, "__eq__", lambda *_: pytest.fail("compared"))
        found = seen._loss_of(scaled)
    assert found is not None
    assert found.item() == 3.0


@pytest.mark.parametrize(
    ("begun", "loss"),
    [
        (lambda scale, loss: scale(loss) / 4, 0.75),
        (lambda scale, loss: (scale(loss) + scale(loss * 2)) / 2, 4.5),
        (lambda scale, loss: scale([loss, loss]), 6.0),
        (lambda scale, loss: scale((loss, loss))[1], 3.0),
        (lambda scale, loss: sum(scale(one for one in (loss, loss))), 6.0),
        (lambda scale, loss: scale(iter([loss, loss])), 6.0),
        (lambda scale, loss: [scale(loss), loss / 2], 4.5),
        (lambda scale, loss: loss / 2, 1.5),
    ],
)
def test_the_loss_itself_is_noted_whatever_was_made_of_the_scaled_one(
    begun: Callable[[Callable[..., Any], Tensor], Any], loss: float, script: Script
) -> None:
    with Patches() as patches:
        Backward(script, patches)
        given = torch.full((), 3.0, requires_grad=True) * 1
        torch.autograd.backward(begun(torch.amp.GradScaler("cpu").scale, given))
    assert script.recorder.values() == [loss]


def test_a_scale_is_looked_for_near_the_loss_alone(script: Script) -> None:
    """Where a script scales one loss of two, the other is looked at in vain in every pass."""
    with Patches() as patches:
        Backward(script, patches)
        scaled = torch.amp.GradScaler("cpu").scale(torch.full((), 3.0, requires_grad=True) * 1)
        for halved in range(2 * LOOKED_AT):
            scaled = scaled * (0.5 if halved < 16 else 1.0)
        torch.autograd.backward(scaled)
    assert script.recorder.values() == [3.0]


def test_a_pass_that_begins_within_a_graph_is_of_no_known_loss(script: Script) -> None:
    with Patches() as patches:
        Backward(script, patches)
        weight = torch.full((), 3.0, requires_grad=True)
        torch.autograd.backward(get_gradient_edge(weight * 2))
        torch.autograd.backward([get_gradient_edge(weight * 2)])
    assert weight.grad == 4
    assert script.recorder.values() == []


def test_a_pass_that_begins_within_a_graph_is_not_scaled(scaling: Scaling) -> None:
    _, loss = weight_and_loss(scaling)
    for begun in (get_gradient_edge(loss), (get_gradient_edge(loss),)):
        with pytest.raises(Ended):
            scaling.scaled(begun)


@pytest.mark.parametrize("to_none", [True, False])
def test_an_overflow_in_gradients_that_are_zeroed_leaves_no_step_out(
    to_none: bool, scaling: Scaling
) -> None:
    generator, critic = nn.Linear(4, 4), nn.Linear(4, 1)
    made = [torch.optim.SGD(one.parameters(), 0.01) for one in (generator, critic)]
    for model in (generator, critic):
        scaling.script.changes_model(model, model)
    scaling.script.optimizers.update(made)
    fooled = critic(generator(torch.ones(2, 4))).square().mean()
    scaling.scaled(1e34 * fooled).backward()
    scaling.settle()
    scaling.before_step(made[0], (made[0],), {})
    assert critic.weight.grad is not None
    made[1].zero_grad(set_to_none=to_none)
    scaling.scaled(critic(torch.ones(2, 4)).square().mean()).backward()
    scaling.settle()
    scaling.before_step(made[1], (made[1],), {})
    assert generator.weight.grad is None
    assert critic.weight.grad is not None
    assert scaling.scale == 2.0**15
