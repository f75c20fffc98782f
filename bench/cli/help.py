"""How the help of ``bench`` is laid out: a run's options in groups, and commands to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # typer keeps a click of its own
    from typer._click import Context, HelpFormatter
    from typer.core import TyperCommand

GROUPS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "What is measured": frozenset(
            {"baseline_only", "test", "combine", "full_optimization", "recipe"}
        ),
        "On what": frozenset(
            {"baseline", "dataset", "data_dir", "epochs", "batch_size", "set_", "skip_bad"}
        ),
        "What counts": frozenset({"margin", "objective", "limit"}),
        "How long": frozenset({"repeats", "budget", "trial_timeout", "resume", "trust", "dry_run"}),
    }
)
"""Of a run's options by name; every other one stands under "Other options"."""
EXAMPLES = (
    ("what the baseline takes and reaches", "bench --baseline-only"),
    ("whether two techniques pay", "bench --test mixed-precision early-stopping"),
    ("all of them, within an hour", "bench --full-optimization --budget 1h"),
    ("how long that would take", "bench --full-optimization --dry-run"),
    (
        "your own model",
        "bench init my_model.py && bench --baseline my_model.py:MyModel --baseline-only",
    ),
)


def write_groups(command: TyperCommand, ctx: Context, formatter: HelpFormatter) -> None:
    """Write a run's options, in groups."""
    named = frozenset[str]().union(*GROUPS.values())
    params = command.get_params(ctx)
    groups = {title: [p for p in params if p.name in names] for title, names in GROUPS.items()}
    groups["Other options"] = [p for p in params if p.name not in named]
    for title, own in groups.items():
        records = [record for p in own if (record := p.get_help_record(ctx))]
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def write_examples(formatter: HelpFormatter) -> None:
    """Write commands to begin with."""
    with formatter.section("Examples"):
        for what, command in EXAMPLES:
            formatter.write(f"  # {what}\n  {command}\n")
