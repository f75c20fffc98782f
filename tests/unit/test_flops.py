"""FLOPs against counts made by hand: 1 MAC = 2 FLOPs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.job import DataCard, Job, Progress, plain_backward
from bench.trial.counted_operators import formulas
from bench.trial.cross_check import cross_check
from bench.trial.flop_formulas import fft_flops
from bench.trial.flops import FlopCounter, count_flops, forward_flops
from bench.trial.free_operators import free_names

B, T = 4, 16
"""Items in a batch, and their length."""


def job_of(model: nn.Module, *batches: Tensor) -> Job:
    """Return a job that trains the sum of the model's output."""

    def epoch(progress: Progress) -> Iterator[Tensor]:
        yield from batches

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        found = model(batch)
        first: Tensor = found[0] if isinstance(found, tuple) else found
        return first.sum()

    def sample(items: int) -> tuple[Tensor]:
        first = batches[0][:1]
        return (first.repeat(items, *[1] * (first.dim() - 1)),)

    return Job(
        device=torch.device("cpu"), model=model, epochs=1, batches=epoch, loss=loss,
        data=DataCard.of("none", batches, train_items=B, test_items=B),
        make_optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
        evaluate=lambda m: {}, sample=sample,
    )  # fmt: skip


class Of(nn.Module):
    """A function as a model, with one parameter so that it can be trained."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.function(x * self.scale)


def per_step(model: nn.Module, *batches: Tensor) -> int:
    return count_flops(job_of(model, *batches)).per_step


def test_a_linear_layer_makes_two_flops_for_each_weight() -> None:
    assert forward_flops(nn.Linear(5, 7), (torch.ones(B, 5),)) == 2 * B * 5 * 7


def test_the_backward_of_a_first_layer_needs_no_gradient_of_its_input() -> None:
    assert per_step(nn.Linear(5, 7), torch.ones(B, 5)) == 2 * (2 * B * 5 * 7)


def test_the_backward_of_a_later_layer_is_twice_its_forward() -> None:
    first, second = 2 * B * 5 * 7, 2 * B * 7 * 3
    model = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3))
    assert per_step(model, torch.ones(B, 5)) == 2 * first + 3 * second


def test_a_product_added_in_place_costs_what_the_product_does() -> None:
    left, right = torch.ones(B, 5, 7), torch.ones(B, 7, 3)

    def one(x: Tensor) -> Tensor:
        return torch.zeros(5, 3).addmm_(x[0], right[0])

    def many(x: Tensor) -> Tensor:
        return torch.zeros(len(x), 5, 3).baddbmm_(x, right[: len(x)])

    for function, items in ((one, 1), (many, B)):
        count = count_flops(job_of(Of(function), left))
        assert count.per_step == 2 * (2 * items * 5 * 7 * 3)  # forward, and the gradient of x
        assert count.coverage == 1.0


def test_a_convolution_multiplies_every_tap() -> None:
    model = nn.Conv1d(3, 8, 5, padding=2)
    once = 2 * B * T * 8 * 3 * 5
    assert forward_flops(model, (torch.ones(B, 3, T),)) == once
    assert per_step(model, torch.ones(B, 3, T)) == 2 * once


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_grouped_convolution_is_counted_within_its_groups(groups: int) -> None:
    stem = nn.Conv1d(1, 8, 1)
    model = nn.Sequential(stem, nn.Conv1d(8, 8, 5, padding=2, groups=groups))
    once, before = 2 * B * T * 8 * (8 // groups) * 5, 2 * B * T * 8
    assert forward_flops(model, (torch.ones(B, 1, T),)) == before + once
    assert per_step(model, torch.ones(B, 1, T)) == 2 * before + 3 * once


def test_a_transposed_convolution_costs_three_times_its_forward() -> None:
    stem, once = 2 * B * T * 4, 2 * B * T * 4 * 6 * 3
    model = nn.Sequential(nn.Conv1d(1, 4, 1), nn.ConvTranspose1d(4, 6, 3, stride=2))
    assert per_step(model, torch.ones(B, 1, T)) == 2 * stem + 3 * once


def test_an_lstm_makes_four_gates_from_input_and_state() -> None:
    once = 2 * B * T * 4 * 6 * (3 + 6)
    model = nn.LSTM(3, 6, batch_first=True)
    assert forward_flops(model, (torch.ones(B, T, 3),)) == once
    assert 2 * once <= per_step(model, torch.ones(B, T, 3)) <= 3 * once


def test_a_gru_makes_three_gates_from_input_and_state() -> None:
    once = 2 * B * T * 3 * 6 * (3 + 6)
    model = nn.GRU(3, 6, batch_first=True)
    assert forward_flops(model, (torch.ones(B, T, 3),)) == once
    assert 2 * once <= per_step(model, torch.ones(B, T, 3)) <= 3 * once


def attention(x: Tensor) -> Tensor:
    heads = x.view(len(x), T, 2, 4).transpose(1, 2)
    return nn.functional.scaled_dot_product_attention(heads, heads, heads)


def test_attention_on_the_cpu_is_two_products() -> None:
    once = 2 * (2 * B * 2 * T * T * 4)
    model, x = Of(attention), torch.ones(B, T, 8)
    assert forward_flops(model, (x,)) == once
    count = count_flops(job_of(model, x))
    assert count.per_step == once + 2.5 * once
    assert count.coverage == 1.0


def test_multihead_attention_is_counted_in_eval_mode_too() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    projections = 2 * B * T * (4 * 8 * 8 + 2 * 8 * 16)
    products = 2 * (2 * B * 2 * T * T * 4)
    assert forward_flops(model, (torch.ones(B, T, 8),)) == projections + products


def test_a_real_fft_is_half_of_five_n_log_n() -> None:
    model, x = Of(lambda x: torch.fft.rfft(x).abs()), torch.ones(B, T)
    assert forward_flops(model, (x,)) == 5 * B * T * math.log2(T) / 2


def test_an_inverse_real_fft_costs_what_the_forward_does() -> None:
    model, x = Of(lambda x: torch.fft.irfft(torch.fft.rfft(x))), torch.ones(B, T)
    assert forward_flops(model, (x,)) == 5 * B * T * math.log2(T)


def test_the_backward_of_an_fft_is_counted() -> None:
    model, x = Of(lambda x: torch.fft.irfft(torch.fft.rfft(x))), torch.ones(B, T)
    assert per_step(model, x) >= 2 * forward_flops(model, (x,))


def test_an_fft_over_two_dimensions_counts_both() -> None:
    assert fft_flops(64, 64, real=False) == 5 * 64 * 6
    model, x = Of(lambda x: torch.fft.fft2(x).abs()), torch.ones(8, 8)
    assert forward_flops(model, (x,)) in (5 * 64 * 6, 5 * 64 * 6 // 2)


def test_pointwise_work_is_left_out() -> None:
    count = count_flops(job_of(Of(lambda x: torch.relu(x).exp()), torch.ones(B, T)))
    assert (count.per_step, count.coverage) == (0, None)


def test_a_heavy_operator_without_a_formula_is_listed() -> None:
    model = nn.Sequential(nn.Linear(5, 5), Of(lambda x: torch.cdist(x, x)))
    count = count_flops(job_of(model, torch.randn(B, 5)))
    assert any("cdist" in name for name in count.uncounted)
    assert count.coverage is not None
    assert 0 < count.coverage < 1


def test_counted_work_has_full_coverage() -> None:
    count = count_flops(job_of(nn.Linear(5, 7), torch.ones(B, 5)))
    assert (count.coverage, count.uncounted) == (1.0, ())


def test_batches_of_other_shapes_are_averaged() -> None:
    lengths = (8, 24)
    batches = [torch.ones(B, 3, length) for length in lengths]
    once = 2 * B * 8 * 3
    assert per_step(nn.Conv1d(3, 8, 1), *batches) == pytest.approx(2 * once * 16, rel=0.01)


def test_a_forward_pass_is_of_one_item() -> None:
    assert count_flops(job_of(nn.Linear(5, 7), torch.ones(B, 5))).forward_per_item == 2 * 5 * 7


def test_the_counters_agree_on_linear_and_convolution() -> None:
    model = nn.Sequential(nn.Conv1d(3, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 12, 2))
    found = cross_check(model, (torch.ones(1, 3, T),))
    assert found.ours == found.fvcore == 2 * (12 * 8 * 3 * 5 + 8 * 12 * 2)
    assert found.thop is not None
    assert found.thop == pytest.approx(found.ours, rel=0.05)


@pytest.mark.parametrize("error", [IndexError, AssertionError, KeyError, NotImplementedError])
def test_whatever_another_counter_raises_makes_its_count_unknown_with_the_reason(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: nn.Module, inputs: Any) -> int:
        raise error("list index out of range")

    monkeypatch.setattr("bench.trial.cross_check._by_fvcore", fail)
    found = cross_check(nn.Linear(5, 7), (torch.ones(1, 5),))
    assert (found.ours, found.fvcore, found.thop) == (70, None, 70)
    assert error.__name__ in found.unknown["fvcore"]
    assert "list index out of range" in found.unknown["fvcore"]
    assert "thop" not in found.unknown


def test_attention_pooling_with_a_vector_is_counted_and_checked() -> None:
    class Pooled(nn.Module):
        """The scores are a matrix times a vector, which fvcore can't do."""

        def __init__(self) -> None:
            super().__init__()
            self.vector, self.head = nn.Parameter(torch.randn(32)), nn.Linear(32, 3)

        def forward(self, x: Tensor) -> Tensor:
            """Pool and classify."""
            shares = torch.matmul(x, self.vector).softmax(1)
            found: Tensor = self.head((x * shares.unsqueeze(-1)).sum(1))
            return found

    found = cross_check(Pooled(), (torch.randn(1, 64, 32),))
    assert (found.ours, found.fvcore) == (2 * 64 * 32 + 2 * 32 * 3, None)
    assert found.unknown["fvcore"]


def test_a_counter_that_can_not_tell_says_nothing() -> None:
    class Odd(nn.Module):
        """Takes what a tracer can't."""

        def forward(self, x: Tensor) -> Any:
            """Return a set."""
            return {float(x.sum())}

    assert cross_check(Odd(), (torch.ones(2),)).fvcore is None


def test_counting_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)).train()
    before = {name: value.clone() for name, value in model[0].state_dict().items()}
    job, state = job_of(model, torch.randn(B, 5)), torch.get_rng_state()
    count_flops(job)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model[0].state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert torch.backends.mha.get_fastpath_enabled()


def test_batches_of_one_shape_are_told_from_others() -> None:
    layer, one, other = nn.Linear(8, 4), torch.randn(B, 8), torch.randn(2 * B, 8)
    assert count_flops(job_of(layer, one, one)).one_shape
    assert not count_flops(job_of(layer, one, other)).one_shape


def counted(call: Callable[[], object]) -> tuple[int, float | None, list[str]]:
    """Return the FLOPs of a call, the coverage and what was missed."""
    counter = FlopCounter()
    with counter:
        call()
    return counter.total, counter.coverage, sorted(counter.missed)


M, V, W = torch.randn(4, 6), torch.randn(6), torch.randn(4)
LEFT, RIGHT = torch.randn(2, 4, 5), torch.randn(2, 5, 3)
ADJACENCY = torch.eye(5).to_sparse()
"""Five non-zeros of twenty-five."""
FEATURES = torch.randn(5, 3)
KEYS = torch.ones(2, 2, 6, 8)
F = nn.functional

PRODUCTS: dict[str, tuple[Callable[[], object], int]] = {
    "mv": (lambda: torch.mv(M, V), 48),
    "mv into another": (lambda: torch.mv(M, V, out=torch.empty(4)), 48),
    "addmv": (lambda: torch.addmv(W, M, V), 48),
    "addmv_": (lambda: W.clone().addmv_(M, V), 48),
    "dot": (lambda: torch.dot(V, V), 12),
    "inner": (lambda: torch.inner(V, V), 12),
    "vdot": (lambda: torch.vdot(V, V), 12),
    "addr": (lambda: torch.addr(torch.zeros(6, 6), V, V), 72),
    "addr_": (lambda: torch.zeros(6, 6).addr_(V, V), 72),
    "addbmm": (lambda: torch.addbmm(torch.zeros(4, 3), LEFT, RIGHT), 240),
    "addbmm_": (lambda: torch.zeros(4, 3).addbmm_(LEFT, RIGHT), 240),
    "baddbmm_": (lambda: torch.zeros(2, 4, 3).baddbmm_(LEFT, RIGHT), 240),
    "einsum": (lambda: torch.einsum("bij,bjk->bik", LEFT, RIGHT), 240),
    "a complex product": (lambda: LEFT.to(torch.cfloat) @ RIGHT.to(torch.cfloat), 4 * 240),
    "bilinear": (lambda: nn.Bilinear(3, 4, 5)(torch.ones(7, 3), torch.ones(7, 4)), 1120),
    "int8": (lambda: torch._int_mm(*[torch.ones(32, 32, dtype=torch.int8)] * 2), 2 * 32**3),
    "matrix power": (lambda: torch.matrix_power(torch.eye(3), 3), 2 * 54),
    "sparse COO": (lambda: torch.sparse.mm(ADJACENCY, FEATURES), 2 * 5 * 3),
    "sparse CSR": (lambda: ADJACENCY.to_sparse_csr() @ FEATURES, 2 * 5 * 3),
    "sparse times a vector": (lambda: torch.mv(ADJACENCY, FEATURES[:, 0]), 2 * 5),
    "sparse, added": (lambda: torch.sparse.addmm(FEATURES, ADJACENCY, FEATURES), 2 * 5 * 3),
    "dense times sparse": (lambda: FEATURES.t() @ ADJACENCY.to_sparse_csr(), 2 * 5 * 3),
    "conv_tbc": (
        lambda: torch.conv_tbc(torch.ones(8, 2, 3), torch.ones(3, 3, 5), torch.ones(5)),
        2 * 6 * 2 * 3 * 3 * 5,
    ),
    "grouped queries": (
        lambda: F.scaled_dot_product_attention(torch.ones(2, 4, 6, 8), KEYS, KEYS, enable_gqa=True),
        2 * (2 * 2 * 4 * 6 * 6 * 8),
    ),
    "an embedding bag": (lambda: nn.EmbeddingBag(10, 4)(torch.zeros(3, 5).long()), 2 * 15 * 4),
    "bilinear sampling": (
        lambda: F.grid_sample(torch.ones(1, 2, 8, 8), torch.zeros(1, 5, 5, 2), align_corners=False),
        2 * 4 * 2 * 25,
    ),
    "bilinear resizing": (
        lambda: F.interpolate(torch.ones(1, 2, 4, 4), scale_factor=2, mode="bilinear"),
        2 * 4 * 2 * 64,
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_an_operator_is_counted_by_what_it_is(name: str) -> None:
    call, flops = PRODUCTS[name]
    with torch.no_grad():
        assert counted(call) == (flops, 1.0, [])


def test_what_inference_mode_passes_on_whole_is_counted_in_its_parts() -> None:
    with torch.inference_mode():
        assert counted(lambda: nn.Linear(5, 7)(torch.ones(2, 5))) == (140, 1.0, [])


def test_a_packed_lstm_is_counted_by_its_real_steps() -> None:
    packed = nn.utils.rnn.pack_padded_sequence(torch.ones(4, 2, 3), torch.tensor([4, 2]))
    with torch.no_grad():
        found = counted(lambda: nn.LSTM(3, 6)(packed))
    assert found == (2 * 6 * 4 * 6 * (3 + 6), 1.0, [])


def test_a_fused_recurrent_stack_uses_each_matrix_once_a_step() -> None:
    formula = formulas()[torch.ops.aten._cudnn_rnn]
    weights = [torch.ones(24, 3), torch.ones(24, 6), torch.ones(24), torch.ones(24)]
    assert formula(None, torch.ones(4, 2, 3), weights) == 2 * 8 * 24 * (3 + 6)


def test_a_sparse_product_trains_at_its_non_zeros() -> None:
    weight = torch.randn(5, 3, requires_grad=True)
    found = counted(lambda: plain_backward(torch.sparse.mm(ADJACENCY, weight).sum()))
    assert found == (2 * (2 * 5 * 3), 1.0, [])


UNCOUNTED: dict[str, Callable[[], object]] = {
    "linalg_matrix_exp": lambda: torch.matrix_exp(torch.eye(3)),
    "linalg_inv_ex": lambda: torch.linalg.inv(torch.eye(3)),
    "_linalg_solve_ex": lambda: torch.linalg.solve(torch.eye(3), torch.ones(3, 2)),
    "linalg_qr": lambda: torch.linalg.qr(torch.eye(3)),
    "_linalg_svd": lambda: torch.linalg.svd(torch.eye(3)),
    "_linalg_eigh": lambda: torch.linalg.eigh(torch.eye(3)),
    "linalg_cholesky_ex": lambda: torch.linalg.cholesky(torch.eye(3)),
    "_cdist_forward": lambda: torch.cdist(torch.eye(3), torch.eye(3)),
    "_sparse_sparse_matmul": lambda: torch.sparse.mm(ADJACENCY, ADJACENCY),
    "_upsample_bilinear2d_aa": lambda: F.interpolate(
        torch.ones(1, 2, 4, 4), scale_factor=0.5, mode="bilinear", antialias=True
    ),
}


@pytest.mark.parametrize("name", UNCOUNTED)
def test_an_operator_without_a_formula_lowers_the_coverage_and_is_named(name: str) -> None:
    assert counted(UNCOUNTED[name]) == (0, 0.0, [f"aten.{name}"])


def test_an_operator_of_ones_own_is_named_whatever_it_is_called() -> None:
    @torch.library.custom_op("flops_test::common_ground", mutates_args=())
    def own(x: Tensor) -> Tensor:
        return x @ x

    assert counted(lambda: own(torch.eye(3))) == (0, 0.0, ["flops_test.common_ground"])


def test_normalisation_pooling_losses_and_optimizers_are_free() -> None:
    layers = nn.Sequential(
        nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(1), nn.Flatten(),
        nn.LayerNorm(8), nn.Dropout(), nn.GroupNorm(2, 8), nn.GELU(), nn.Softmax(-1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(layers.parameters())

    def step() -> None:
        found = layers(torch.randn(3, 2, 4, 4))
        plain_backward(F.cross_entropy(found, torch.tensor([0, 1, 2])))
        nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        optimizer.step()

    assert counted(step) == (0, None, [])


def test_every_free_operator_and_every_formula_is_one_that_torch_has() -> None:
    known = {schema.name for schema in torch._C._jit_get_all_schemas()}
    made_up = [n for n in free_names() if f"aten::{n}" not in known]
    in_place_only = [n for n in made_up if n.removesuffix("_") not in free_names()]
    assert in_place_only == []
    assert not {packet.__name__ for packet in formulas()} & free_names()


def test_a_sample_that_can_not_be_drawn_leaves_the_step_counted() -> None:
    def sample(items: int) -> tuple[Tensor]:
        raise LookupError(f"no {items} items")

    job = replace(job_of(nn.Linear(5, 7), torch.ones(B, 5)), sample=sample)
    count = count_flops(job)
    assert (count.per_step, count.coverage) == (2 * (2 * B * 5 * 7), 1.0)
    assert (count.forward_per_item, count.unknown) == (None, "LookupError: no 1 items")
