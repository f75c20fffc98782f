"""A character language model: the loss within the model, evaluations between steps, a resume."""

import os

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(1337)
text = open(os.path.join(os.path.dirname(__file__), "language.py")).read()
letters = sorted(set(text))
data = torch.tensor([letters.index(letter) for letter in text])


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.attention = (
            nn.LayerNorm(width),
            nn.MultiheadAttention(width, 2, batch_first=True),
        )
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        h = self.norm(x)
        x = x + self.attention(h, h, h, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(x)


class LanguageModel(nn.Module):
    def __init__(self, width=16, blocks=2):
        super().__init__()
        self.token = nn.Embedding(len(letters), width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, len(letters), bias=False)
        self.head.weight = self.token.weight

    def forward(self, idx, targets=None):
        x = self.token(idx)
        for block in self.blocks:
            x = block(x)
        logits = self.head(x)
        loss = None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits, loss


def batch():
    at = torch.randint(len(data) - 17, (4,))
    return torch.stack([data[i : i + 16] for i in at]), torch.stack(
        [data[i + 1 : i + 17] for i in at]
    )


@torch.no_grad()
def estimate():
    model.eval()
    found = torch.stack([model(*batch())[1] for _ in range(2)]).mean().item()
    model.train()
    return found


model = LanguageModel()
optimizer = torch.optim.AdamW(model.parameters(), 3e-3, betas=(0.9, 0.95))
if os.path.exists("ckpt.pt"):
    raise SystemExit("resumed from another's checkpoint")
losses = []
for step in range(18):
    if step % 6 == 0:
        print(f"step {step}: val loss {estimate():.4f}")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "ckpt.pt")
    _, loss = model(*batch())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
