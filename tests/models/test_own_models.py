"""Ten models as people of their fields write them: every technique works on them, or says why not.

The fast tests rehearse what should work and what should not. The slow ones measure all that apply:
two models by the command line's `list techniques`, then `--test`, the others in trials without it.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from time import monotonic

import pytest
import torch

from bench.errors import BenchError, NotApplicable
from bench.job import Progress
from bench.recipes import assembly
from bench.records.measurement import Measurement, Status
from bench.testing import CPU, Case
from bench.trial.describe import describe
from bench.trial.measure import observe
from bench.trial.rehearsal import rehearse_trial, shortened
from bench.trial.scheduling import optimizer_of
from bench.trial.spec import TrialSpec
from bench.trial.training import train
from bench.turns import Turns
from tests.cli.calls import call
from tests.cli.processes import only_run, records
from tests.contract.cases import TECHNIQUES
from tests.contract.child import in_child

HERE = Path(__file__).resolve().parent
MODELS = {
    "causal_lm": "CausalLM", "encoder": "Encoder", "lit": "Lightning", "gcn": "Graph",
    "unet": "Segmentation", "packed_lstm": "Sentiment", "gan": "Gan", "vae": "Autoencoder",
    "tabular": "Houses", "lora": "Lora",
}  # fmt: skip
WORKS = {
    "causal_lm": "mixed-precision ema fused-optimizer gradient-accumulation low-rank",
    "encoder": "mixed-precision gradient-accumulation ema quantization:mode=bf16 "
    "knowledge-distillation",
    "lit": "mixed-precision fused-optimizer gradient-accumulation ema",
    "gcn": "fused-optimizer ema early-stopping:patience=1,every=1",
    "unet": "mixed-precision gradient-accumulation channels-last ema",
    "packed_lstm": "gradient-accumulation fused-optimizer quantization:mode=dynamic",
    "gan": "mixed-precision gradient-accumulation fused-optimizer adafactor low-rank",
    "vae": "fused-optimizer ema",
    "tabular": "mixed-precision fused-optimizer ema gradient-accumulation",
    "lora": "ema gradient-accumulation mixed-precision fused-optimizer",
}
BY_COMMAND = {"gan", "gcn"}
"""What `bench` itself measures: a net for each optimizer, and batches that can't be divided."""
REFUSED = {
    ("encoder", "dynamic-lr"): "sets its learning rate itself",
    ("lit", "dynamic-lr"): "sets its learning rate itself",
    ("lit", "compile"): "no step calls what compile changes of the model",
    ("gcn", "gradient-accumulation"): "a batch holds a sparse tensor, which has no items",
    ("gan", "ema"): "optimizers take turns: critic, generator",
    ("gan", "knowledge-distillation"): "has several losses, critic, generator: which of them",
    ("vae", "knowledge-distillation"): "where the model's answers are 1 higher, all elements",
    ("unet", "fused-optimizer"): "torch.optim.RMSprop has no fused form",
    ("unet", "progressive-resizing"): "a rehearsed step failed: ValueError: Target size",
}
each_model = pytest.mark.parametrize("model", MODELS)


def case_of(model: str) -> Case:
    return Case(f"{HERE / model}.py:{MODELS[model]}", {})


def trial_of(model: str, *techniques: str, scratch: str = "unused") -> TrialSpec:
    recipe, places = case_of(model).recipe(*techniques)
    metric = str(assembly.baseline_of(recipe, places).target.metric)
    return TrialSpec(
        arm="own", pair=0, seed=0, kind="build", recipe=recipe, metric=metric, device="cpu",
        threads=1, places=places, scratch=scratch,
    )  # fmt: skip


def rehearsed(model: str, *techniques: str) -> None:
    trial = trial_of(model, *techniques)
    job = assembly.build(trial.recipe, trial.places, CPU, 0, others=shortened)
    rehearse_trial(trial, assembly.techniques_of(trial.recipe, trial.places), job)


@each_model
def test_a_model_trains_and_repeats_and_what_a_check_says_of_it_is_so(
    model: str, tmp_path: Path
) -> None:
    """A summed loss, a loss of nodes, a sparse graph among them."""
    found = describe(lambda: case_of(model).job(), "any", tmp_path)
    assert found.repeats
    assert found.model_bytes
    assert (found.mean_of_parts is False) == (model == "vae")
    assert bool(found.unsplit) == (model == "gcn")
    if model == "encoder":
        assert found.items == 16
        assert "text: 16 x str" in found.batch
        assert "token_type_ids: None" in found.batch
    assert train(case_of(model).job()).evaluations[-1].values


@pytest.mark.parametrize(
    ("model", "technique"), [(model, one) for model, all_ in WORKS.items() for one in all_.split()]
)
def test_a_technique_works_on_a_model_of_one_s_own(model: str, technique: str) -> None:
    rehearsed(model, technique)


@pytest.mark.parametrize(("model", "technique"), REFUSED)
def test_a_technique_that_can_t_work_there_says_why(model: str, technique: str) -> None:
    with pytest.raises(NotApplicable, match=REFUSED[model, technique]) as refused:
        rehearsed(model, technique)
    assert "\n" not in str(refused.value)


def test_each_net_of_a_gan_learns_with_its_own_optimizer_once_both_are_factorised() -> None:
    job = case_of("gan").job("low-rank:after=0.4")
    optimizer = optimizer_of(job)
    assert isinstance(optimizer, Turns)
    progress, learnt = Progress(job.epochs), dict[str, set[str]]()
    for epoch in (0, 1):
        progress.epoch = epoch
        job.schedule(optimizer, progress)
        names = {id(p): name for name, p in job.model.named_parameters()}
        before = {name: p.detach().clone() for name, p in job.model.named_parameters()}
        job.step(job, next(iter(job.batches(progress))), optimizer, lambda phase: None)
    for part, own in optimizer.named.items():
        learnt[part] = {names[id(p)] for group in own.param_groups for p in group["params"]}
    moved = {n for n, p in job.model.named_parameters() if not torch.equal(p, before[n])}
    assert learnt["critic"] | learnt["generator"] == moved == set(before)
    assert {name.partition(".")[0] for name in learnt["critic"]} == {"critic"}
    assert {name.partition(".")[0] for name in learnt["generator"]} == {"generator"}
    assert any(".0.1." in name for name in learnt["critic"])


def test_frozen_weights_are_frozen_whatever_is_done_to_the_model() -> None:
    for technique in ("pruning:after=0", "low-rank", "ema", "gradient-checkpointing"):
        try:
            job = case_of("lora").job(technique)
        except BenchError:
            continue
        trainable = sum(p.numel() for p in job.model.parameters() if p.requires_grad)
        assert trainable <= sum(
            p.numel() for p in case_of("lora").job().model.parameters() if p.requires_grad
        )


def failures(model: str, scratch: str) -> dict[str, str | None]:
    """Measure a model with each technique as trials do; return by technique what failed."""
    found: dict[str, str | None] = {}
    for names in ((), *((name,) for name in TECHNIQUES if name != "compile")):
        with contextlib.suppress(NotApplicable):
            trial = trial_of(model, *names, scratch=scratch)
            if (record := measured(trial)).status is Status.FAILED:
                found["+".join(names)] = record.reason
    return found


def measured(trial: TrialSpec) -> Measurement:
    """Return the record of a trial, or of its rehearsal where that is not passed."""
    built = observe(trial, monotonic()).measurement
    if built.status is not Status.OK:
        return built
    whole = trial.model_copy(update={"kind": "full", "count_flops": True})
    return observe(whole, monotonic()).measurement


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(MODELS.keys() - BY_COMMAND))
def test_all_that_apply_are_measured_without_a_failure(model: str, tmp_path: Path) -> None:
    """In one child, which keeps what a trial's process does to itself."""

    def check() -> None:
        assert failures(model, str(tmp_path)) == {}

    in_child(check)


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(BY_COMMAND))
def test_the_command_measures_all_that_apply_without_a_failure(model: str, tmp_path: Path) -> None:
    baseline = case_of(model).baseline
    listed = call("list", "techniques", "--baseline", baseline, "--json", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    assert all(row["applies"] or row["reason"] for row in rows)
    named = [row["name"] for row in rows if row["applies"] and row["name"] != "compile"]
    measured = ("--baseline", baseline, "--test", *named, "--repeats", "1", "--quiet")
    done = call(*measured, "--threads", "1", cwd=tmp_path)
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode in (0, 3), done.stderr
    failed = [
        (r["arm"], r["reason"]) for r in records(only_run(tmp_path)) if r["status"] == "failed"
    ]
    assert not failed
