"""knowledge-distillation and ema: what is learnt from, what is averaged, what it costs."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress, plain_step
from bench.targets import Targets
from bench.testing import Case
from bench.trial.rehearsal import rehearse
from bench.trial.training import train
from optimizers.ema import Ema
from optimizers.knowledge_distillation import KnowledgeDistillation
from optimizers.pruning import Pruning
from tests.contract.cases import CONV_NET, JOBS
from tests.jobs import job_of, linear_job
from tests.techniques.test_pruning import conv_job, wide_job


def taught(again: Any = None, **settings: Any) -> Job:
    """Return the job of a narrow student, whose teacher is wide unless `again` makes another."""
    job = wide_job(hidden=4, again=again or (lambda changes: wide_job(hidden=32)))
    return KnowledgeDistillation.model_validate(settings).apply(job)


def gap_of(job: Job) -> float:
    """Return the Kullback-Leibler divergence of the trained student from its teacher."""
    teacher = train(wide_job(hidden=32)).model.eval()
    student = train(job).model.eval()
    x = job.sample(8)
    with torch.no_grad():
        found, wanted = (F.log_softmax(model(*x), 1) for model in (student, teacher))
    return F.kl_div(found, wanted, log_target=True, reduction="batchmean").item()


def test_the_loss_is_mixed_with_the_divergence_of_softened_probabilities() -> None:
    teacher = wide_job(hidden=32)
    job = taught(lambda changes: teacher, weight=0.25, temperature=2.0)
    x, y = next(iter(job.batches(Progress(3))))
    student = job.model
    soft, own = (F.softmax(m(x) / 2, 1) for m in (teacher.model, student))
    divergence = (soft * (soft.log() - own.log())).sum(1).mean() * 4
    expected = 0.75 * F.cross_entropy(student(x), y) + 0.25 * divergence
    assert job.loss(student, (x, y)).item() == pytest.approx(expected.item(), rel=1e-5)


KEEPS = """
from dataclasses import replace

from torch.optim.lr_scheduler import LambdaLR

from tests.jobs import ConvNet


class Keeps(ConvNet):
    def job(self, settings, device, seed):
        job = super().job(settings, device, seed)

        def make(model):
            made = job.make_optimizer(model)
            self.scheduler = LambdaLR(made, lambda step: 0.5**step)
            return made

        def update(optimizer):
            optimizer.step()
            self.scheduler.step()
            job.model.rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.zero_grad()

        return replace(job, make_optimizer=make, update=update)
"""


def test_a_teacher_takes_nothing_that_a_baseline_keeps_on_itself(tmp_path: Path) -> None:
    (tmp_path / "keeps.py").write_text(KEEPS)
    rates: list[Any] = []
    for technique in ((), ("knowledge-distillation",)):
        job = Case(f"{tmp_path / 'keeps.py'}:Keeps", {"epochs": 1}).job(*technique)
        train(job)
        rates.append(job.model.rates)
    assert rates[0] == rates[1]
    assert 0 < rates[0][0] < 0.01


class Constant(nn.Module):
    """Answers the same whatever it sees."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def silent(model: nn.Module, batch: Any) -> Tensor:
    """Ask the model, and return 0."""
    answer: Tensor = model(batch[0])
    return 0 * answer.sum()


@pytest.mark.parametrize("heads", [(), (3, 2)], ids=["labels", "heads"])
def test_of_labels_and_heads_each_is_compared_by_itself(heads: tuple[int, ...]) -> None:
    ours, theirs = torch.randn(2, 8, 5)
    job = wide_job(hidden=4, loss=silent, targets=Targets(heads=heads))
    teacher = dataclasses.replace(job, model=Constant(theirs))
    job = dataclasses.replace(job, model=Constant(ours), again=lambda changes: teacher)
    job = KnowledgeDistillation(weight=1.0, temperature=1.0).apply(job)
    if heads:
        spans = slice(None, 3), slice(3, None)
        pairs = [(theirs[:, span].softmax(1), ours[:, span].softmax(1)) for span in spans]
        each = [(p * (p / q).log()).sum(1).mean() for p, q in pairs]
    else:
        p, q = theirs.sigmoid(), ours.sigmoid()
        each = [p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()]
    x, y = next(iter(job.batches(Progress(3))))
    expected = torch.stack(each).mean().item()
    assert job.loss(job.model, (x, y)).item() == pytest.approx(expected, rel=1e-4)


def test_features_may_have_other_widths() -> None:
    job = taught(match="features")
    x, y = next(iter(job.batches(Progress(3))))
    loss = job.loss(job.model, (x, y))
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert loss.item() > 0
    assert all(p.grad is not None for p in job.model.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_loss_keeps_its_dtype(dtype: torch.dtype) -> None:
    def cast(hidden: int) -> Job:
        job = wide_job(hidden=hidden)
        x, y = next(iter(job.batches(Progress(1))))
        return dataclasses.replace(
            job, model=job.model.to(dtype), batches=lambda progress: [(x.to(dtype), y)],
            sample=lambda n: (x[:n].to(dtype),),
        )  # fmt: skip

    job = dataclasses.replace(cast(4), again=lambda changes: cast(32))
    rehearse(KnowledgeDistillation(match="features").apply(job))


def test_a_scripted_model_is_refused_in_words() -> None:
    job = wide_job(hidden=4)
    scripted = torch.jit.script(job.model)
    job = dataclasses.replace(job, model=scripted, again=lambda changes: wide_job(hidden=32))
    with pytest.raises(NotApplicable, match="is a ScriptModule, whose calls can't be listened to"):
        KnowledgeDistillation().apply(job)


def test_a_student_comes_nearer_to_its_teacher() -> None:
    alone = gap_of(wide_job(hidden=4))
    assert gap_of(taught(weight=0.9, temperature=1.0)) < alone


def test_the_teacher_is_trained_once_and_its_steps_take_training_time() -> None:
    steps: list[str] = []

    def counting(who: str, job: Job) -> Job:
        def step(*args: Any) -> Tensor:
            steps.append(who)
            return plain_step(*args)

        return job.claim("step", step, by=who)

    student = counting("student", wide_job(hidden=4))
    object.__setattr__(student, "again", lambda changes: counting("teacher", wide_job(hidden=32)))
    result = train(KnowledgeDistillation().apply(student))
    assert steps == ["teacher"] * 12 + ["student"] * 12
    first, *others = [step.wall for step in result.timeline.steps]
    assert first > min(others)
    assert result.timeline.seconds >= first


def test_the_teacher_is_never_judged_on_the_test_part() -> None:
    def evaluate(model: nn.Module) -> Mapping[str, float]:
        raise AssertionError("the teacher was evaluated")

    train(taught(lambda changes: wide_job(hidden=32, evaluate=evaluate, evaluate_every=1)))


def test_a_teacher_draws_no_random_numbers_of_the_student_s() -> None:
    job = taught()
    torch.manual_seed(5)
    job.schedule(job.make_optimizer(job.model), Progress(3))
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_settings_of_both_are_those_of_the_baseline() -> None:
    text = 'knowledge-distillation:teacher={"epochs": 2},student={"epochs": 1}'
    recipe, _ = CONV_NET.recipe(text)
    assert recipe.settings["epochs"] == 1
    assert CONV_NET.job(text).epochs == 1


def test_settings_that_the_baseline_does_not_have_are_refused() -> None:
    with pytest.raises(BenchError, match="settings that the baseline refuses: depth"):
        CONV_NET.recipe('knowledge-distillation:student={"depth": 1}')
    with pytest.raises(BenchError, match='has no setting "epoch"; did you mean "epochs"'):
        CONV_NET.job('knowledge-distillation:teacher={"epoch": 1}')


def test_a_teacher_may_be_an_exported_recipe(tmp_path: Path) -> None:
    from tests.records import exported

    recipe, _ = CONV_NET.recipe("mixed-precision")
    (tmp_path / "jobs.py").write_bytes(JOBS.read_bytes())
    made = exported(recipe=recipe, recipe_id=recipe.id)
    (tmp_path / "optimized.json").write_text(made.model_dump_json())
    text = f"knowledge-distillation:teacher_recipe={tmp_path / 'optimized.json'}"
    losses = train(CONV_NET.job(text)).losses
    assert losses != train(CONV_NET.job("knowledge-distillation")).losses


def test_outputs_that_are_no_logits_do_not_apply() -> None:
    model = nn.Unflatten(1, (3, 2))
    with pytest.raises(NotApplicable, match=r"logits \(items, classes\)"):
        KnowledgeDistillation().apply(linear_job(model=model, again=lambda changes: linear_job()))


def numbers(model: nn.Module, batch: Any) -> Tensor:
    """Return a loss of two numbers for each item, which are no scores."""
    gap: Tensor = model(batch[0]) - batch[0][:, :2]
    return gap.square().mean()


def logarithms(model: nn.Module, batch: Any) -> Tensor:
    """Return the loss of logarithms of probabilities, as a model with log_softmax at its end."""
    found: Tensor = model(batch[0])
    return F.nll_loss(found, batch[1])


def test_two_numbers_an_item_are_no_scores_of_classes() -> None:
    job = taught(lambda changes: wide_job(hidden=32, loss=numbers))
    rehearse(job)
    job = wide_job(hidden=4, loss=numbers, again=lambda changes: wide_job(hidden=32, loss=numbers))
    with pytest.raises(NotApplicable, match=r"answers are 1 higher, .*: they are no scores"):
        rehearse(KnowledgeDistillation().apply(job))


def test_logarithms_of_probabilities_are_scores() -> None:
    def ending() -> Job:
        job = wide_job(hidden=4, loss=logarithms)
        return dataclasses.replace(job, model=nn.Sequential(job.model, nn.LogSoftmax(1)))

    job = dataclasses.replace(ending(), again=lambda changes: ending())
    rehearse(KnowledgeDistillation().apply(job))


class WithFeatures(nn.Module):
    """Answers with features, as many as there are items in a batch, and scores of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x).relu()
        return features, self.head(features)


def of_scores(model: nn.Module, batch: Any) -> Tensor:
    """Return the loss of the second part of an answer."""
    return F.cross_entropy(model(batch[0])[1], batch[1])


@pytest.mark.parametrize("targets", [Targets(classes=2), Targets(heads=(2,)), None], ids=str)
def test_of_features_and_scores_the_scores_are_compared(targets: Targets | None) -> None:
    teacher = linear_job(model=WithFeatures(), loss=of_scores, targets=targets)
    job = dataclasses.replace(teacher, model=WithFeatures(), again=lambda changes: teacher)
    job = KnowledgeDistillation(weight=1.0, temperature=1.0).apply(job)
    x, y = next(iter(job.batches(Progress(3))))
    found, wanted = (model(x)[1].log_softmax(1) for model in (job.model, teacher.model))
    gap = F.kl_div(found, wanted, log_target=True, reduction="batchmean").item()
    assert job.loss(job.model, (x, y)).item() == pytest.approx(gap, rel=1e-4)


def test_answers_of_which_none_has_as_many_scores_as_classes_are_refused() -> None:
    teacher = linear_job(model=WithFeatures(), loss=of_scores, targets=Targets(classes=5))
    job = dataclasses.replace(teacher, model=WithFeatures(), again=lambda changes: teacher)
    with pytest.raises(NotApplicable, match=r"\(2, 8\), \(2, 2\), has 5 scores"):
        KnowledgeDistillation().apply(job)


def test_one_output_without_targets_could_not_be_compared() -> None:
    job = job_of(nn.Linear(6, 1), torch.randn(32, 6), torch.zeros(32).long())
    job = dataclasses.replace(job, again=lambda changes: job)
    with pytest.raises(NotApplicable, match="or targets: "):
        KnowledgeDistillation().apply(job)
    told = dataclasses.replace(job, targets=Targets())
    assert KnowledgeDistillation().apply(told).taken


def test_features_need_a_linear_layer() -> None:
    job = linear_job(model=nn.Flatten(), again=lambda changes: linear_job())
    with pytest.raises(NotApplicable, match="the model has none"):
        KnowledgeDistillation(match="features").apply(job)


def test_the_average_follows_its_formula() -> None:
    job = Ema(decay=0.2).apply(linear_job())
    weights: list[Tensor] = [next(job.model.parameters()).detach().clone()]
    optimizer = job.make_optimizer(job.model)
    for batch in job.batches(Progress(3)):
        job.step(job, batch, optimizer, lambda phase: None)
        weights.append(next(job.model.parameters()).detach().clone())
    mean = weights[1]  # the average starts from the first update's weights
    for updates, weight in enumerate(weights[1:], 1):
        kept = min(0.2, (1 + updates) / (10 + updates))
        mean = kept * mean + (1 - kept) * weight
    assert torch.allclose(next(job.snapshot(job.model).parameters()), mean, atol=1e-6)


def test_training_itself_is_not_changed_by_its_average() -> None:
    assert train(Ema().apply(conv_job())).losses == train(conv_job()).losses


def test_what_is_deployed_is_the_average_with_the_current_statistics() -> None:
    job = Ema().apply(conv_job())
    result = train(job)
    trained, found = job.model.state_dict(), result.model.state_dict()
    assert not torch.equal(found["0.weight"], trained["0.weight"])
    assert torch.equal(found["1.running_mean"], trained["1.running_mean"])


def test_a_baseline_that_averages_already_is_refused() -> None:
    with pytest.raises(NotApplicable, match="it averages them already"):
        Ema().apply(linear_job(snapshot=lambda model: nn.Linear(6, 2)))
    Ema().apply(linear_job(snapshot=copy.deepcopy))


def test_the_average_starts_anew_when_channels_are_removed() -> None:
    job = Ema().apply(Pruning(after=0.5).apply(conv_job(epochs=4)))
    model = train(job).model
    assert [tuple(p.shape) for p in model.parameters()] == [
        tuple(p.shape) for p in job.model.parameters()
    ]
