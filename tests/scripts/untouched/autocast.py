"""A small convolutional net that already trains under autocast, with a scaler that is off."""

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
scaler = torch.amp.GradScaler("cpu", enabled=False)
losses = []
for _ in range(16):
    images, labels = torch.randn(8, 3, 12, 12), torch.randint(3, (8,))
    with torch.autocast("cpu", torch.bfloat16):
        loss = nn.functional.cross_entropy(net(images), labels)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    losses.append(loss.item())
