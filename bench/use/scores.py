"""Ask any model of one tensor for its scores alone, whatever form it answers in."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bench.errors import NotApplicable
from bench.model.nested import scores_in, tensors_in


class Scores(nn.Module):
    """Rows ``(B, ...)`` to scores ``(B, K)``: of outputs in several parts what is called logits.

    Without such a name it is the first that has as many columns as there are classes, one for two.
    """

    def __init__(self, model: nn.Module, classes: int | None = None) -> None:
        super().__init__()
        self.model, self.classes = model, classes

    def forward(self, rows: Tensor) -> Tensor:
        """Return the scores."""
        found = self.model(rows)
        named = "logits" in found if isinstance(found, Mapping) else hasattr(found, "logits")
        parts = [one for one in tensors_in(found) if one.is_floating_point() and one.dim() > 1]
        if isinstance(found, Tensor) or self.classes is None or named or not parts:
            return scores_in(found)
        widths = {self.classes, 1 if self.classes == 2 else self.classes}
        fitting = [one for one in parts if widths & {one.shape[1], one.shape[-1]}]
        if not fitting:
            raise NotApplicable(f"the model answers with {len(parts)} tensors, none of which has"
                                f" {self.classes} columns for as many classes")  # fmt: skip
        return fitting[0]
