"""A causal language model as in minimal GPTs: tied weights, a cosine made by hand, clipping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress

VOCABULARY, CONTEXT = 24, 16


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        parts = self.c_attn(self.ln_1(x)).view(b, t, 3, self.heads, c // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class GPT(nn.Module):
    def __init__(self, width: int = 32, layers: int = 2, heads: int = 2) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, width), nn.Embedding(CONTEXT, width)
        self.h = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1], device=idx.device))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1))


class GPTSettings(Settings):
    epochs: int = 2
    batch_size: int = 16
    lr: float = 3e-3


class CausalLM:
    name, unit, target, settings = "gpt", "windows", Target("accuracy", bounds=(0, 1)), GPTSettings

    def job(self, s: GPTSettings, device: torch.device, seed: int) -> Job:
        steps = torch.randint(1, 3, (4000,), generator=torch.Generator().manual_seed(0))
        text = steps.cumsum(0) % VOCABULARY
        train, test = text[:3200].to(device), text[3200:].to(device)
        draw = torch.Generator().manual_seed(seed)
        model, done = GPT().to(device), [0]
        per_epoch = 10

        def windows(part: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
            rows = starts[:, None] + torch.arange(CONTEXT)
            return part[rows], part[rows + 1]

        def batches(progress: Progress) -> Iterator[Any]:
            for _ in range(per_epoch):
                starts = torch.randint(len(train) - CONTEXT - 1, (s.batch_size,), generator=draw)
                yield windows(train, starts)

        def update(optimizer: Optimizer) -> None:
            share = done[0] / (per_epoch * s.epochs)
            for group in optimizer.param_groups:
                group["lr"] = s.lr * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))
            weights = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            done[0] += 1

        held = windows(test, torch.arange(0, len(test) - CONTEXT - 1, CONTEXT))

        @torch.no_grad()
        def evaluate(model: nn.Module) -> dict[str, float]:
            logits, loss = model.eval()(*held)
            return {"accuracy": (logits.argmax(-1) == held[1]).float().mean().item(),
                    "perplexity": math.exp(loss.item())}  # fmt: skip

        return Job(
            device=device, model=model, epochs=s.epochs, batches=batches, update=update,
            data=DataCard.of("walk", (text,), per_epoch * s.batch_size, len(held[0])),
            make_optimizer=lambda m: torch.optim.AdamW(m.parameters(), lr=s.lr, betas=(0.9, 0.95)),
            loss=lambda m, b: m(*b)[1], evaluate=evaluate, sample=lambda n: (held[0][:n],),
        )  # fmt: skip
