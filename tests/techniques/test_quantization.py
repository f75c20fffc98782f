"""quantization: what is deployed, what it is calibrated with, and what its file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.model.weights_file import file_bytes, state_of, write
from bench.trial.flops import whole_forward_flops
from bench.trial.training import train
from optimizers.quantization import Quantization
from tests.jobs import linear_job
from tests.techniques.test_pruning import Listed, conv_job, wide_job


def deployed(job: Job, **settings: Any) -> nn.Module:
    return train(Quantization.model_validate(settings).apply(job)).model


@pytest.mark.parametrize("mode", ["static", "dynamic", "bf16"])
def test_the_converted_model_answers_nearly_as_the_trained_one(mode: str) -> None:
    plain = train(wide_job()).model.eval()
    job = wide_job()
    found = deployed(job, mode=mode)
    inputs = job.sample(8)
    with torch.no_grad():
        answer, expected = found(*inputs), plain(*inputs)
    assert answer.dtype is torch.float32
    assert not torch.equal(answer, expected)
    assert torch.allclose(answer, expected, atol=0.1)


@pytest.mark.parametrize(("mode", "times"), [("static", 3.0), ("dynamic", 3.0), ("bf16", 1.9)])
def test_its_file_is_that_much_smaller(mode: str, times: float, tmp_path: Path) -> None:
    plain = file_bytes(wide_job(hidden=256).model, tmp_path)
    found = file_bytes(deployed(wide_job(hidden=256), mode=mode), tmp_path)
    assert plain is not None
    assert found is not None
    assert plain / found > times


def test_the_trained_model_itself_is_left_as_it_was() -> None:
    job = Quantization().apply(conv_job())
    train(job)
    assert {p.dtype for p in job.model.parameters()} == {torch.float32}
    assert any(isinstance(module, nn.Conv1d) for module in job.model.modules())


def test_ranges_are_taken_from_training_batches_alone() -> None:
    job = conv_job()
    drawn: list[int] = []

    def batches(progress: Progress) -> Iterator[Any]:
        drawn.append(progress.epoch)
        yield from conv_job().batches(progress)

    def sample(items: int) -> tuple[Tensor]:
        (x,) = conv_job().sample(items)
        return (1000 * x,)  # were these looked at, all else would round to nothing

    made = deployed(conv_job(batches=batches, sample=sample))
    assert len(drawn) == job.epochs + 1
    with torch.no_grad():
        assert made(*job.sample(1)).abs().max() > 0.01


def test_int8_is_for_cpus() -> None:
    for mode in ("static", "dynamic"):
        job = linear_job(device=torch.device("cuda"))
        with pytest.raises(NotApplicable, match="int8 runs on CPUs alone: here use mode=bf16"):
            Quantization.model_validate({"mode": mode}).apply(job)


def test_a_model_with_branches_can_t_be_traced() -> None:
    class Branching(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(NotApplicable, match="mode=static can't convert this model: TraceError"):
        Quantization().apply(linear_job(model=Branching(6, 2)))


def test_a_model_without_linear_layers_has_nothing_for_dynamic() -> None:
    model = nn.Sequential(nn.Conv1d(2, 2, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    with pytest.raises(NotApplicable, match="no linear or recurrent layer that could be quantised"):
        Quantization(mode="dynamic").apply(conv_job(model=model))


def test_flops_of_integers_are_unknown_not_nought() -> None:
    job = conv_job()
    assert whole_forward_flops(job.model, job.sample(1))
    assert whole_forward_flops(deployed(conv_job()), job.sample(1)) is None


def test_a_quantised_model_is_written_as_integers_with_scales(tmp_path: Path) -> None:
    model = deployed(conv_job())
    path = tmp_path / "model.safetensors"
    write(model, path)
    found = load_file(path)
    assert found["0.weight"].dtype is torch.int8
    scales, zeros = found["0.weight.scale"], found["0.weight.zero_point"]
    restored = (found["0.weight"] - zeros[:, None, None]) * scales[:, None, None]
    weight = model.state_dict()["0.weight"]
    assert torch.allclose(restored.float(), weight.dequantize())
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_packed_weights_of_linear_layers_are_in_the_file(tmp_path: Path) -> None:
    found = state_of(deployed(wide_job(), mode="dynamic")).tensors
    assert sum(t.numel() for t in found.values() if t.dtype is torch.int8) == 6 * 64 + 64 * 66


def test_a_state_that_is_no_tensor_has_an_unknown_size(tmp_path: Path) -> None:
    class Odd(nn.Linear):
        def get_extra_state(self) -> str:
            return "extra"

    assert file_bytes(Odd(2, 2), tmp_path) is None
    assert not list(tmp_path.iterdir())


class Reads(nn.Module):
    """Reads a series with a recurrent layer."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU | nn.RNN], hidden: int = 64) -> None:
        super().__init__()
        self.reader = kind(2, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)

    def forward(self, series: Tensor) -> Tensor:
        found: Tensor = self.head(self.reader(series.mT)[0][:, -1])
        return found


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_converted_and_their_file_is_smaller(
    kind: Any, tmp_path: Path
) -> None:
    job = conv_job(model=Reads(kind))
    made = deployed(job, mode="dynamic")
    assert not [*made.parameters()]
    plain, found = (file_bytes(model, tmp_path) for model in (job.model, made))
    assert plain is not None
    assert found is not None
    assert plain / found > 2.5


@pytest.mark.parametrize(("kind", "mode"), [(nn.RNN, "dynamic"), (nn.LSTM, "static")])
def test_a_model_of_which_hardly_anything_would_be_converted_is_refused(
    kind: Any, mode: str
) -> None:
    with pytest.raises(NotApplicable, match=rf"of .* weights would stay .* of {kind.__name__}$"):
        deployed(conv_job(model=Reads(kind)), mode=mode)


def test_ranges_are_taken_from_a_model_that_the_loss_calls_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))

        def forward(self, features: Tensor) -> Tensor:
            found: Tensor = self.net(features)
            return found

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(features=batch[0]), batch[1])

    made = deployed(linear_job(model=Named(), loss=loss))
    assert made(features=torch.zeros(3, 6)).shape == (3, 2)
    assert not [*made.parameters()]


def test_int8_leaves_prelu_in_float_where_torch_s_own_answers_otherwise() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 3, 12, 12)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )  # fmt: skip
    made = Quantization()._converted(model, [((x,), {})])
    plain, found = (one.eval()(x) for one in (model, made))
    assert (found - plain).norm() < 0.05 * plain.norm()


class Turned(nn.Module):
    """Turns pairs of numbers by angles, which it keeps as complex numbers."""

    turns: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 2)
        angles = torch.tensor([0.5, 1.5, 2.5])
        self.register_buffer("turns", torch.polar(torch.ones(3), angles))

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.float().view(len(x), 3, 2)) * self.turns
        found: Tensor = self.head(torch.view_as_real(pairs).flatten(1).to(x.dtype))
        return found


def test_complex_numbers_keep_their_imaginary_part_in_bf16() -> None:
    job = linear_job(model=Turned())
    made = deployed(job, mode="bf16")
    assert isinstance(job.model, Turned)
    assert torch.equal(made.get_buffer("turns"), job.model.turns)
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(made(x), job.model.eval()(x), atol=0.05)


def test_a_model_that_goes_on_calling_the_layers_it_holds_in_a_list_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"still calls 2 of its layers \(Linear\) that others"):
        Quantization(mode="dynamic").apply(linear_job(model=Listed()))
