"""What the words of a report mean."""

from __future__ import annotations

from bench.analysis.intervals import METRIC_LEVEL
from reports.run import Run


def terms(run: Run) -> list[tuple[str, str]]:
    """Return what words mean here."""
    error = f"{run.comparison.rule.alpha:.0%}".replace("%", " %")
    level = f"{METRIC_LEVEL:.0%}".replace("%", " %")
    peak = (
        "what CUDA had allocated at most"
        if run.header.device == "cuda"
        else "the largest resident set of the trial's process above its own start"
    )
    metric = run.header.metric
    return [
        ("ratio", "baseline / candidate, the geometric mean over pairs of trials that ran back to "
         "back with one seed, outliers clipped; above 1× is better"),
        ("interval", f"Holds at every look together, however often this report is read while the "
         f"run goes on. In those of time and of memory an error of {error} is shared out among all "
         f"arms; those of a difference in {metric} allow {error} on each side, and the margin is "
         f"judged by their lower bound. The interval of {metric} itself is over seeds, at {level}; "
         f"so are those of other metrics, whose better direction is not declared."),
        ("unknown (noise)", "an interval around 1× that is wider than times and divided by 3"),
        ("baseline again (A/A), baseline#2", "the baseline once more, under another name: what "
         "equal runs differ by"),
        ("peak memory", peak),
        ("FLOPs", "a count of the model's operations, not a rate; leaves recomputation out"),
        ("same work", "the same mathematics"),
        ("other mathematics", "another trajectory or another model"),
        ("less work", "part of the training left out"),
        ("stop, other", "phases of a step: asking whether training may end, and what no part of "
         "the job accounts for"),
        ("screened", "chosen among many; a win only once fresh pairs confirm it"),
        ("unlikely", "left by the screening: little speaks for a gain worth finding"),
    ]  # fmt: skip
