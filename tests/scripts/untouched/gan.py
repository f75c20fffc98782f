"""A GAN: two models, two optimizers, several backward passes a step."""

import torch
from torch import nn

torch.manual_seed(0)
generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
critic = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 1))
of_generator = torch.optim.Adam(generator.parameters(), 1e-3)
of_critic = torch.optim.Adam(critic.parameters(), 1e-3)
criterion = nn.BCEWithLogitsLoss()
losses = []
for _ in range(18):
    real = torch.randn(16, 2) + 2
    critic.zero_grad()
    on_real = criterion(critic(real), torch.ones(16, 1))
    on_real.backward()
    fake = generator(torch.randn(16, 4))
    on_fake = criterion(critic(fake.detach()), torch.zeros(16, 1))
    on_fake.backward()
    of_critic.step()
    generator.zero_grad()
    fooled = criterion(critic(fake), torch.ones(16, 1))
    fooled.backward()
    of_generator.step()
    losses.append(on_real.item() + on_fake.item() + fooled.item())
