"""mixed-precision, gradient-accumulation and gradient-checkpointing, each by what is its own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import Clash, NotApplicable
from bench.job import Job, Mark, Progress, plain_backward, plain_step, plain_update
from bench.model.activations import activations
from bench.testing import PROMISES, Promise
from bench.trial.rehearsal import rehearse
from bench.trial.training import train
from optimizers.dynamic_lr import DynamicLR
from optimizers.ema import Ema
from optimizers.gradient_accumulation import GradientAccumulation, sums_up
from optimizers.gradient_checkpointing import GradientCheckpointing, repeated_blocks
from optimizers.mixed_precision import MixedPrecision
from tests.contract.cases import CONV_NET, PICTURES, Case, probe_for
from tests.jobs import Block, ConvNet, ConvSettings, job_of, linear_job

CPU = torch.device("cpu")
SCALE = 1024.0


def test_fp16_needs_cuda() -> None:
    with pytest.raises(NotApplicable, match="fp16 needs CUDA: on the CPU use precision=bf16"):
        MixedPrecision(precision="fp16").apply(linear_job())


def test_bf16_computes_the_model_in_bfloat16_and_keeps_its_weights() -> None:
    seen: list[torch.dtype] = []

    def loss(model: nn.Module, batch: Any) -> Tensor:
        found = model(batch[0])
        seen.append(found.dtype)
        return nn.functional.cross_entropy(found, batch[1])

    job = MixedPrecision().apply(linear_job(loss=loss))
    train(job)
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in job.model.parameters()} == {torch.float32}


@pytest.fixture
def scaler(monkeypatch: pytest.MonkeyPatch) -> torch.amp.GradScaler:
    """Put a scaler that works on the CPU in the place of the one for CUDA."""
    made = torch.amp.GradScaler("cpu", init_scale=SCALE)
    monkeypatch.setattr(torch.amp, "GradScaler", lambda kind: made)
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype: torch.inference_mode(False))
    return made


def fp16(**parts: Any) -> Job:
    """Return a job with fp16, made to believe that it is on CUDA; its data lies on the CPU."""
    unasked: dict[str, Any] = {"sample": lambda items: ()}  # it could not run there
    job = linear_job(**{"device": torch.device("cuda"), **unasked, **parts})
    return MixedPrecision(precision="fp16").apply(job)


def one_step(job: Job) -> None:
    batch = next(iter(job.batches(None)))  # type: ignore[arg-type]  # it reads no progress
    job.step(job, batch, job.make_optimizer(job.model), lambda phase: None)


@pytest.mark.usefixtures("scaler")
def test_the_loss_is_scaled_before_backward() -> None:
    scaled: list[float] = []

    def backward(loss: Tensor) -> None:
        scaled.append(loss.item())
        plain_backward(loss)

    job = fp16(backward=backward)
    batch = next(iter(linear_job().batches(None)))  # type: ignore[arg-type]  # as above
    plain = linear_job()
    one_step(job)
    assert scaled == pytest.approx([SCALE * plain.loss(plain.model, batch).item()])


@pytest.mark.usefixtures("scaler")
def test_clipping_inside_the_update_sees_true_gradients() -> None:
    norms: list[float] = []

    def clipped(optimizer: Optimizer) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(nn.utils.clip_grad_norm_(parameters, 0.01)))
        plain_update(optimizer)

    scaled, plain = fp16(update=clipped), linear_job(update=clipped)
    one_step(scaled)
    one_step(plain)
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    for one, other in zip(scaled.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-5)


def test_an_infinite_gradient_skips_the_step_and_lowers_the_scale(
    scaler: torch.amp.GradScaler,
) -> None:
    job = fp16(loss=lambda model, batch: model(batch[0]).sum() * 1e38)
    before = copy.deepcopy(job.model.state_dict())
    one_step(job)
    after = job.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert scaler.get_scale() == SCALE / 2
    assert all(p.grad is None for p in job.model.parameters())


@pytest.mark.usefixtures("scaler")
def test_an_update_that_steps_only_at_times_is_refused_under_a_scaler() -> None:
    calls: list[int] = []

    def update(optimizer: Optimizer) -> None:
        calls.append(1)
        if len(calls) % 4 == 0:
            plain_update(optimizer)

    with pytest.raises(NotApplicable, match="makes no step at times and goes on adding up"):
        one_step(fp16(update=update))


class Noam:
    """Sets the rate of an optimizer and lets it step, as in The Annotated Transformer."""

    def __init__(self, inner: Optimizer) -> None:
        self.inner = inner

    def step(self) -> None:
        """Make a step."""
        self.inner.param_groups[0]["lr"] = 0.01
        self.inner.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients."""
        self.inner.zero_grad(set_to_none)


def noam(model: nn.Module) -> Any:
    """Make an optimizer that has no groups."""
    return Noam(torch.optim.SGD(model.parameters(), 0.1))


@pytest.mark.usefixtures("scaler")
def test_an_optimizer_without_groups_is_refused_under_a_scaler() -> None:
    with pytest.raises(NotApplicable, match="a Noam, has no param_groups"):
        one_step(fp16(make_optimizer=noam))


def test_an_optimizer_without_groups_is_refused_by_what_reads_them() -> None:
    for technique in (Ema(), DynamicLR()):
        with pytest.raises(NotApplicable, match="a Noam, has no param_groups"):
            train(technique.apply(linear_job(make_optimizer=noam)))


def gradients(job: Job) -> list[Tensor]:
    """Return the gradients of one step."""
    found: list[Tensor] = []

    def keep(optimizer: Optimizer) -> None:
        found.extend(p.grad.clone() for p in job.model.parameters() if p.grad is not None)

    one_step(job.wrap("update", lambda old: keep, by="test"))
    return found


@pytest.mark.parametrize("parts", [2, 3, 5, 8, 100])
def test_accumulated_gradients_of_a_mean_loss_are_those_of_the_whole_batch(parts: int) -> None:
    accumulated = gradients(GradientAccumulation(microbatches=parts).apply(linear_job()))
    whole = gradients(linear_job())
    assert len(whole) == len(accumulated) == 2
    for one, other in zip(accumulated, whole, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)


def test_the_loss_of_accumulated_microbatches_is_that_of_the_whole_batch() -> None:
    accumulated = train(GradientAccumulation(microbatches=3).apply(linear_job())).losses
    assert accumulated == pytest.approx(train(linear_job()).losses, abs=1e-4)


def token_job(**parts: Any) -> Job:
    """Return the job of a mean over tokens: sequences have 1 to 6 that count, the others are 0."""
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(32, 6, 8, generator=random)
    y = x[..., :3].argmax(-1)
    y[torch.arange(6)[None] >= torch.randint(1, 7, (32, 1), generator=random)] = -100

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]).transpose(1, 2), batch[1])

    return job_of(nn.Linear(8, 3), x, y, loss=loss, validate=None, **parts)


def tokens(batch: Any) -> int:
    return int((batch[1] >= 0).sum())


def test_a_mean_over_tokens_is_not_taken_for_one_over_sequences() -> None:
    job = GradientAccumulation().apply(token_job())
    said = r"the loss of a batch, 1\.\d+, is not the mean of its 2 parts' by their items, 1\.\d+"
    with pytest.raises(NotApplicable, match=said):
        one_step(job)


def test_a_mean_over_tokens_that_are_counted_is_that_of_the_whole_batch() -> None:
    parts = gradients(GradientAccumulation(microbatches=4).apply(token_job(items=tokens)))
    whole = gradients(token_job())
    torch.testing.assert_close(parts, whole)


def test_a_microbatch_without_a_label_is_refused_or_left_out_and_is_never_nan() -> None:
    def job(**parts: Any) -> Job:
        x, y = torch.randn(32, 6), torch.arange(32) % 2
        y[::3] = -100
        torch.manual_seed(0)
        return job_of(nn.Linear(6, 2), x, y, **parts)

    with pytest.raises(NotApplicable, match="of its 8 parts' by their items, nan"):
        one_step(GradientAccumulation(microbatches=8).apply(job()))
    counted = GradientAccumulation(microbatches=8).apply(job(items=tokens))
    assert all(map(math.isfinite, train(counted).losses))


def test_a_loss_that_is_a_sum_has_the_gradient_of_the_whole_batch() -> None:
    def job() -> Job:
        return linear_job(loss=lambda model, batch: model(batch[0]).square().sum(), validate=None)

    parts = gradients(GradientAccumulation(microbatches=4).apply(job()))
    torch.testing.assert_close(parts, gradients(job()))


def test_a_loss_over_pairs_of_items_is_accumulated_as_the_card_says() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        near = model(batch[0]) @ model(batch[0]).T
        return nn.functional.cross_entropy(near, torch.arange(len(near)))

    torch.manual_seed(0)
    found = train(GradientAccumulation().apply(linear_job(loss=loss, validate=None))).losses
    assert all(map(math.isfinite, found))


def test_batch_norm_gets_no_microbatch_of_one_item_where_there_were_more() -> None:
    sizes: list[int] = []
    net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    net[1].register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0])) if module.training else None
    )
    x = torch.randn(11, 6)
    train(GradientAccumulation().apply(job_of(net, x, (x[:, 0] > 0).long(), epochs=1)))
    assert sizes == [4, 4, 3]


def test_comparing_a_batch_with_its_parts_leaves_the_training_as_it_was() -> None:
    def job() -> Job:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
        net[1].eval()
        return linear_job(model=net)

    plain = job()
    before = torch.get_rng_state(), copy.deepcopy(plain.model.state_dict())
    (batch,) = [next(iter(plain.batches(Progress(1))))]
    sums_up(plain, plain.loss, batch, plain.split(batch, 2))
    assert torch.equal(torch.get_rng_state(), before[0])
    torch.testing.assert_close(dict(plain.model.state_dict()), dict(before[1]))
    modes = [module.training for module in plain.model.modules()]
    assert modes == [True, True, False, True, True]


@pytest.mark.parametrize("spread", [0.0, 0.02], ids=["zeros", "small"])
def test_means_with_other_weights_are_told_where_all_losses_are_nearly_equal(spread: float) -> None:
    model = nn.Linear(6, 2)
    nn.init.normal_(model.weight, std=spread)
    nn.init.zeros_(model.bias)
    weights = torch.tensor([1.0, 2.0])

    def weighted(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1], weight=weights)

    job = linear_job(model=model, loss=weighted)
    batch = next(iter(job.batches(Progress(1))))
    with pytest.raises(NotApplicable, match="is not the mean of its 2 parts'"):
        sums_up(job, job.loss, batch, job.split(batch, 2))


def of_small_weights(spread: float) -> Job:
    """Return the job of a model of words, of small weights, whose rows are of unlike lengths."""
    draw = torch.Generator().manual_seed(0)
    words = torch.randint(1, 64, (32, 12), generator=draw)
    there = torch.arange(12) < torch.randint(2, 13, (32, 1), generator=draw)
    model = nn.Sequential(nn.Embedding(64, 32), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 64))
    for weight in model.parameters():
        nn.init.normal_(weight, std=spread)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())

    return job_of(model, words, torch.where(there, words, -100), loss=loss)


@pytest.mark.parametrize("spread", [0.0, 1e-3, 0.02, 0.5])
def test_a_mean_over_words_is_told_however_small_the_weights_begin(spread: float) -> None:
    job = of_small_weights(spread)
    for batch in job.batches(Progress(1)):
        with pytest.raises(NotApplicable, match="is not the mean of its 2 parts'"):
            sums_up(job, job.loss, batch, job.split(batch, 2))


@pytest.mark.parametrize(
    "penalty", [lambda model, loss, n: loss / n**0.5, lambda model, loss, n: loss + penalty(model)]
)
def test_a_loss_that_adds_up_in_another_way_is_refused(penalty: Callable[..., Tensor]) -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        whole = nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")
        return penalty(model, whole, len(batch[1]))

    job = linear_job(loss=loss)
    batch = next(iter(job.batches(Progress(1))))
    with pytest.raises(NotApplicable, match="adds up over its items, but is neither the mean"):
        sums_up(job, job.loss, batch, job.split(batch, 2))


def penalty(model: nn.Module) -> Tensor:
    """Return a penalty of weights, once a batch."""
    return torch.stack([weight.square().sum() for weight in model.parameters()]).sum() * 10


def test_weights_that_change_while_gradients_are_computed_are_refused() -> None:
    job = linear_job()

    def step(weight: Tensor) -> None:
        with torch.no_grad():
            weight.sub_(weight.grad, alpha=0.1)  # type: ignore[arg-type]  # it has one by now

    for weight in job.model.parameters():
        weight.register_post_accumulate_grad_hook(step)  # type: ignore[no-untyped-call]  # torch
    with pytest.raises(NotApplicable, match="a batch in parts would change them several times"):
        rehearse(GradientAccumulation().apply(job))


def test_a_mean_in_16_bits_is_one_though_it_is_rounded() -> None:
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    job = job_of(nn.Linear(6, 2).bfloat16(), x, (x.float().sum(1) > 0).long())
    for batch in job.batches(Progress(1)):
        assert not sums_up(job, job.loss, batch, job.split(batch, 2))


def test_a_baseline_s_own_step_is_not_replaced() -> None:
    def step(job: Job, batch: Any, optimizer: Optimizer, mark: Mark) -> Tensor:
        return plain_step(job, batch, optimizer, mark)

    with pytest.raises(NotApplicable, match="the baseline makes its steps by itself"):
        GradientAccumulation().apply(linear_job(step=step))


def test_a_batch_too_small_to_split_does_not_apply() -> None:
    technique = GradientAccumulation(microbatches=16)
    with pytest.raises(NotApplicable, match="a batch of 8 can't be split into 16 microbatches"):
        technique.configure(ConvSettings(), probe_for(technique))


def test_a_step_that_another_technique_replaced_is_a_clash() -> None:
    job = linear_job().claim("step", plain_step, by="other")
    with pytest.raises(Clash, match="gradient-accumulation and other both replace the job's step"):
        GradientAccumulation().apply(job)


def conv_job() -> Job:
    return ConvNet().job(ConvSettings(), CPU, seed=0)


def test_every_repeated_block_is_found() -> None:
    assert len(repeated_blocks(conv_job().model)) == 3


def test_blocks_inside_of_blocks_are_not_checkpointed_twice() -> None:
    class Outer(nn.Module):
        """Holds blocks."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(Block(2), Block(2))

    model = nn.ModuleList([Outer(), Outer()])
    assert repeated_blocks(model) == list(model)


def test_without_repeated_blocks_checkpointing_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="the model has no repeated blocks"):
        GradientCheckpointing().apply(linear_job())


def test_a_block_with_a_forward_of_its_own_is_refused() -> None:
    job = conv_job()
    block = repeated_blocks(job.model)[1]
    block.forward = MethodType(type(block).forward, block)
    with pytest.raises(NotApplicable, match="a block, Block, has a forward of its own"):
        GradientCheckpointing().apply(job)
    assert {type(one) for one in repeated_blocks(job.model)} == {Block}


def test_a_block_in_several_places_is_checkpointed_once() -> None:
    class Counted(Block):
        """Counts how often it is computed."""

        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Counted.calls += 1
            return super().forward(x)

    block = Counted(2)
    model = nn.Sequential(*[block] * 3)
    assert repeated_blocks(model) == [block]
    GradientCheckpointing().apply(linear_job(model=model))
    model(torch.randn(2, 2, 8)).sum().backward()
    assert Counted.calls == 3 + 3


def saved_bytes(job: Job) -> int:
    """Return how much one forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    batch = next(iter(job.batches(None)))  # type: ignore[arg-type]  # as above
    job.model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        job.loss(job.model, batch)
    return sum(kept.values())


def test_checkpointing_keeps_less_for_the_backward_pass() -> None:
    every = saved_bytes(GradientCheckpointing().apply(conv_job()))
    second = saved_bytes(GradientCheckpointing(every=2).apply(conv_job()))
    assert every < second < saved_bytes(conv_job())


def test_a_checkpointed_block_is_still_of_its_class() -> None:
    job = GradientCheckpointing().apply(conv_job())
    assert sum(isinstance(module, Block) for module in job.model.modules()) == 3
    assert list(job.model.state_dict()) == list(conv_job().model.state_dict())


def uneven_job() -> Job:
    """Return a job of a net of blocks that hold unequally much."""
    torch.manual_seed(0)
    x = torch.randn(32, 4, 20)
    net = nn.Sequential(
        Block(4), nn.Conv1d(4, 16, 1), Block(16), nn.Conv1d(16, 12, 1), Block(12),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 2),
    )  # fmt: skip
    return job_of(net, x, (x.mean((1, 2)) > 0).long())


@pytest.mark.parametrize(("keep", "chosen"), [(0.8, ["2", "4"]), (0.7, ["0", "2", "4"])])
def test_by_memory_what_holds_most_is_checkpointed(keep: float, chosen: list[str]) -> None:
    plain = saved_bytes(uneven_job())
    job = GradientCheckpointing(keep=keep).apply(uneven_job())
    assert saved_bytes(job) < keep * plain
    kinds = {name: type(module) for name, module in uneven_job().model.named_children()}
    assert [n for n, m in job.model.named_children() if type(m) is not kinds[n]] == chosen


def test_what_checkpointing_can_not_reach_by_memory_is_said() -> None:
    with pytest.raises(NotApplicable, match=r"keep=0.05: at best \d+% of the activations are held"):
        GradientCheckpointing(keep=0.05).apply(uneven_job())


def test_looking_for_what_holds_memory_leaves_the_job_as_it_is() -> None:
    job, before = uneven_job(), torch.get_rng_state()
    state = copy.deepcopy(job.model.state_dict())
    found = activations(job)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(state[name], value) for name, value in job.model.state_dict().items())
    assert found.total > found.within["2"] > found.within["4"] > found.within["0"] > 0
    assert found.within["1"] == 0  # a convolution keeps its input alone


def test_blocks_by_number_and_by_memory_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="give one"):
        GradientCheckpointing(keep=0.5, every=2)


@pytest.mark.parametrize("case", [CONV_NET, PICTURES], ids=["conv-net", "pictures"])
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_checkpointing_by_memory_keeps_its_promises(case: Case, promise: Promise) -> None:
    promise(case, "gradient-checkpointing:keep=0.8")


def test_a_model_without_products_has_nothing_to_compute_in_bfloat16() -> None:
    model = nn.Sequential(nn.LayerNorm(6), nn.ReLU(), nn.Unflatten(1, (2, 3)), nn.AvgPool1d(3))
    with pytest.raises(NotApplicable, match="nothing of the model is computed in bf16"):
        MixedPrecision().apply(linear_job(model=nn.Sequential(*model, nn.Flatten())))


def test_a_model_that_does_not_run_in_bfloat16_is_refused_before_training() -> None:
    class OnlyFloat32(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            found = super().forward(x)
            if found.dtype is not torch.float32:
                raise RuntimeError("could not create a primitive descriptor")
            return found

    with pytest.raises(NotApplicable, match="does not run in bf16 here: could not create a prim"):
        MixedPrecision().apply(linear_job(model=OnlyFloat32(6, 2)))
