"""Fix the margin of ``--margin auto`` once the baseline's first trials are there."""

from __future__ import annotations

from bench.analysis.margin import automatic_margin
from bench.analysis.metric import target_of
from bench.records.run_folder import Folder
from bench.run.observer import Observer


def fix_margin(folder: Folder, show: Observer) -> None:
    """Write the margin into ``run.json``, before any arm is judged; where it stands, it stays.

    What is screened is judged only when it is confirmed.
    """
    header = folder.header
    if not header.margin_auto or header.margin_seeds is not None:
        return
    if header.screening is not None and "confirm" not in header.raced:
        return
    trials = folder.trials.counting
    found = automatic_margin(trials, target_of(header), header.margin)
    folder.fix_margin(*found)
    show.note(
        f"--margin auto: {found.size:.4g} of {header.metric}, {found.why}, by {found.seeds} seeds "
        "of the baseline"
    )
