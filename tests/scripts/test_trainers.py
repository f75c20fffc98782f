"""Scripts whose loop is a library's: where Lightning, or transformers, is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.recipes.assembly import techniques_of
from bench.trial.script_writing import written
from tests.scripts.cases import intercepted, losses_of, trial_of

LIGHTNING = """
import torch
from lightning import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
losses = []


class LitModel(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 0.01)


x = torch.randn(96, 6)
loader = DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), 8, shuffle=True)
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False)
Trainer(max_epochs=2, accelerator="cpu", **quiet).fit(LitModel(), loader)
"""
TRANSFORMERS = """
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

torch.manual_seed(0)
losses = []


class Noting(Trainer):
    def compute_loss(self, *args, **kwargs):
        found = super().compute_loss(*args, **kwargs)
        losses.append((found[0] if isinstance(found, tuple) else found).item())
        return found


config = GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=2, n_head=2)
ids = torch.randint(32, (64, 16))
data = [{"input_ids": one, "labels": one} for one in ids]
arguments = TrainingArguments(
    "out", per_device_train_batch_size=8, max_steps=12, report_to=[], save_strategy="no",
    use_cpu=True, disable_tqdm=True, seed=1,
)
Noting(GPT2LMHeadModel(config), arguments, train_dataset=data).train()
"""


@pytest.mark.parametrize(
    ("package", "text"), [("lightning", LIGHTNING), ("transformers", TRANSFORMERS)]
)
def test_a_trainer_s_script_is_measured_as_it_is(package: str, text: str, tmp_path: Path) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    (tmp_path / "own.py").write_text(text)
    plain = losses_of(tmp_path / "own.py")
    ran = intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert tuple(ran.course.losses) == plain
    items = [step.items for step in ran.course.timeline.steps]  # one batch may be read ahead
    assert set(items[1:]) == {8}
    changed = trial_of("own", tmp_path, "mixed-precision", folder=tmp_path)
    rounded = intercepted(changed).course.losses
    assert len(rounded) == len(plain)
    assert abs(rounded[0] - plain[0]) < 1e-2 * plain[0]
    trial = trial_of("own", tmp_path, "fused-optimizer", folder=tmp_path, kind="build")
    found = written(trial, techniques_of(trial.recipe, trial.places))
    assert {edit.by for edit in found.edits} == {"fused-optimizer"}
