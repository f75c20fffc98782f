"""The command line: parse, call, print. A table of contents of what `bench` can do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from bench import __version__
from bench.cli import audit, export_script, judge, measuring, revisions, stored, using
from bench.cli import output as streams
from bench.cli.argv import (
    DefaultGroup,
    RunCommand,
    ScriptCommand,
    SpacedCommand,
    check_folder,
    check_text,
)
from bench.cli.options import (
    FORMATS,
    GATE_FORMATS,
    LISTED,
    NAMED,
    After,
    Before,
    DataDir,
    Device,
    Json,
    Output,
    Quiet,
    Run,
    Strings,
    names,
)
from bench.errors import BenchError
from bench.recipes import own_packages

app = typer.Typer(
    name="bench", cls=DefaultGroup, rich_markup_mode=None,
    pretty_exceptions_enable=False,
)  # fmt: skip
INTERRUPTED = 130  # what typer makes of Ctrl-C


@app.callback(invoke_without_command=True)
def bench(version: Annotated[bool, Option("--version", help="print the version")] = False) -> None:
    """Measure which training-efficiency techniques pay on a PyTorch model, and export the recipe.

    Without a command, options are those of `run`: bench --test mixed-precision early-stopping
    """
    if version:
        streams.tell(f"trainpairs {__version__}")


app.command(cls=RunCommand)(measuring.run)
app.command(cls=ScriptCommand)(measuring.script)
app.command(cls=ScriptCommand)(revisions.ab)
app.command(cls=ScriptCommand)(judge.judge)
app.command("export-script")(export_script.export_script)
app.command()(audit.audit)
app.command()(stored.index)
app.command()(stored.history)


@app.command("list")
def list_(
    what: Annotated[
        str, Argument(help="baselines, techniques or datasets", autocompletion=LISTED)
    ] = "techniques",
    name: Annotated[
        str | None, Argument(help="print the whole card of one", autocompletion=NAMED)
    ] = None,
    baseline: Annotated[str, Option(help="what techniques are to apply to")] = "timehut",
    data_dir: DataDir = None,
    device: Device = "auto",
    rehearse: Annotated[
        bool, Option("--rehearse", help="make the first steps with each technique too")
    ] = False,
    json_: Json = False,
) -> None:
    """List baselines, techniques or data sets, and what applies on this machine."""
    from bench.cli import progress
    from bench.cli.list import as_text, listing

    with progress.choose(json_) as display:
        rows = listing(what, name, baseline, data_dir, device, display.begin, rehearse)
    streams.tell(json.dumps(rows, indent=1) if json_ else as_text(what, rows))


@app.command()
def schema(
    name: Annotated[
        str | None, Argument(help="run, trials, recipe, report or audit; none: list them")
    ] = None,
) -> None:
    """Print the JSON Schema of a file that a run leaves, or of its report's JSON."""
    from reports.schemas import FILES
    from reports.schemas import schema as printed

    if name is None:
        streams.tell("\n".join(f"{key:8} {what}" for key, (_, what) in FILES.items()))
    else:
        streams.tell(printed(name), end="")


@app.command()
def show(run: Run, json_: Json = False) -> None:
    """Print what a run found."""
    import reports

    record = reports.read(run)
    streams.tell(
        reports.render("json", record) if json_ else reports.summary(record, streams.columns()),
        end="",
    )


@app.command()
def report(
    run: Run,
    format_: Annotated[
        str,
        Option(
            "--format",
            help="md, html, json, csv, junit, pytest-benchmark, benchmark-smaller, "
            "benchmark-bigger, bencher or openmetrics",
            autocompletion=FORMATS,
        ),
    ] = "md",
) -> None:
    """Print a run's report, made anew from its records."""
    import reports

    streams.tell(reports.render(format_, reports.read(run)), end="")


@app.command(cls=SpacedCommand)
def compare(
    before: Before,
    after: After,
    fail_on: Annotated[
        Strings, Option(help="time=5% memory=10% accuracy[=0.01], which is what none asks for")
    ] = None,
    across_machines: Annotated[
        bool, Option("--across-machines", help="compare ratios alone, of unlike machines")
    ] = False,
    format_: Annotated[
        str, Option("--format", help="text, md, json, junit or github", autocompletion=GATE_FORMATS)
    ] = "text",
) -> None:
    """Compare the same arms of two runs; exit 1 when one has become worse (the CI gate).

    Exits with 3 where something that was asked can't be told.
    """
    from bench.analysis import gate
    from bench.cli import step_summary
    from reports.formats import gate as formats

    found = gate.check(before, after, gate.parse_rules(fail_on or gate.DEFAULT), across_machines)
    streams.tell(formats.render(format_, found), end="")
    step_summary.write(formats.render("md", found))
    raise typer.Exit(1 if found.failed else 3 if found.unknown else 0)


@app.command()
def verify(
    recipe: Annotated[Path, Argument(metavar="RECIPE", help="an exported optimized.json")],
    data_dir: DataDir = None,
    repeats: Annotated[str, Option(help="pairs of trials, or auto: until it is known")] = "auto",
    device: Device = "auto",
    threads: Annotated[int | None, Option(help="CPU threads of a trial (as the claim had)")] = None,
    output: Output = Path("results"),
    quiet: Quiet = False,
) -> None:
    """Measure an exported recipe again, in fresh pairs; exit 1 when its claim is broken.

    Exits with 3 where the claim can't be told.
    """
    from bench.cli import verify
    from bench.cli.run import execute

    asked = verify.request(recipe, data_dir, repeats, device, threads, output)
    execute(asked, quiet)


@app.command()
def train(
    recipe: Annotated[Path, Argument(metavar="RECIPE", help="an exported optimized.json")],
    data_dir: DataDir = None,
    device: Device = "auto",
    threads: Annotated[
        int | None, Option(help="CPU threads (what the baseline advises, else all)")
    ] = None,
    seed: Annotated[int, Option(help="training seed")] = 0,
    output: Annotated[Path, Option(help="folder for the checkpoint")] = Path("checkpoint"),
    resume: Annotated[bool, Option("--resume", help="go on after the last whole epoch")] = False,
    quiet: Quiet = False,
) -> None:
    """Train with a recipe for real: a checkpoint, and no measuring."""
    from bench.cli import train

    for line in train.train_recipe(recipe, data_dir, device, threads, seed, output, quiet, resume):
        streams.tell(line)


for command in (using.export, using.serve, using.demo, using.federate):
    app.command()(command)


@app.command()
def doctor(device: Device = "auto", json_: Json = False) -> None:
    """Show devices, libraries, measured peaks, and how small an effect this machine can show."""
    from bench.cli import doctor, progress

    with progress.choose(json_) as display:
        found = doctor.examine(device, display.begin)
    streams.tell(json.dumps(found, indent=1) if json_ else doctor.as_text(found))


@app.command()
def init(
    file: Annotated[Path, Argument(metavar="FILE", help="the Python file to write")],
    loaders: Annotated[
        bool, Option("--loaders", help="the short form: a model and two DataLoaders")
    ] = False,
) -> None:
    """Write a runnable template of one's own baseline."""
    from bench.cli import template

    streams.tell(template.write(file, loaders))


@app.command()
def check(
    baseline: Annotated[
        str, Argument(help="file.py:Class, or a name", autocompletion=names("bench.baselines"))
    ],
    data_dir: DataDir = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Rehearse a baseline for one real step, and print what it offers to techniques."""
    from bench.cli import check

    found = check.check(baseline, data_dir, device)
    streams.tell(found.model_dump_json(indent=1) if json_ else check.as_text(found))


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    streams.prepare()
    own_packages.put_first()
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = _code()
    except KeyboardInterrupt:
        code = 3
    sys.exit(code)


def _code() -> int:
    """Return the exit code of what was asked for."""
    try:
        check_text(sys.argv)
        check_folder()
        code = app(standalone_mode=False)
        streams.finish()
    except BenchError as error:
        return _refuse(str(error))
    except typer.TyperException as error:
        return _refuse(error.format_message())
    except typer.Abort:
        return 3
    except (Exception, SystemExit) as error:  # noqa: BLE001 - raised again where it is ours
        return _refuse(_mistake(error))
    return 3 if code == INTERRUPTED else code if isinstance(code, int) else 0


def _mistake(error: BaseException) -> str:
    """Return what the user has to mend: their own code, or their disk; raise what is our bug."""
    from bench.recipes.loading import described, frame_of

    if frame_of(error):
        return described(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'output'}: {error.strerror or error}"
    raise error


def _refuse(message: str) -> int:
    streams.say(f"bench: {' '.join(message.split())}")
    return 2
