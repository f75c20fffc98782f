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
    for layer in layers:
        layer.__class__ = _Watched
        layer.__dict__["readers"] = read
    try:
        if layers:
            objection(job, job.sample(2))
    finally:
        for layer in layers:
            layer.__class__ = nn.Linear
            del layer.__dict__["readers"]
    return read


class _Watched(nn.Linear):
    """A linear layer that notes when something else reads its weight."""

    @property
    def weight(self) -> Parameter:  # type: ignore[override]  # torch declares it as an attribute
        self.__dict__["readers"].add(self)
        return self._parameters["weight"]  # type: ignore[return-value]  # a plain layer has one

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self._parameters["weight"], self.bias)  # type: ignore[arg-type]  # same
