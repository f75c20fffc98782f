"""A graph network over one sparse graph: an epoch is one step on all nodes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.baseline import Settings, Target
from bench.job import DataCard, Job

NODES, FEATURES, CLASSES = 200, 16, 4


class GraphConvolution(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inside, outside) / inside**0.5)
        self.bias = nn.Parameter(torch.zeros(outside))

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        return torch.spmm(graph, x @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gc1, self.gc2 = GraphConvolution(FEATURES, 16), GraphConvolution(16, CLASSES)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        x = F.dropout(F.relu(self.gc1(x, graph)), 0.3, training=self.training)
        return F.log_softmax(self.gc2(x, graph), dim=1)


class GraphSettings(Settings):
    epochs: int = 10
    lr: float = 0.02


class Graph:
    name, unit, settings = "gcn", "nodes", GraphSettings
    target = Target("accuracy", bounds=(0, 1))

    def job(self, s: GraphSettings, device: torch.device, seed: int) -> Job:
        random = torch.Generator().manual_seed(0)
        y = torch.arange(NODES) % CLASSES
        x = torch.randn(NODES, FEATURES, generator=random) + F.one_hot(y, FEATURES)
        start = torch.randint(NODES, (800,), generator=random)
        end = (start + CLASSES * torch.randint(20, (800,), generator=random)) % NODES
        edges = torch.cat([torch.stack([start, end]), torch.arange(NODES).repeat(2, 1)], 1)
        degree = torch.bincount(edges[0], minlength=NODES).float()
        graph = torch.sparse_coo_tensor(edges, 1 / degree[edges[0]], (NODES, NODES)).coalesce()
        known, held, asked = torch.arange(40), torch.arange(40, 100), torch.arange(100, NODES)
        model = GCN().to(device)

        def loss_on(part: Tensor, m: Any) -> Tensor:
            return F.nll_loss(m(x, graph)[part], y[part])

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            right = m.eval()(x, graph)[asked].argmax(1) == y[asked]
            return {"accuracy": right.float().mean().item()}

        @torch.no_grad()
        def validate(m: nn.Module) -> float:
            return loss_on(held, m.eval()).item()

        return Job(
            device=device, model=model, epochs=s.epochs, batches=lambda progress: [(x, graph)],
            data=DataCard.of("ring", (x, y, edges), 40, len(asked)), validate=validate,
            make_optimizer=lambda m: torch.optim.Adam(m.parameters(), s.lr, weight_decay=5e-4),
            loss=lambda m, b: F.nll_loss(m(*b)[known], y[known]), evaluate=evaluate,
            sample=lambda n: (x, graph), items=lambda batch: NODES,
        )  # fmt: skip
