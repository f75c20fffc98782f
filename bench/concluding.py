"""The end of a run: run it, judge it, write what was found, and print it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.launch import Request
    from bench.session import Session


def check(tensorboard: bool) -> None:
    """Raise `BenchError` where event files are asked for and can't be written."""
    if tensorboard and find_spec("tensorboard") is None:
        raise BenchError(
            "--tensorboard needs the package tensorboard: pip install 'trainbench[tensorboard]'"
        )


def execute(
    open_: Any, asked: Request | Path, quiet: bool, as_json: bool, tensorboard: bool = False
) -> None:
    """Run, compare, report, export; an interrupt keeps what has finished and says how to go on."""
    from bench import display, launch

    with display.choose(quiet or as_json) as show_, open_(asked, show_) as session:
        try:
            launch.execute(session)
        except KeyboardInterrupt:
            _conclude(session, tensorboard)
            path = session.folder.path
            show_.note(f"interrupted; what finished is kept: bench --resume {path}")
            raise typer.Exit(3) from None
        complete = _conclude(session, tensorboard)
    finish(session.folder.path, as_json)
    raise typer.Exit(0 if complete else 3)


def _conclude(session: Session, tensorboard: bool) -> bool:
    """Export and write the report; tell whether every arm gave something."""
    from bench import export
    from bench.compare import compare_run

    comparison = compare_run(session.header, session.records, session.probed)
    if session.header.mode in ("combine", "full-optimization"):
        export.export(session, comparison)
    _write_report(session.folder.path, tensorboard)
    return comparison.complete


def _write_report(path: Path, tensorboard: bool) -> None:
    import reports
    from bench.store import write_text

    record = reports.read(path)
    if tensorboard:
        reports.write_events(record, path / "tensorboard")
    reports.write_curves(record, path / "plots")
    write_text(path / "report.md", reports.render("md", reports.read(path)))


def finish(path: Path, as_json: bool = False) -> None:
    """Print what a run found."""
    import reports

    record = reports.read(path)
    print(reports.render("json", record) if as_json else reports.summary(record), end="")
