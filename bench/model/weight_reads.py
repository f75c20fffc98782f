"""Find the linear layers whose weight is read by something else than they."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from bench.job import Job
from bench.model.outputs import objection


def layers_read(job: Job, layers: Sequence[nn.Linear]) -> set[nn.Module]:
    """Return which of some plain linear layers have their weight read in a pass of a sample."""
    read: set[nn.Module] = set()
    watched = _watched(read)
    for layer in layers:
        layer.__class__ = watched
    try:
        if layers:
            objection(job, job.sample(2))
    finally:
        for layer in layers:
            layer.__class__ = nn.Linear
    return read


def _watched(read: set[nn.Module]) -> type[nn.Linear]:
    """Return a linear layer that notes, outside of itself, when something else reads its weight."""

    class Watched(nn.Linear):
        @property
        def weight(self) -> Parameter:  # type: ignore[override]  # torch declares an attribute
            read.add(self)
            return self._parameters["weight"]  # type: ignore[return-value]  # a plain layer has one

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self._parameters["weight"], self.bias)  # type: ignore[arg-type]  # same

    return Watched
