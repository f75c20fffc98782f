"""The s4-ecg job as the training loop sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model

from baselines.s4_ecg import S4ECG, S4ECGSettings
from bench.errors import BenchError
from bench.job import Job, Progress
from bench.recipes.registry import load_baseline
from bench.recipes.resolve import threads_of
from bench.trial.cross_check import cross_check
from bench.trial.flops import count_flops
from bench.trial.training import train
from tests.contract.cases import SMALL

CPU = torch.device("cpu")


def job(seed: int = 0, **changes: object) -> Job:
    settings = S4ECGSettings.model_validate({**SMALL["s4-ecg"], **changes})
    return S4ECG().job(settings, CPU, seed)


def test_frozen_training_changes_the_head_alone() -> None:
    made = job(frozen=True)
    before = {name: p.clone() for name, p in made.model.named_parameters()}
    train(made)
    changed = {n for n, p in made.model.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all(name.startswith("head.") for name in changed)


@pytest.mark.parametrize("kernel", ["nplr", "s4d"])
def test_full_training_changes_every_weight(kernel: str) -> None:
    made = job(kernel=kernel)
    before = {name: p.clone() for name, p in made.model.named_parameters()}
    train(made)
    same = {n for n, p in made.model.named_parameters() if torch.equal(p, before[n])}
    last = "encoder.blocks.1.residual."  # what would go into a block that isn't there
    assert all(name.startswith(last) for name in same)


def test_a_random_frozen_encoder_is_said_to_be_random() -> None:
    assert "the encoder is frozen with random weights" in job(frozen=True).data.notes


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_checkpoint_is_where_the_encoder_starts(tmp_path: Path, suffix: str) -> None:
    trained = job(seed=3)
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        torch.save(trained.model.state_dict(), path)
    else:
        save_model(trained.model, str(path))
    loaded = job(seed=4, checkpoint=path, frozen=True)
    state = loaded.model.state_dict()
    ours = {n: v for n, v in trained.model.state_dict().items() if n.startswith("encoder.")}
    assert all(torch.equal(state[name], value) for name, value in ours.items())
    assert any(f"frozen with model{suffix} (sha256" in note for note in loaded.data.notes)


def test_bad_checkpoints_are_one_line(tmp_path: Path) -> None:
    other, junk = tmp_path / "other.safetensors", tmp_path / "junk.safetensors"
    save_model(job(residual=6).model, str(other))
    junk.write_bytes(b"no weights")
    evil = tmp_path / "evil.pt"
    torch.save({"encoder.x": print}, evil)
    found = {
        tmp_path / "none.safetensors": "no weights", other: "doesn't fit the network",
        junk: "is no file of weights alone", evil: "is no file of weights alone",
    }  # fmt: skip
    for path, said in found.items():
        with pytest.raises(BenchError, match=said) as caught:
            job(checkpoint=path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_weights_with_the_lowest_validation_loss_are_deployed() -> None:
    made, values = job(epochs=3, lr=0.5), list[float]()
    real = made.validate
    assert real is not None

    def validate(model: torch.nn.Module) -> float:
        values.append(real(model))
        return values[-1]

    result = train(made.wrap("validate", lambda old: validate, by="test"))
    assert len(values) == 3
    assert real(result.model) == pytest.approx(min(values), rel=1e-5)


@pytest.mark.parametrize("frozen", [True, False])
def test_floating_point_operations_are_counted_and_checked(frozen: bool) -> None:
    made = job(frozen=frozen)
    count = count_flops(made)
    assert count.coverage == 1.0
    assert count.per_step > 0
    assert cross_check(made.model, made.sample(1)).ours == count.forward_per_item


def test_a_batch_larger_than_the_training_part_is_refused() -> None:
    with pytest.raises(BenchError, match="batch_size=64 is larger than the training part"):
        job(batch_size=64)


def test_every_epoch_draws_each_record_at_most_once() -> None:
    made = job()
    assert made.fixed is not None
    rows = torch.cat(list(made.fixed.rows(Progress(1))))
    assert len(rows) == len(set(rows.tolist())) == 24


def test_the_setting_threads_comes_before_what_was_asked_for() -> None:
    baseline, settings = load_baseline("s4-ecg"), S4ECGSettings(threads=3)
    assert threads_of(baseline, settings, asked=2) == 3
    assert threads_of(baseline, S4ECGSettings(), asked=2) == 2
