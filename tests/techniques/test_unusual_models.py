"""Techniques keep their promises on weights, buffers and optimizers that are seldom met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from bench.errors import NotApplicable
from bench.job import FixedItems, Job, Progress
from bench.targets import Targets
from bench.trial.training import train
from optimizers.adafactor import Adafactor
from optimizers.cached_features import CachedFeatures
from optimizers.channels_last import ChannelsLast, is_channels_last
from optimizers.compile import Compile
from optimizers.early_stopping import EarlyStopping
from optimizers.ema import Ema
from optimizers.ensemble import Ensemble
from optimizers.fused_optimizer import FusedOptimizer
from optimizers.gradient_accumulation import GradientAccumulation
from optimizers.gradient_checkpointing import GradientCheckpointing
from optimizers.knowledge_distillation import KnowledgeDistillation
from optimizers.label_smoothing import LabelSmoothing
from optimizers.low_rank import LowRank
from optimizers.memory_efficient_attention import MemoryEfficientAttention
from optimizers.mixed_precision import MixedPrecision
from optimizers.mixup import Mixup
from optimizers.oversampling import Oversampling
from optimizers.progressive_resizing import ProgressiveResizing
from optimizers.pruning import Pruning
from optimizers.sequence_reduction import SequenceReduction
from optimizers.tta import TestTimeAugmentation
from optimizers.weighted_sampling import WeightedSampling
from tests.jobs import cross_entropy, job_of, linear_job

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


def test_the_average_of_16_bit_weights_moves_by_steps_that_16_bits_do_not_hold() -> None:
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    job = Ema().apply(job_of(model, X, Y))
    optimizer = job.make_optimizer(model)
    for value in (1.0, 1.0625):
        nn.init.constant_(model.weight, value)
        for _ in range(500):
            job.update(optimizer)
    average = job.snapshot(model).get_parameter("weight")
    assert average.dtype is torch.bfloat16
    assert average.item() == pytest.approx(1.0625, abs=0.005)


def test_adafactor_goes_on_maximizing() -> None:
    def goodness(model: nn.Module, batch: Any) -> Tensor:
        return -cross_entropy(model, batch)

    job = job_of(
        net(), X, Y, epochs=10, loss=goodness,
        make_optimizer=lambda m: Adam(m.parameters(), lr=1e-2, maximize=True),
    )  # fmt: skip
    losses = train(Adafactor().apply(job)).losses
    assert losses[0] < losses[-1] < 0


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float64])
def test_factors_of_full_rank_are_the_layer_in_its_own_format(dtype: torch.dtype) -> None:
    layer = nn.Linear(16, 16, dtype=dtype)
    with torch.no_grad():  # of rank 2, so that factors of rank 4 lose nothing
        layer.weight.copy_(torch.randn(16, 2, dtype=dtype) @ torch.randn(2, 16, dtype=dtype))
    model = nn.Sequential(layer, nn.Identity())
    x = torch.randn(4, 16, dtype=dtype)
    before = model(x).detach()
    LowRank(after=0).apply(job_of(model, x, torch.zeros(4)))
    bound = 1e-4 if dtype is torch.complex64 else 1e-12
    assert float((model(x).detach() - before).abs().max()) < bound * float(before.abs().max())


def test_2d_layers_beside_3d_ones_are_laid_out() -> None:
    flat, deep = nn.Conv2d(2, 2, 3), nn.Conv3d(2, 2, 1)
    ChannelsLast().apply(job_of(nn.Sequential(deep, flat), X, Y))
    assert is_channels_last(flat.weight)
    assert deep.weight.is_contiguous()


class Counted(nn.Module):
    """Answers by its weights, and counts its training steps, which no state dict holds."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)
        self.register_buffer("count", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.count += int(self.training)
        found: Tensor = self.layer(x)
        return found


def test_buffers_that_no_state_dict_holds_come_back_with_the_best_weights() -> None:
    validated = iter([1.0, 0.5, 0.9, 0.9])
    job = job_of(Counted(), X, Y, epochs=4, validate=lambda model: next(validated))
    deployed = train(EarlyStopping(every=1).apply(job)).model
    assert deployed.get_buffer("count") == 8  # four steps an epoch, two epochs


class Sliced(nn.Module):
    """Trains every other column of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4)[:, ::2])

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def test_a_fused_form_of_weights_with_gaps_is_refused() -> None:
    def job() -> Job:
        return job_of(Sliced(), X, Y, make_optimizer=lambda m: Adam(m.parameters()))

    with pytest.raises(NotApplicable, match=r"a weight \(6, 2\) is a part of a larger tensor"):
        FusedOptimizer().apply(job())
    FusedOptimizer(form="foreach").apply(job())


class Attention(nn.Module):
    """Attention, its scores summed to 1 along `dim`, before a head of zeros."""

    def __init__(self, dim: int, fill: float = -torch.inf, noted: bool = False) -> None:
        super().__init__()
        self.to_all, self.head = nn.Linear(8, 24), nn.Linear(8, 2)
        nn.init.zeros_(self.head.weight)
        self.dim, self.fill, self.noted = dim, fill, noted

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_all(x).chunk(3, -1)
        scores = (q @ k.transpose(1, 2)).masked_fill((x[..., 0] > 9)[:, None], self.fill)
        weights = scores.softmax(self.dim)
        if self.noted:
            self.weights = weights
        found: Tensor = self.head((weights @ v).mean(1))
        return found


def attention_job(model: nn.Module) -> Job:
    x = torch.randn(8, 6, 8, generator=torch.Generator().manual_seed(0))
    return job_of(model, x, torch.zeros(8, dtype=torch.long))


@pytest.mark.parametrize(
    "model", [Attention(1), Attention(-1, fill=-5.0), Attention(-1, noted=True)],
    ids=["over queries", "a mask that lets some through", "weights that are noted"],
)  # fmt: skip
def test_a_head_of_zeros_hides_no_attention_that_is_another(model: Attention) -> None:
    with pytest.raises(NotApplicable, match="no attention to replace"):
        MemoryEfficientAttention().apply(attention_job(model))
    assert not isinstance(vars(model).get("weights"), torch.fx.Proxy)


def test_attention_before_a_head_of_zeros_is_replaced() -> None:
    MemoryEfficientAttention().apply(attention_job(Attention(-1)))


class Encoded(nn.Module):
    """A head on a frozen encoder, which is called as `how` says."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.encoder, self.head, self.how = (
            nn.Linear(6, 6).requires_grad_(False),
            nn.Linear(6, 2),
            how,
        )
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "scaled first":
            x = (x - 3) / 2
        features = self.encoder(x) + (x if self.how == "skipped too" else 0)
        if self.how == "twice":
            features = features + self.encoder(-x)
        found: Tensor = self.head(features)
        return found


def drawn(*sizes: int) -> FixedItems:
    """Return items of which every epoch draws batches of these sizes."""
    shuffle = torch.Generator().manual_seed(0)

    def rows(progress: Progress) -> Any:
        return torch.split(torch.randperm(32, generator=shuffle)[: sum(sizes)], list(sizes))

    return FixedItems(32, rows, lambda chosen: (X[chosen], Y[chosen]), labels=(X[:, 0] > 1).long())


@pytest.mark.parametrize("how", ["scaled first", "skipped too", "twice"])
def test_features_that_are_not_all_a_model_needs_are_not_cached(how: str) -> None:
    job = job_of(Encoded(how), X, Y, fixed=drawn(8, 8, 8, 8), encoder="encoder")
    kind = type(job.model.get_submodule("encoder"))
    with pytest.raises(NotApplicable, match="the model needs more than its outputs"):
        CachedFeatures().apply(job)
    assert type(job.model.get_submodule("encoder")) is kind


@pytest.mark.parametrize("sizes", [(4, 4, 4), (2, 10, 4, 8, 8)], ids=["a part", "unlike batches"])
def test_an_epoch_drawn_by_weights_has_the_batches_that_it_had(sizes: tuple[int, ...]) -> None:
    job = WeightedSampling().apply(job_of(Encoded(""), X, Y, fixed=drawn(*sizes)))
    assert tuple(len(batch[0]) for batch in job.batches(Progress(3))) == sizes


def test_an_oversampled_epoch_of_a_part_of_the_items_stays_one_of_that_part() -> None:
    job = job_of(Encoded(""), X, Y, fixed=drawn(4, 4, 4), epoch_items=12)
    found = Oversampling().apply(job)
    shown = 2 * int((X[:, 0] <= 1).sum())  # both classes as often as the frequent one
    assert found.epoch_items == round(12 * shown / 32)
    assert sum(len(batch[0]) for batch in found.batches(Progress(3))) == 12 * shown // 32 // 4 * 4


def test_a_mean_over_labelled_items_is_seen_where_a_later_batch_leaves_some_out() -> None:
    labels = Y.clone()
    labels[8:11] = -100

    def in_order(progress: Progress) -> Any:
        return zip(X.split(8), labels.split(8), strict=True)  # type: ignore[no-untyped-call]

    job = job_of(net(), X, labels, batches=in_order)
    with pytest.raises(NotApplicable, match="is not the mean of its 2 parts'"):
        train(GradientAccumulation().apply(job))


@pytest.mark.parametrize("unknown", [-1.0, torch.nan])
@pytest.mark.parametrize("technique", [Mixup(), LabelSmoothing()], ids=lambda one: one.name)
def test_labels_that_are_not_known_are_not_mixed_or_smoothed(
    technique: Mixup | LabelSmoothing, unknown: float
) -> None:
    labels = torch.zeros(32, 2)
    labels[:, 1] = unknown
    job = technique.apply(job_of(net(), X, labels, targets=Targets()))
    with pytest.raises(NotApplicable, match="8 of 16 are not, such as"):
        next(iter(job.batches(Progress(3))))


@pytest.mark.parametrize("beside", [torch.ones(16, 1, 20), torch.full((16,), 20)])
@pytest.mark.parametrize(
    "technique", [SequenceReduction(), TestTimeAugmentation()], ids=lambda one: one.name
)
def test_what_moves_along_an_axis_is_refused_where_the_model_is_told_of_its_places(
    technique: Any, beside: Tensor
) -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor, told: Tensor) -> Tensor:
            return x.sum((1, 2))[:, None].repeat(1, 2)

    x = torch.randn(16, 4, 20)
    parts: dict[str, Any] = {"sample": lambda n: (x[:n], beside[:n]), "targets": Targets(classes=2)}
    with pytest.raises(NotApplicable, match="says more of their places, and would stay as it is"):
        technique.apply(job_of(Masked(), x, Y[:16], **parts))


def test_one_weight_of_two_layers_is_not_cut_into_two() -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 16))
    model.append(nn.Linear(16, 2))
    model[3].weight = model[2].weight
    with pytest.raises(NotApplicable, match=r"2.weight and 3.weight are one weight"):
        Pruning().apply(job_of(model, X, Y))


class Moved(nn.Module):
    """Channels that are put in other places before they are read."""

    def __init__(self, move: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.move = nn.Conv1d(1, 16, 3, padding=1), nn.Linear(96, 2), move

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.move(torch.relu(self.conv(x[:, None]))).flatten(1))
        return found


@pytest.mark.parametrize(
    ("move", "by"),
    [
        (lambda x: x.transpose(1, 2), "Transpose"), (lambda x: x.flip(1), "Flip"),
        (nn.ChannelShuffle(4), "ChannelShuffle"),
    ],
)  # fmt: skip
def test_channels_that_are_moved_before_they_are_read_are_not_cut(
    move: Callable[[Tensor], Tensor], by: str
) -> None:
    with pytest.raises(NotApplicable, match=rf"puts channels in other places \({by}\)"):
        Pruning().apply(job_of(Moved(move), X, Y))


def test_channels_that_are_read_where_they_are_cut_are_cut() -> None:
    model = Moved(lambda x: x.transpose(1, 2).relu().transpose(1, 2))
    Pruning(after=0).apply(job_of(model, X, Y))
    assert model.head.in_features == 48


def in_autocast(model: nn.Module, batch: Any) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return cross_entropy(model, batch)


def test_what_computes_in_16_bits_already_gains_nothing_by_mixed_precision() -> None:
    half = job_of(net().to(torch.bfloat16), X.to(torch.bfloat16), Y)
    with pytest.raises(NotApplicable, match="the model computes in bf16 already"):
        MixedPrecision().apply(half)
    with pytest.raises(NotApplicable, match="calls its model under an autocast of its own"):
        train(MixedPrecision().apply(job_of(net(), X, Y, loss=in_autocast)))
    train(MixedPrecision().apply(job_of(net(), X, Y)))


def test_the_weights_of_a_compiled_model_keep_their_names() -> None:
    compiled = Compile().apply(job_of(net(), X, Y)).model
    assert [name for name, _ in compiled.named_parameters()] == list(net().state_dict())
    assert list(compiled.state_dict()) == list(net().state_dict())
    assert not compiled.eval().training
    assert not any(module.training for module in compiled.modules())


def test_a_scripted_model_is_stopped_early_and_not_watched_inside() -> None:
    def job() -> Job:
        model: Any = torch.jit.script(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)))
        return linear_job(model=model)

    assert train(EarlyStopping(every=1).apply(job())).losses
    with pytest.raises(NotApplicable, match="has a ScriptModule, whose calls can't be listened"):
        GradientCheckpointing(keep=0.5).apply(job())


class Beginning(nn.Module):
    """A net of images whose scale begins as that of its first batch (ActNorm), in any mode."""

    begun: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(3, 1, 1)), nn.Parameter(torch.zeros(1))
        self.register_buffer("begun", torch.tensor(False))
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head, self.seen = nn.Linear(4, 2), [0]

    def forward(self, x: Tensor) -> Tensor:
        self.seen[0] += 1
        if not self.begun:
            with torch.no_grad():
                self.scale.copy_(1 / (x.std((0, 2, 3))[:, None, None] + 1e-3))
            self.begun = torch.tensor(True)
        found: Tensor = self.head(self.layers(x * self.scale + self.shift))
        return found


@pytest.mark.parametrize(
    "technique",
    [MixedPrecision(), LabelSmoothing(), TestTimeAugmentation(), ProgressiveResizing(),
     LowRank(after=0.9), Ensemble(), KnowledgeDistillation(), Pruning(after=0.9)],
    ids=lambda one: one.name,
)  # fmt: skip
def test_what_a_model_begins_at_its_first_call_waits_for_training(technique: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(16, 3, 8, 8)

    def made(**parts: Any) -> Job:
        return job_of(Beginning(), x, x[:, 0, 0, 0].gt(0).long(), epochs=4, **parts)

    told: dict[str, Any] = {"again": lambda changes: made(), "sibling": lambda seed: made()}
    job = technique.apply(made(targets=Targets(classes=2), **told))
    model: Any = job.model
    assert (bool(model.begun), model.seen, model.scale.flatten().tolist()) == (False, [0], [1] * 3)


def test_a_loss_divided_by_itself_does_not_tell_what_its_parts_are() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        found = cross_entropy(model, batch)
        return found / found.detach()

    with pytest.raises(NotApplicable, match="the loss is 1 whatever the weights are"):
        train(GradientAccumulation().apply(linear_job(loss=loss)))
