"""The lines of a training loop in plain PyTorch, as a recipe's techniques say them in turn.

What a technique's `apply` does to a job, its `write_loop` says in lines. In them stand `job`,
`model`, `trained` (what the loop calls: a compiled form of the model, say), `optimizer`, `device`,
`epoch` (from 0), `batch`, and `loss`; `deployed()` returns the model as it would be used now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Literal

Place = Literal[
    "begin", "model", "optimizer", "batch", "update", "updated", "epoch", "end", "deployed"
]
"""First of all; once there is a model; once there is an optimizer; before a batch's loss; between
gradients and the optimizer's step; after it; after an epoch (`over = True` ends the training); at
the end, `made` being what `deployed` gave; and the body of that, which returns a model."""


@dataclass
class PlainLoop:
    """What techniques have written so far."""

    device: str
    """The kind: cpu or cuda."""
    around: list[str] = field(default_factory=list)
    """Contexts that the loss is computed in."""
    backward: str = "loss.backward()"
    step: str = "optimizer.step()"
    parts: str | None = None
    """An expression of the parts that a batch is trained in, one gradient for all of them."""
    share: str | None = None
    """An expression of what the loss of one `part` counts."""
    _lines: dict[Place, list[str]] = field(default_factory=dict)
    _defined: dict[str, None] = field(default_factory=dict)

    def define(self, text: str) -> None:
        """Write functions before the loop, once, whoever asks for them."""
        self._defined[dedent(text).strip()] = None

    def add(self, place: Place, lines: str, by: str) -> None:
        """Write lines at a place, after what is there, under the technique's name."""
        self._lines.setdefault(place, []).append(f"# {by}\n{dedent(lines).strip()}")

    def at(self, place: Place) -> str:
        """Return what is written at a place."""
        return "\n".join(self._lines.get(place, ()))

    @property
    def definitions(self) -> tuple[str, ...]:
        """Return the functions that the lines call."""
        return tuple(self._defined)
