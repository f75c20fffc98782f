"""See that a model answers an item by itself, whatever else it is asked at the same time."""

from __future__ import annotations

import torch

from bench.errors import BenchError
from bench.use.checkpoint import Loaded
from bench.use.made_up import can_make_up, made_up
from bench.use.program import close

TOGETHER = 5


def check_row_by_row(loaded: Loaded) -> None:
    """Raise `BenchError` where an answer depends on the rows beside it, or on chance.

    Items are answered in whatever batches they come; its metric is of the batches of an evaluation.
    """
    inputs = loaded.record.inputs
    if inputs is None or not can_make_up(inputs):
        return
    rows = made_up(inputs, TOGETHER).to(loaded.device)
    with torch.inference_mode():
        together = loaded.model(rows)
        alone = torch.cat([loaded.model(row[None]) for row in rows])
    if not close([together], [alone]):
        raise BenchError(f"the model in {loaded.folder} answers a row otherwise alone than among"
                         f" {TOGETHER - 1} others: it looks at the whole batch, or draws random"
                         " numbers, so that single items have no answer of their own")  # fmt: skip
