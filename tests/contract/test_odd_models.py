"""Techniques on models of other make: each does what it says, or says in one line why it can't."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from bench.errors import BenchError, NotApplicable
from bench.recipes import assembly
from bench.testing import Case
from bench.trial.evaluated import check_metric
from bench.trial.rehearsal import rehearse_trial, shortened
from bench.trial.spec import TrialSpec
from tests.contract.cases import TECHNIQUES
from tests.odd_models import ODD

FILE = Path(__file__).resolve().parents[1] / "odd_models.py"
WORKS = {
    "DataclassNet": "ema gradient-checkpointing knowledge-distillation low-rank ensemble "
    "quantization:mode=dynamic quantization:mode=bf16 gradient-accumulation",
    "DictNet": "knowledge-distillation ensemble quantization:mode=bf16 gradient-accumulation",
    "TupleNet": "knowledge-distillation:match=features ensemble quantization:mode=bf16 low-rank",
    "FrozenNet": "adafactor ema gradient-checkpointing",
    "RecurrentNet": "quantization:mode=dynamic knowledge-distillation ensemble low-rank",
    "LazyNet": "pruning low-rank quantization ensemble",
    "MethodNet": "mixed-precision gradient-accumulation",
    "MasksNet": "pruning quantization",
    "BatchNet": "tta progressive-resizing ensemble quantization pruning",
    "NamedNet": "ema mixed-precision gradient-accumulation",
}
REFUSED = {
    ("DictNet", "label-smoothing"): "loss takes no pair",
    ("DataclassNet", "memory-efficient-attention"): "no attention to replace",
    ("DictNet", "pruning"): "pruning would change the output's shape",
    ("MethodNet", "compile"): "no step calls what compile changes of the model",
    ("MasksNet", "progressive-resizing"): "a rehearsed step failed: ValueError: Target size",
    ("MasksNet", "ensemble"): "is no row of scores each",
    ("BatchNet", "mixup"): "the model takes dict, and batches are to be",
    ("NamedNet", "tta"): "the model does not take its own sample",
    ("NamedNet", "pruning"): "the model does not take its own sample",
    ("NamedNet", "sequence-reduction"): "shape .* these are no series",
    ("RecurrentNet", "pruning"): "whose channels can't be traced",
}


def rehearsed(model: str, *techniques: str) -> None:
    """Rehearse techniques on a model, as before a trial."""
    case = Case(f"{FILE}:{model}", {})
    recipe, places = case.recipe(*techniques)
    spec = TrialSpec(
        arm="odd", pair=0, seed=0, kind="build", recipe=recipe, metric="accuracy", device="cpu",
        threads=1, places=places, scratch="unused",
    )  # fmt: skip
    job = assembly.build(recipe, places, case.device, 0, others=shortened)
    rehearse_trial(spec, assembly.techniques_of(recipe, places), job)


def refusal(model: str, technique: str) -> str:
    """Return why a technique is refused; nothing where it works."""
    try:
        rehearsed(model, technique)
    except BenchError as reason:
        return str(reason)
    return ""


@pytest.mark.parametrize(
    ("model", "technique"), [(model, one) for model, all_ in WORKS.items() for one in all_.split()]
)
def test_a_technique_works_on_a_model_of_other_make(model: str, technique: str) -> None:
    rehearsed(model, technique)


@pytest.mark.parametrize(("model", "technique"), REFUSED)
def test_a_technique_that_cant_work_there_says_why(model: str, technique: str) -> None:
    with pytest.raises(NotApplicable, match=REFUSED[model, technique]):
        rehearsed(model, technique)


@pytest.mark.slow
@pytest.mark.parametrize("model", [kind.__name__ for kind in ODD])
def test_every_technique_works_or_is_refused_in_one_line(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled whole on one model; on the others traced, without the kernels, which cost most."""
    if model != ODD[0].__name__:
        traced_only = functools.partial(torch.compile, backend="aot_eager")
        monkeypatch.setattr(torch, "compile", lambda model, **kinds: traced_only(model))
    rehearsed(model)
    said = {technique: refusal(model, technique) for technique in TECHNIQUES}
    assert not {name: text for name, text in said.items() if "\n" in text or len(text) > 400}


def test_a_metric_that_an_evaluation_does_not_give_is_the_users_to_name() -> None:
    with pytest.raises(BenchError, match="evaluate gave acc; the target is accuracy"):
        check_metric({"acc": 0.5}, "accuracy")
