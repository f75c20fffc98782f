"""The two commands that measure what one names: a baseline's job, or a script as it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from bench.cli.argv import BEHIND, on_command_line
from bench.cli.options import (
    TECHNIQUES,
    DataDir,
    Device,
    Json,
    Log,
    Output,
    Quiet,
    SkipBad,
    Strings,
    names,
)  # fmt: skip
from bench.cli.output import tell
from bench.errors import BenchError

RESUMED = ("resume", "trust", "quiet", "json_", "log", "tensorboard")
"""Options that may be given anew when a run goes on: all others are fixed before it begins."""


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
        str, Option(help="a name, or file.py:Class", autocompletion=names("bench.baselines"))
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
    processes: Annotated[
        int | None, Option(metavar="N", help="test, or combine, training in N processes (DDP)")
    ] = None,
    shard: Annotated[
        bool, Option("--shard", help="with --processes: share out the model too (FSDP2)")
    ] = False,
    seed: Annotated[int, Option(help="the first training seed; each pair takes the next")] = 0,
    repeats: Annotated[str, Option(help="pairs of trials for each arm, or auto")] = "auto",
    budget: Annotated[str | None, Option(help="stop after this time: 90s, 15m, 2h")] = None,
    objective: Annotated[
        Strings,
        Option(
            help="what a gain is to be in: time, memory, latency, size, energy; one or two; or "
            "quality: the baseline's settings are searched"
        ),
    ] = None,
    limit: Annotated[
        Strings,
        Option(help="what no arm may exceed: memory=2GiB time=15m latency=5ms, or time=1.2x"),
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
    on: Annotated[
        str | None,
        Option(
            metavar="ray|slurm:N", help="measure pairs on nodes, several at once (docs/machines.md)"
        ),
    ] = None,
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
    log: Log = None,
    tensorboard: Annotated[bool, Option("--tensorboard", help="as --log tensorboard")] = False,
) -> None:
    """Measure a baseline, and techniques against it."""
    from bench.cli import forecast, parse
    from bench.cli.run import check, execute
    from bench.run.request import Request, Resumption

    logged = [*(log or []), *(["tensorboard"] if tensorboard else [])]
    check(logged)
    arms: dict[str, Any] = {
        "baseline-only": baseline_only, "test": test, "combine": combine,
        "full-optimization": full_optimization, "recipe": recipe,
    }  # fmt: skip
    if resume is not None:
        parse.refuse_changes("--resume", on_command_line(context), RESUMED)
        execute(Resumption(resume, trust), quiet, json_, logged)
        return
    if "baseline" in on_command_line(context):
        parse.refuse_other_baseline(baseline, recipe or [])
    if dry_run and json_:
        raise BenchError("--dry-run prints a plan for a person, and no JSON: leave --json out")
    parse.refuse_beside_nodes(on, budget=budget, reuse=reuse, dry_run=dry_run)
    values = {"dataset": dataset, "data_dir": data_dir, "epochs": epochs, "batch_size": batch_size}
    given = {**values, "skip_bad": skip_bad}
    settings = {key: str(value) for key, value in given.items() if value is not None}
    mode, chosen = parse.choose_mode(parse.with_processes(arms, processes, shard))
    objectives = parse.parse_objectives(objective or [])
    limits, times_baseline = parse.parse_limits(limit or [])
    asked = Request(
        mode=mode,
        baseline=baseline,
        settings=parse.together(settings, set_ or []),
        arms=parse.raced(mode, chosen, objectives),
        device=device,
        threads=parse.threads_of(threads),
        seed=seed,
        repeats=parse.parse_repeats(repeats),
        objectives=objectives,
        limits=limits,
        times_baseline=times_baseline,
        budget_seconds=parse.parse_duration(budget) if budget else None,
        trial_timeout_seconds=parse.parse_duration(trial_timeout),
        margin=parse.parse_margin(margin),
        margin_auto=margin == parse.AUTO,
        reuse=reuse,
        on=on,
        output=output,
        command=("bench", *sys.argv[1:]),
    )
    if dry_run:
        tell(forecast.planned(asked, quiet))
    else:
        execute(asked, quiet, json_, logged)


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
        Strings,
        Option(
            help="arguments of the script's, each line an arm: '--lr 1e-3' …; of a --combine or "
            "--full-optimization a part"
        ),
    ] = None,
    metric: Annotated[
        str | None,
        Option(
            help="a pattern over its output, acc=([\\d.]+), a reported name, FILE.json:key, "
            "FILE.csv:column or tensorboard:TAG"
        ),
    ] = None,
    lower: Annotated[
        bool, Option("--lower-is-better", help="lower values of the metric are better")
    ] = False,
    seed_argument: Annotated[
        str | None,
        Option(help="the script's argument that seeds it: --seed, or seed= where it takes seed=0"),
    ] = None,
    model: Annotated[
        str | None, Option(help="the class of the models that techniques change (all trained)")
    ] = None,
    steps: Annotated[int | None, Option(help="steps of a trial that only steps (15, 3 s)")] = None,
    device: Device = "auto",
    threads: Annotated[
        int | None, Option(help="CPU threads of a trial (OMP_NUM_THREADS, else all)")
    ] = None,
    seed: Annotated[int, Option(help="the first training seed; each pair takes the next")] = 0,
    repeats: Annotated[str, Option(help="pairs of trials for each arm, or auto")] = "auto",
    budget: Annotated[str | None, Option(help="stop after this time: 90s, 15m, 2h")] = None,
    margin: Annotated[
        str | None, Option(help="largest loss of the metric that is accepted (0.01), or auto")
    ] = None,
    trial_timeout: Annotated[str, Option(help="a trial that takes longer is ended")] = "30m",
    output: Output = Path("results"),
    log: Log = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Measure a training script that nobody rewrote: bench script train.py [--test …] -- ITS ARGS.

    Without techniques or --vary its baseline alone is measured: where its time and memory go.
    """
    from bench.cli import parse
    from bench.cli.run import check, execute
    from bench.cli.script import arms_of, settings_of, started
    from bench.run.request import Request

    check(log or [])
    begun = started(file, module)
    mode, chosen = arms_of(test or [], combine or [], full_optimization, vary or [])
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
    execute(asked, quiet, json_, log or [])
