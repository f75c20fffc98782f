"""The commands that a report gives: to go on with a run, use its result, and do it again."""

from __future__ import annotations

import shlex

from bench.analysis.objectives import BY_NAME, Objective
from reports import formatting
from reports.run import Run
from reports.undone import goes_on, unfinished


def commands(run: Run) -> list[tuple[str, str]]:
    """Return (what for, command) of what a reader may want to do next."""
    found = []
    left = unfinished(run) is not None
    if goes_on(run):
        found.append(("go on with it", f"{run.header.resuming} {run.folder}"))
    if run.exported:
        baseline = "baseline: nothing is shown to beat it" + " yet" * left
        what = "recipe that won" if run.winner else baseline
        path = f"{run.folder}/optimized.json"
        found.append((f"train with the result (the {what})", f"bench train {path}"))
        found.append(("measure the result again, and hold it to its claim", f"bench verify {path}"))
    found.append(("do this run again", _again(run)))
    found.append(("print this report again", f"bench report {run.folder} --format md"))
    return found


def _again(run: Run) -> str:
    """Return the command as it was typed, or one that asks for the same."""
    header = run.header
    if header.command:
        return shlex.join(header.command)
    arms = [arm.recipe_file or " ".join(arm.techniques) for arm in header.arms]
    words = ["bench", f"--{header.mode}", *" ".join(arms).split(), *asked(run)]
    return shlex.join([*words, "--seed", str(header.seed), "--repeats", str(header.repeats)])


def asked(run: Run) -> list[str]:
    """Return the options that ask for the same baseline on the same device."""
    header = run.header
    values = [f"{key}={formatting.value(value)}" for key, value in header.settings.items()
              if value is not None]  # fmt: skip
    words = ["--baseline", header.baseline, *(["--set", *values] if values else [])]
    words += ["--device", header.device, "--threads", str(header.threads)]
    words += ["--margin", f"{header.margin:g}"]
    if header.objectives:
        words += ["--objective", *(BY_NAME[name].called for name in header.objectives)]
    limits = [_limit(BY_NAME[name], most) for name, most in header.limits.items()]
    limits += [f"{BY_NAME[name].called}={most:g}x" for name, most in header.times_baseline.items()]
    return [*words, *(["--limit", *limits] if limits else [])]


def _limit(row: Objective, most: float) -> str:
    """Return a limit as it could be typed."""
    amount = f"{most / 1024:.12g}KiB" if row.unit == "bytes" else f"{most:.12g}{row.unit}"
    return f"{row.called}={amount}"
