"""The command line: parse, call, print. A table of contents of what `bench` can do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from bench import __version__
from bench.cli import judge, revisions
from bench.cli import output as streams
from bench.cli.argv import (
    BEHIND,
    DefaultGroup,
    RunCommand,
    ScriptCommand,
    SpacedCommand,
    check_folder,
    check_text,
)
from bench.errors import BenchError
from bench.recipes import own_packages

app = typer.Typer(
    name="bench", cls=DefaultGroup, rich_markup_mode=None,
    pretty_exceptions_enable=False,
)  # fmt: skip
Strings = list[str] | None
INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


Output = Annotated[Path, Option(help="folder that run folders are made in")]
Device = Annotated[str, Option(help="auto, cpu or cuda")]
DataDir = Annotated[Path | None, Option(help="folder that data sets lie in")]
SkipBad = Annotated[bool | None, Option("--skip-bad", help="leave out, and count, bad records")]
Json = Annotated[bool, Option("--json", help="print JSON")]
Quiet = Annotated[bool, Option(help="print no progress")]


def _names(*groups: str) -> Callable[[str], list[str]]:
    """Return what completes names of entry-point groups in a shell."""

    def complete(incomplete: str) -> list[str]:
        from importlib.metadata import entry_points

        names = [name for group in groups for name in entry_points(group=group).names]
        return [name for name in names if name.startswith(incomplete)]

    return complete


def _among(*words: str) -> Callable[[str], list[str]]:
    """Return what completes one of a few words in a shell."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _runs(incomplete: str) -> list[str]:
    """Complete the folder of a run, the newest first."""
    place = Path(incomplete)
    folder = place if incomplete.endswith("/") else place.parent
    folder = folder if incomplete else Path("results")
    found = (path for path in folder.glob("*") if path.is_dir())
    named = [str(path) for path in found if str(path).startswith(incomplete)]
    return sorted(named, reverse=True)


TECHNIQUES = _names("bench.optimizers")
FORMATS = _among(
    "md", "html", "json", "csv", "junit", "pytest-benchmark", "benchmark-smaller",
    "benchmark-bigger", "bencher", "openmetrics",
)  # fmt: skip
LISTED = _among("baselines", "techniques", "datasets")
NAMED = _names("bench.optimizers", "bench.baselines")
GATE_FORMATS = _among("text", "md", "json", "junit", "github")
Run = Annotated[
    Path, Argument(metavar="RUN", help="a run's folder in results/", autocompletion=_runs)
]
Before = Annotated[Path, Argument(metavar="BEFORE", help="a run's folder", autocompletion=_runs)]
After = Annotated[Path, Argument(metavar="AFTER", help="another's", autocompletion=_runs)]


RESUMED = ("resume", "trust", "quiet", "json_", "tensorboard")
"""Options that may be given anew when a run goes on: all others are fixed before it begins."""


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@app.callback(invoke_without_command=True)
def bench(version: Annotated[bool, Option("--version", help="print the version")] = False) -> None:
    """Measure which training-efficiency techniques pay on a PyTorch model, and export the recipe.

    Without a command, options are those of `run`: bench --test mixed-precision early-stopping
    """
    if version:
        streams.tell(f"trainbench {__version__}")


@app.command(cls=RunCommand)
def run(  # long: an option a line
    context: typer.Context,
    baseline_only: Annotated[bool, Option("--baseline-only", help="measure the baseline")] = False,
    test: Annotated[
        Strings,
        Option(
            help="techniques, each alone: NAME or NAME:setting=value,… or FILE.py:Class[:…] …",
            autocompletion=TECHNIQUES,
        ),
    ] = None,
    combine: Annotated[
        Strings, Option(help="the same, together as one recipe", autocompletion=TECHNIQUES)
    ] = None,
    full_optimization: Annotated[
        bool, Option("--full-optimization", help="screen, combine, confirm, export")
    ] = False,
    recipe: Annotated[Strings, Option(help="exported recipes, against their baseline")] = None,
    baseline: Annotated[
        str, Option(help="a name, or file.py:Class", autocompletion=_names("bench.baselines"))
    ] = "timehut",
    dataset: Annotated[str | None, Option(help="a data set's name, or path")] = None,
    data_dir: DataDir = None,
    epochs: Annotated[str | None, Option(metavar="N", help="passes over the training part")] = None,
    batch_size: Annotated[str | None, Option(metavar="N", help="items in a batch")] = None,
    set_: Annotated[
        Strings, Option("--set", help="any of the baseline's settings: key=value …")
    ] = None,
    skip_bad: SkipBad = None,
    device: Device = "auto",
    threads: Annotated[
        int | None, Option(help="CPU threads of a trial (what the baseline advises, else all)")
    ] = None,
    seed: Annotated[int, Option(help="the first training seed; each pair takes the next")] = 0,
    repeats: Annotated[str, Option(help="pairs of trials for each arm, or auto")] = "auto",
    budget: Annotated[str | None, Option(help="stop after this time: 90s, 15m, 2h")] = None,
    objective: Annotated[
        Strings,
        Option(help="what a gain is to be in: time, memory, latency, size, energy; one or two"),
    ] = None,
    limit: Annotated[
        Strings, Option(help="what no arm may exceed: memory=2GiB time=15m latency=5ms size=10MiB")
    ] = None,
    margin: Annotated[
        str | None,
        Option(
            help="largest loss of the metric that is accepted (what its target says, else 0.01), "
            "or auto: what the baseline's spread can show"
        ),
    ] = None,
    trial_timeout: Annotated[str, Option(help="a trial that takes longer is ended")] = "30m",
    reuse: Annotated[
        bool, Option("--reuse", help="take trials of the same recipe, seed and code from --output")
    ] = False,
    output: Output = Path("results"),
    resume: Annotated[Path | None, Option(help="go on with an interrupted run")] = None,
    trust: Annotated[
        bool, Option("--trust", help="with --resume: run the code that another's run names")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="print the plan, and about how long it takes; then end")
    ] = False,
    quiet: Quiet = False,
    json_: Json = False,
    tensorboard: Annotated[bool, Option(help="write event files of every full trial")] = False,
) -> None:
    """Measure a baseline, and techniques against it."""
    from bench.cli import forecast, parse
    from bench.cli.run import check, execute
    from bench.run.request import Request, Resumption

    check(tensorboard)

    arms: dict[str, Any] = {
        "baseline-only": baseline_only, "test": test, "combine": combine,
        "full-optimization": full_optimization, "recipe": recipe,
    }  # fmt: skip
    if resume is not None:
        parse.refuse_changes(
            "--resume", [p for p in context.params if _is_given(context, p)], RESUMED
        )
        execute(Resumption(resume, trust), quiet, json_, tensorboard)
        return
    values = {"dataset": dataset, "data_dir": data_dir, "epochs": epochs, "batch_size": batch_size}
    given = {**values, "skip_bad": skip_bad}
    settings = {key: str(value) for key, value in given.items() if value is not None}
    mode, chosen = parse.choose_mode(arms)
    asked = Request(
        mode=mode,
        baseline=baseline,
        settings=parse.together(settings, set_ or []),
        arms=chosen,
        device=device,
        threads=parse.threads_of(threads),
        seed=seed,
        repeats=parse.parse_repeats(repeats),
        objectives=parse.parse_objectives(objective or []),
        limits=parse.parse_limits(limit or []),
        budget_seconds=parse.parse_duration(budget) if budget else None,
        trial_timeout_seconds=parse.parse_duration(trial_timeout),
        margin=parse.parse_margin(margin),
        margin_auto=margin == parse.AUTO,
        reuse=reuse,
        output=output,
        command=("bench", *sys.argv[1:]),
    )
    if dry_run:
        streams.tell(forecast.planned(asked, quiet))
    else:
        execute(asked, quiet, json_, tensorboard)


@app.command(cls=ScriptCommand)
def script(  # long: an option a line
    context: typer.Context,
    file: Annotated[str | None, Argument(metavar="SCRIPT", help="a training script")] = None,
    module: Annotated[str | None, Option("-m", help="or a module, as for python -m")] = None,
    test: Annotated[
        Strings, Option(help="techniques, each alone: NAME …", autocompletion=TECHNIQUES)
    ] = None,
    combine: Annotated[
        Strings, Option(help="the same, together as one recipe", autocompletion=TECHNIQUES)
    ] = None,
    full_optimization: Annotated[
        bool, Option("--full-optimization", help="screen, combine, confirm, export")
    ] = False,
    vary: Annotated[
        Strings, Option(help="arguments of the script's, each line an arm: '--lr 1e-3' …")
    ] = None,
    metric: Annotated[
        str | None, Option(help="a pattern over its output, acc=([\\d.]+), or a reported name")
    ] = None,
    lower: Annotated[
        bool, Option("--lower-is-better", help="lower values of the metric are better")
    ] = False,
    seed_argument: Annotated[
        str | None, Option(help="the script's argument that seeds it: --seed")
    ] = None,
    model: Annotated[
        str | None, Option(help="the class of the models that techniques change (all trained)")
    ] = None,
    steps: Annotated[int | None, Option(help="steps of a trial that only steps (15, 3 s)")] = None,
    device: Device = "auto",
    threads: Annotated[int | None, Option(help="CPU threads of a trial (all)")] = None,
    seed: Annotated[int, Option(help="the first training seed; each pair takes the next")] = 0,
    repeats: Annotated[str, Option(help="pairs of trials for each arm, or auto")] = "auto",
    budget: Annotated[str | None, Option(help="stop after this time: 90s, 15m, 2h")] = None,
    margin: Annotated[
        str | None, Option(help="largest loss of the metric that is accepted (0.01), or auto")
    ] = None,
    trial_timeout: Annotated[str, Option(help="a trial that takes longer is ended")] = "30m",
    output: Output = Path("results"),
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Measure a training script that nobody rewrote: bench script train.py [--test …] -- ITS ARGS.

    Without techniques or --vary its baseline alone is measured: where its time and memory go.
    """
    from bench.cli import parse
    from bench.cli.run import execute
    from bench.cli.script import settings_of, started, variations
    from bench.run.request import Request

    begun = started(file, module)
    varied = list(variations(vary or []))
    arms: dict[str, Any] = {
        "test": [*(test or []), *varied], "combine": combine,
        "full-optimization": full_optimization,
    }  # fmt: skip
    mode, chosen = parse.choose_mode(arms if any(arms.values()) else {"baseline-only": True})
    given = {
        "metric": metric, "lower": lower or None, "seed_argument": seed_argument, "model": model,
        "steps": steps,
    }  # fmt: skip
    asked = Request(
        mode=mode,
        baseline=begun.reference,
        settings=settings_of(begun, context.meta.get(BEHIND, []), given),
        arms=chosen,
        device=device,
        threads=parse.threads_of(threads),
        seed=seed,
        repeats=parse.parse_repeats(repeats),
        budget_seconds=parse.parse_duration(budget) if budget else None,
        trial_timeout_seconds=parse.parse_duration(trial_timeout),
        margin=parse.parse_margin(margin),
        margin_auto=margin == parse.AUTO,
        output=output,
        command=("bench", *sys.argv[1:]),
    )
    execute(asked, quiet, json_)


app.command(cls=ScriptCommand)(revisions.ab)
app.command(cls=ScriptCommand)(judge.judge)


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
    json_: Json = False,
) -> None:
    """List baselines, techniques or data sets, and what applies on this machine."""
    from bench.cli import progress
    from bench.cli.list import as_text, listing

    with progress.choose(json_) as display:
        rows = listing(what, name, baseline, data_dir, device, display.begin)
    streams.tell(json.dumps(rows, indent=1) if json_ else as_text(what, rows))


@app.command()
def schema(
    name: Annotated[
        str | None, Argument(help="run, trials, recipe or report; none: list them")
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
        str, Argument(help="file.py:Class, or a name", autocompletion=_names("bench.baselines"))
    ],
    data_dir: DataDir = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Rehearse a baseline for one real step, and print what it offers to techniques."""
    from bench.cli import check

    found = check.check(baseline, data_dir, device)
    print(found.model_dump_json(indent=1) if json_ else check.as_text(found))


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
