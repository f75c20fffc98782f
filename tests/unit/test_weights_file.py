"""A model's state on disk: every tensor as it is read, once, and what can't be held by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, load_model
from torch import Tensor, nn

from bench.errors import BenchError
from bench.model.weights_file import check, file_bytes, state_of, write


def holding(**buffers: Tensor) -> nn.Module:
    model = nn.Linear(2, 2, bias=False)
    for name, value in buffers.items():
        model.register_buffer(name, value)
    return model


def written(model: nn.Module, folder: Path) -> dict[str, Tensor]:
    assert write(model, folder / "model.safetensors") == ()
    return load_file(folder / "model.safetensors")


ANGLES = torch.polar(torch.ones(6, 4), torch.arange(24.0).view(6, 4))
ROWS = torch.arange(12.0).view(3, 4)
SHARED: dict[str, dict[str, Tensor]] = {
    "the parts of complex numbers": {"cos": ANGLES.real, "sin": ANGLES.imag},
    "parts that overlap": {"head": ROWS[:2], "tail": ROWS[1:]},
    "a matrix and its transpose": {"rows": ROWS, "columns": ROWS.t()},
    "every second number": {"even": ROWS[:, ::2], "odd": ROWS[:, 1::2]},
    "an expanded row": {"many": torch.arange(4.0).expand(3, 4)},
    "lazy conjugates": {"plain": ANGLES, "turned": ANGLES.conj(), "negative": ANGLES.conj().imag},
    "nothing": {"none": torch.empty(0), "none_too": torch.empty(0)},
}


@pytest.mark.parametrize("name", SHARED)
def test_views_of_one_memory_are_written_as_the_tensors_that_they_are(
    name: str, tmp_path: Path
) -> None:
    model = holding(**SHARED[name])
    found = written(model, tmp_path)
    assert found.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(found[key], value.resolve_conj().resolve_neg()), key


def test_cos_and_sin_of_one_memory_are_two_tensors_of_96_bytes(tmp_path: Path) -> None:
    found = written(holding(**SHARED["the parts of complex numbers"]), tmp_path)
    assert sum(found[name].nbytes for name in ("cos", "sin")) == 192


def test_tied_weights_are_written_once_and_load_again(tmp_path: Path) -> None:
    def tied() -> nn.Sequential:
        model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
        model[1].weight = model[0].weight
        return model

    model, again = tied(), tied()
    assert list(written(model, tmp_path)) == ["0.weight"]
    load_model(again, str(tmp_path / "model.safetensors"))
    assert torch.equal(again.state_dict()["1.weight"], model.state_dict()["1.weight"])


def sparse_csr() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.eye(3).to_sparse_csr()


UNHELD: dict[str, tuple[Tensor, str]] = {
    "complex128": (torch.ones(5, dtype=torch.cdouble), "w is complex128, which safetensors"),
    "COO": (torch.eye(3).to_sparse(), "w is a sparse_coo tensor, which is not dense"),
    "CSR": (sparse_csr(), "w is a sparse_csr tensor, which is not dense"),
    "meta": (torch.empty(3, device="meta"), "w is on the device meta and holds no numbers"),
}


@pytest.mark.parametrize("name", UNHELD)
def test_what_the_file_can_not_hold_is_named_and_makes_the_size_unknown(
    name: str, tmp_path: Path
) -> None:
    value, reason = UNHELD[name]
    model = holding(w=value)
    assert file_bytes(model, tmp_path) is None
    state = state_of(model)
    assert list(state.tensors) == ["weight"]
    assert reason in state.left_out["w"]
    assert state.weights_left_out == state.left_out


def test_an_extra_state_that_is_no_tensor_is_left_out_and_named(tmp_path: Path) -> None:
    class Counting(nn.Linear):
        def get_extra_state(self) -> dict[str, Any]:
            return {"calls": 3}

    path = tmp_path / "model.safetensors"
    model = Counting(2, 2)
    assert write(model, path) == ("_extra_state is a dict, which is no tensor",)
    assert load_file(path).keys() == {"weight", "bias"}
    assert state_of(model).weights_left_out == {}


def test_a_model_whose_weights_no_file_holds_is_refused_before_training() -> None:
    check(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2)))
    said = "w is complex128, which safetensors can't hold; change that, or register what needs no"
    with pytest.raises(BenchError, match=said):
        check(holding(w=torch.ones(5, dtype=torch.cdouble)))
