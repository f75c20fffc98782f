"""Gradients accumulated over four microbatches and clipped, with a schedule of the rate."""

import torch
from torch import nn

torch.manual_seed(0)


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())

    def forward(self, x):
        return x + self.inner(x)


model = nn.Sequential(nn.Linear(8, 32), *[Residual(32) for _ in range(3)], nn.Linear(32, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
data = torch.randn(20, 4, 16, 8)
losses, norms = [], []
for batch in data:
    total = 0.0
    for micro in batch:
        loss = (model(micro) - micro.sum(1, keepdim=True)).square().mean() / 4
        loss.backward()
        total += loss.item()
    norms.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
    optimizer.step()
    optimizer.zero_grad()
    schedule.step()
    losses.append(total)
