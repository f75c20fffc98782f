"""Ask any model of one tensor for its scores alone, whatever form it answers in."""

from __future__ import annotations

from torch import Tensor, nn

from bench.model.nested import scores_in


class Scores(nn.Module):
    """Rows ``(B, ...)`` to scores ``(B, K)``: of outputs in several parts what is called logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Tensor) -> Tensor:
        """Return the scores."""
        return scores_in(self.model(rows))
