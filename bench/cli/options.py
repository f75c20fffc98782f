"""What several commands take: their options and arguments, and what completes these in a shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Strings = list[str] | None


def among(*words: str) -> Callable[[str], list[str]]:
    """Return what completes one of a few words in a shell."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


Output = Annotated[Path, Option(help="folder that run folders are made in")]
Device = Annotated[str, Option(help="auto, cpu or cuda")]
DataDir = Annotated[Path | None, Option(help="folder that data sets lie in")]
SkipBad = Annotated[bool | None, Option("--skip-bad", help="leave out, and count, bad records")]
Log = Annotated[
    Strings,
    Option(
        help="log to mlflow, wandb or tensorboard: offline, when no step is timed",
        autocompletion=among("mlflow", "wandb", "tensorboard"),
    ),
]
Json = Annotated[bool, Option("--json", help="print JSON")]
Quiet = Annotated[bool, Option(help="print no progress")]


def names(*groups: str) -> Callable[[str], list[str]]:
    """Return what completes names of entry-point groups in a shell."""

    def complete(incomplete: str) -> list[str]:
        from importlib.metadata import entry_points

        found = [name for group in groups for name in entry_points(group=group).names]
        return [name for name in found if name.startswith(incomplete)]

    return complete


def runs(incomplete: str) -> list[str]:
    """Complete the folder of a run, the newest first."""
    place = Path(incomplete)
    folder = place if incomplete.endswith("/") else place.parent
    folder = folder if incomplete else Path("results")
    found = (path for path in folder.glob("*") if path.is_dir())
    named = [str(path) for path in found if str(path).startswith(incomplete)]
    return sorted(named, reverse=True)


TECHNIQUES = names("bench.optimizers")
FORMATS = among(
    "md", "html", "json", "csv", "junit", "pytest-benchmark", "benchmark-smaller",
    "benchmark-bigger", "bencher", "openmetrics",
)  # fmt: skip
LISTED = among("baselines", "techniques", "datasets")
NAMED = names("bench.optimizers", "bench.baselines")
GATE_FORMATS = among("text", "md", "json", "junit", "github")
Run = Annotated[
    Path, Argument(metavar="RUN", help="a run's folder in results/", autocompletion=runs)
]
Before = Annotated[Path, Argument(metavar="BEFORE", help="a run's folder", autocompletion=runs)]
After = Annotated[Path, Argument(metavar="AFTER", help="another's", autocompletion=runs)]
