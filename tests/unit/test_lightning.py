"""A LightningModule as a baseline: of a stand-in, and of Lightning itself where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from bench.errors import BenchError
from bench.random_state import seed_everything
from bench.recipes import registry
from bench.trial.training import train

STAND_IN = """
class LightningModule(nn.Module):
    automatic_optimization = True
    def log(self, name, value, **kwargs):
        raise AssertionError("nobody has taken it")
class LightningDataModule:
    def prepare_data(self): ...
"""
REAL = "from lightning import LightningModule, LightningDataModule\n"
LIT = """
class Data(LightningDataModule):
    def setup(self, stage):
        x = torch.randn(160, 6, generator=torch.Generator().manual_seed(1))
        self.items = TensorDataset(x, (x.sum(1) > 0).long())
    def train_dataloader(self):
        return DataLoader(torch.utils.data.Subset(self.items, range(128)), 16, shuffle=True)
    def val_dataloader(self):
        return DataLoader(torch.utils.data.Subset(self.items, range(128, 160)), 12)

class LitModel(LightningModule):
    def __init__(self, lr=0.1):
        super().__init__()
        self.lr, self.net = lr, nn.Linear(6, 2)
    def forward(self, x):
        return self.net(x)
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_acc", (self(x).argmax(1) == y).float().mean(), prog_bar=True)
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.lr)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]
"""
BEGIN = (
    "import torch\nfrom torch import nn\nfrom torch.utils.data import DataLoader, TensorDataset\n"
)


def trained(begin: str, folder: Path) -> tuple[list[float], dict[str, float]]:
    """Return the losses and metrics of a short training."""
    (folder / "lit.py").write_text(BEGIN + begin + LIT)
    baseline = registry.load_baseline(f"{folder / 'lit.py'}:LitModel")
    assert (baseline.name, baseline.target.metric) == ("litmodel", "val_acc")
    settings = registry.make_settings(baseline, {"epochs": 3, "batch_size": 32})
    seed_everything(0)
    result = train(baseline.job(settings, torch.device("cpu"), 0))
    return list(result.losses), dict(result.evaluations[-1].values)


def test_a_lightning_module_trains_with_its_data_module(tmp_path: Path) -> None:
    losses, metrics = trained(STAND_IN, tmp_path)
    assert len(losses) == 3 * 4
    assert sum(losses[-4:]) < sum(losses[:4])
    assert metrics["val_acc"] > 0.6


@pytest.mark.skipif(find_spec("lightning") is None, reason="Lightning is an extra: [lightning]")
def test_lightning_s_own_module_trains_as_the_stand_in(tmp_path: Path) -> None:
    folders = tmp_path / "real", tmp_path / "stand-in"
    for folder in folders:
        folder.mkdir()
    assert trained(REAL, folders[0]) == trained(STAND_IN, folders[1])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    def forward", "    def on_train_epoch_start(self): ...\n    def forward",
            "LitModel defines on_train_epoch_start, which only Lightning's Trainer calls: measure",
        ),
        (
            "super().__init__()", "super().__init__()\n        self.automatic_optimization = False",
            "optimizes by hand",
        ),
        ("return [optimizer], [", "return [optimizer] * 2, [", "gives no single optimizer"),
        ('self.log("val_acc", ', "print(", "validation_step logs no metric by self.log"),
        ("class Data(LightningDataModule)", "class Data", "its file has none: there must be one"),
    ],
)  # fmt: skip
def test_what_only_the_trainer_would_do_is_refused(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    assert old in LIT
    (tmp_path / "lit.py").write_text(BEGIN + STAND_IN + LIT.replace(old, new))
    with pytest.raises(BenchError, match=said):
        registry.load_baseline(f"{tmp_path / 'lit.py'}:LitModel")
