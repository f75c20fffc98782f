"""A training script as people write them: bench script examples/train.py -- --epochs 3."""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    """Train a small network to tell on which side of a curved border points lie."""
    options = argparse.ArgumentParser()
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--batch-size", type=int, default=64)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    torch.manual_seed(given.seed)
    points = torch.randn(4096, 20, generator=torch.Generator().manual_seed(1))
    labels = (points.square().sum(1) > 20).long()
    train = DataLoader(TensorDataset(points[:3072], labels[:3072]), given.batch_size, shuffle=True)
    model = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(given.epochs):
        for x, y in train:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            right = model(points[3072:]).argmax(1) == labels[3072:]
        print(f"epoch {epoch} val_acc={right.float().mean():.4f}")


if __name__ == "__main__":
    main()
