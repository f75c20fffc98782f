"""`bench demo`: a picture of what a trained model says of a few items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import say
from bench.errors import BenchError
from bench.records.files import appearing

if TYPE_CHECKING:
    from bench.use.occlusion import Explained
    from reports.demo import Panel

MOST = 12
"""Items in one picture."""


def demonstrate(
    checkpoint: Path, files: list[Path], output: Path, count: int, data_dir: Path | None,
    device: str, trust: bool,
) -> Iterator[str]:  # fmt: skip
    """Draw the items of files, or some of the test part; yield what the model says of each."""
    import torch

    from bench.machine.device import choose_device
    from bench.use.checkpoint import load
    from bench.use.occlusion import explained
    from bench.use.row_by_row import check_row_by_row
    from reports.demo import draw

    if missing := next((path for path in files if not path.is_file()), None):
        raise BenchError(f"there is no file {missing}")
    loaded = load(checkpoint, torch.device(choose_device(device)), trust, say, data_dir)
    check_row_by_row(loaded)
    items = loaded.use.read(files)[:MOST] if files else loaded.use.examples(count)
    found = [explained(loaded, item) for item in items]
    record = loaded.record
    metric = record.metrics.get(record.metric_name)
    said = f"{metric:.4f}" if metric is not None else "unknown"
    title = (
        f"{record.recipe.baseline}, recipe {record.recipe_id}, {record.epochs} epochs on"
        f" {record.data.name}; {record.metric_name} of the test part {said}.\nBlue bars: decided"
        " for. Bold names: true, in red where they were missed."
    )
    with appearing(output) as temporary:
        draw([_panel(one) for one in found], title, temporary)
    for one in found:
        true = "not known" if one.item.truth is None else ", ".join(one.item.truth) or "no label"
        scores = ", ".join(f"{one.answer.scores[label]:.2f}" for label in one.answer.labels)
        decided = ", ".join(one.answer.labels) or "no label"
        yield f"{one.item.name}: {decided} ({scores or '-'}); true: {true}"
    yield f"wrote {output}"


def _panel(one: Explained) -> Panel:
    from reports.demo import Panel

    picture = one.item.picture
    return Panel(
        kind=picture.kind, name=one.item.name, values=picture.values, channels=picture.names,
        rate_hz=picture.rate_hz, unit=picture.unit, rows=one.item.rows.float().numpy(),
        labels=one.answer.labels, scores=one.answer.scores, scores_are=one.answer.scores_are,
        truth=one.item.truth, about=one.label, importance=one.importance, steps=one.steps,
    )  # fmt: skip
