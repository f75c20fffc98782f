"""Items read by two worker processes, and an early exit from the middle of an epoch."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Squares(Dataset):
    def __len__(self):
        return 400

    def __getitem__(self, index):
        x = torch.tensor([index / 400.0])
        return {"x": x, "y": x.square()}


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), 0.01)
losses = []
for step, batch in enumerate(DataLoader(Squares(), 10, shuffle=True, num_workers=2)):
    loss = nn.functional.mse_loss(model(batch["x"]), batch["y"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if step == 17:
        sys.exit(0)
