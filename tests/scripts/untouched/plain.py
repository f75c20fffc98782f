"""A classifier with a DataLoader, an evaluation after each epoch, and a checkpoint."""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--lr", type=float, default=0.02)
args = parser.parse_args()

torch.manual_seed(args.seed)
x = torch.randn(224, 10)
y = (x[:, :3].sum(1) > 0).long()
train = DataLoader(TensorDataset(x[:192], y[:192]), 16, shuffle=True)
test = DataLoader(TensorDataset(x[192:], y[192:]), 32)
model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.AdamW(model.parameters(), args.lr)
losses = []
for epoch in range(args.epochs):
    model.train()
    for inputs, targets in train:
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        right = sum((model(a).argmax(1) == b).sum().item() for a, b in test)
    print(f"epoch {epoch} val_acc={right / 32:.4f}")
    Path("out").mkdir(exist_ok=True)
    torch.save(model, "out/model.pt")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "out/state.pt")
