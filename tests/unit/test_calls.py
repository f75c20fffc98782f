"""A sample's arguments by position, by name, or both, wherever a model is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import NotApplicable
from bench.job import Job
from bench.model.activations import activations
from bench.model.calls import arguments, ask, by_position
from bench.model.outputs import checked_scores, objection
from bench.targets import Targets
from bench.technique import Technique
from bench.trial.cross_check import cross_check
from bench.trial.flops import count_flops
from bench.trial.inference import measure_inference
from bench.trial.training import train
from optimizers.gradient_checkpointing import GradientCheckpointing
from optimizers.knowledge_distillation import KnowledgeDistillation
from optimizers.low_rank import LowRank
from optimizers.pruning import Pruning
from optimizers.quantization import Quantization
from tests.jobs import job_of

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
FORMS: dict[str, Callable[[int], Any]] = {
    "by position": lambda n: (X[:n], None, X[:n, 0]),
    "by name": lambda n: {"x": X[:n], "bias": X[:n, 0]},
    "both": lambda n: ((X[:n],), {"bias": X[:n, 0]}),
}


class Net(nn.Module):
    """Takes three inputs, of which the second may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 64)
        self.head = nn.Linear(64, 2)

    def forward(self, x: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        found: Tensor = self.head(torch.relu(self.hidden(x)))
        if mask is not None:
            found = found * mask
        return found if bias is None else found + bias[:, None]


def loss(model: Any, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(x=batch[0], bias=batch[0][:, 0]), batch[1])


def evaluate(model: Any) -> dict[str, float]:
    return {"accuracy": float(model.eval()(x=X, bias=X[:, 0]).argmax(1).float().mean())}


def job(form: str) -> Job:
    torch.manual_seed(0)
    parts: dict[str, Any] = {"loss": loss, "evaluate": evaluate, "targets": Targets(classes=2)}
    return job_of(Net(), X, (X.sum(1) > 0).long(), sample=FORMS[form], **parts)


each_form = pytest.mark.parametrize("form", FORMS)


@each_form
def test_every_form_gives_the_same_answer(form: str) -> None:
    made = job(form)
    assert torch.equal(ask(made.model, made.sample(3)), made.model(X[:3], None, X[:3, 0]))
    args = by_position(made.model, made.sample(3))
    assert torch.equal(made.model(*args), made.model(X[:3], None, X[:3, 0]))


@each_form
def test_facts_of_the_model_are_told_in_every_form(form: str) -> None:
    made = job(form)
    assert objection(made, made.sample(2)) is None
    checked_scores(made)
    assert activations(made).total > 0
    assert count_flops(made).forward_per_item == 2 * (6 * 64 + 64 * 2)
    assert cross_check(made.model, made.sample(1)).thop == 2 * (6 * 64 + 64 * 2)
    assert [one.items for one in measure_inference(made, made.model)] == [1, 32]


@each_form
@pytest.mark.parametrize(
    "technique",
    [
        Pruning(ratio=0.5, after=0), Quantization(mode="dynamic"), Quantization(mode="bf16"),
        LowRank(), GradientCheckpointing(),
    ],
    ids=lambda one: one.name,
)  # fmt: skip
def test_techniques_ask_in_every_form(form: str, technique: Technique) -> None:
    try:
        changed = technique.apply(job(form))
    except NotApplicable as reason:
        assert "argument" not in str(reason)  # noqa: PT017 - a layer may be too small
        return
    assert train(changed).evaluations[-1].values


@each_form
def test_a_teacher_is_asked_in_every_form(form: str) -> None:
    from dataclasses import replace

    made = job(form)
    made = replace(made, again=lambda settings: job(form), sibling=lambda seed: job(form))
    assert train(KnowledgeDistillation().apply(made)).losses


def test_what_is_only_taken_by_name_can_t_be_traced_by_position() -> None:
    class Strict(nn.Module):
        def forward(self, *, x: Tensor) -> Tensor:
            return x

    assert arguments({"x": 1}) == ((), {"x": 1})
    with pytest.raises(NotApplicable, match="takes x by name alone"):
        by_position(Strict(), {"x": X})


def test_a_tensor_alone_is_one_argument() -> None:
    rows = torch.zeros(3, 2)
    assert arguments(rows) == ((rows,), {})


def test_a_pair_of_tensors_is_two_arguments() -> None:
    assert arguments((X, X)) == ((X, X), {})
