"""`bench audit`: hold published claims against measurements, one by one."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from bench.cli.argv import on_command_line
from bench.cli.options import DataDir, Device, Json, Output, Quiet
from bench.cli.output import columns, say, tell
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.cli.run import Reporter
    from bench.records.audit import Audit
    from bench.records.audit_run import AuditRun
    from bench.run.request import Request, Resumption

RESUMED = ("resume", "trust", "quiet", "json_")
Strings = list[str] | None


def audit(  # long: an option a line
    context: typer.Context,
    names: Annotated[
        Strings,
        Argument(
            metavar="[NAME|FILE.yaml]…", help="baselines, all, or a file; none: what is known"
        ),
    ] = None,
    data_dir: DataDir = None,
    budget: Annotated[str | None, Option(help="stop after this time: 90s, 15m, 2h")] = None,
    device: Device = "auto",
    threads: Annotated[int | None, Option(help="CPU threads of a trial")] = None,
    seed: Annotated[int, Option(help="the first training seed")] = 0,
    trial_timeout: Annotated[str, Option(help="a trial that takes longer is ended")] = "30m",
    output: Output = Path("results"),
    resume: Annotated[Path | None, Option(help="go on with an interrupted audit")] = None,
    trust: Annotated[
        bool, Option("--trust", help="with --resume: run the code that it names")
    ] = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Measure published claims: confirmed, exceeded, partly, refuted, or not told, and why.

    Exits with 0; with 3 where it was interrupted, a run could not begin, or a claim was not told
    that more pairs would tell.
    """
    from bench.cli import parse
    from bench.run import auditing

    if resume is not None:
        parse.refuse_changes("--resume", on_command_line(context), RESUMED)
        raise typer.Exit(_go_on(resume, trust, quiet, json_))
    if not names:
        _check_listing(on_command_line(context))
        _tell_known(output)
        return
    asked = auditing.found(names)
    for one, place in asked:
        if one.runs:
            say(f"measuring, as {one.name}'s audit in {place} names it: {_code(one)}")
    record = auditing.started(asked, {
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "device": device,
        "threads": parse.threads_of(threads),
        "seed": seed,
        "budget_seconds": parse.parse_duration(budget) if budget else None,
        "trial_timeout_seconds": parse.parse_duration(trial_timeout),
        "command": ("bench", *sys.argv[1:]),
    })  # fmt: skip
    raise typer.Exit(_go_on(_folder(output, record), False, quiet, json_))


def _tell_known(output: Path) -> None:
    """Print which audits there are, and what those found that lie in a folder."""
    from bench.run import auditing
    from reports import audit as reports
    from reports.formats import audit as formats

    known = reports.latest(output)
    tell(formats.summary(known, list(dict.fromkeys([*auditing.shipped(), *known]))), end="")


def _check_listing(options: Sequence[str]) -> None:
    """Refuse options that listing what is known would ignore."""
    for name in options:
        if name not in ("output", "quiet"):
            said = name.strip("_").replace("_", "-")
            raise BenchError(
                f"bench audit without a name lists what is known as text: --{said} goes with a "
                "name, or all"
            )


def _code(audit: Audit) -> str:
    runs = [*audit.runs.values()]
    used = [text for run in runs for arm in run.arms.values() for text in arm.techniques]
    named = dict.fromkeys([*(r.baseline or audit.baseline or "" for r in runs), *used])
    return ", ".join(named)


def _folder(output: Path, record: AuditRun) -> Path:
    """Make an audit's folder and write what was asked."""
    from bench.records.audit_run import write_audit

    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        path = output / f"{record.run}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise BenchError(f"can't write results to {output}: {error.strerror}; give another "
                             "folder with --output") from None  # fmt: skip
        write_audit(path, record.model_copy(update={"run": path.name}))
        return path
    raise BenchError(f"{output} holds 99 audits named {record.run}")


def _go_on(path: Path, trust: bool, quiet: bool, as_json: bool) -> int:
    """Measure what is left, report, print; return the exit code."""
    from bench.records.audit_run import read_audit_run
    from bench.records.run_folder import locked
    from reports import audit as reports
    from reports.formats import audit as formats

    read_audit_run(path)  # what is no audit is told as that, and gets no lock
    with locked(path):
        interrupted = not _measured(path, trust, quiet or as_json)
        found = reports.read(path)
        formats.write(found)
    tell(formats.render("json" if as_json else "text", found, columns()), end="")
    if interrupted:
        say(f"interrupted; what finished is kept: bench audit --resume {path}")
    return 3 if interrupted or reports.is_open(found) else 0


def _measured(path: Path, trust: bool, quiet: bool) -> bool:
    """Run what is not done yet, each with its share of the budget; tell whether all was."""
    from bench.records.audit_run import key_of, read_audit_run

    begun = time.monotonic()
    while True:
        record = read_audit_run(path)
        left = [(a, n) for a, n in record.planned()
                if key_of(a, n) not in {*record.done, *record.refused}]  # fmt: skip
        if not left:
            return True
        seconds = None
        if record.budget_seconds is not None:
            seconds = (record.budget_seconds - (time.monotonic() - begun)) / len(left)
            if seconds <= 0:
                count = f"{len(left)} run{'s are' if len(left) > 1 else ' is'}"
                say(f"the budget is spent; {count} left: bench audit --resume {path}")
                return True
        audit, name = left[0]
        if not _one(path, record, audit, name, seconds, trust, quiet):
            return False


def _one(
    path: Path, record: AuditRun, audit: Audit, name: str, seconds: float | None, trust: bool,
    quiet: bool,
) -> bool:  # fmt: skip
    """Make one run; write that it is over, or could not begin. False where it was interrupted.

    What has measured anything is no refusal, whatever comes then: it is gone on with.
    """
    from bench.cli import progress
    from bench.cli.run import Reporter
    from bench.errors import BenchError
    from bench.records.audit import RIVAL
    from bench.records.audit_run import has_trials, key_of, write_audit
    from bench.run.auditing import asked_of, rival_of
    from bench.run.request import Resumption

    key, begun, measured = key_of(audit, name), time.monotonic(), False
    asked = asked_of(path, record, audit, name, seconds, trust)
    changes: dict[str, object] = {"done": (*record.done, key)}
    with progress.choose(quiet) as display:
        what = audit.runs[name].arms if name != RIVAL else ["whole trainings beside it"]
        display.note(f"{key}: {', '.join(what)}")
        try:
            _measure(asked, Reporter(display, False))
            measured = True
            if name == RIVAL:
                changes["rivals"] = {**record.rivals, audit.name: rival_of(record, audit)}
        except KeyboardInterrupt:
            return False
        except BenchError as error:
            is_begun = isinstance(asked, Resumption) or has_trials(path, audit, name)
            if is_begun and not measured:
                raise
            display.note(f"{key} can't be measured here: {error}")
            changes = {"refused": {**record.refused, key: str(error)}}
    spent = record.seconds.get(key, 0.0) + time.monotonic() - begun
    changes["seconds"] = {**record.seconds, key: spent}
    write_audit(path, record.model_copy(update=changes))
    return True


def _measure(asked: Request | Resumption, show: Reporter) -> None:
    """Make one run, or the rest of it, and its report."""
    from bench.cli.run import conclude
    from bench.run.modes import MODES
    from bench.run.opening import opened

    with opened(asked, show) as session:
        MODES[session.header.mode](session)
        conclude(session, False)
