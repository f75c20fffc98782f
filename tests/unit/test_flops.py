"""FLOPs against counts made by hand: 1 MAC = 2 FLOPs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.job import DataCard, Job, Progress
from bench.trial.flops import count_flops, cross_check, fft_flops, forward_flops

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
