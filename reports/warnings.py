"""What makes a run's figures doubtful: a busy machine, a baseline that differs from itself."""

from __future__ import annotations

from bench.analysis.figures import middle
from bench.analysis.pairs import ONE_SEED, has_one_seed
from bench.analysis.results import Control
from bench.analysis.sequential import LEAST_GAIN
from bench.records.measurement import BASELINE, CONTROL
from reports import bounds, formatting
from reports.formatting import listing, number, seconds
from reports.run import Run

SEEDS = 4
"""So many trainings from different seeds hardly reach one and the same metric, if they learn."""
FAR = 1.5
"""Times more or fewer items than an epoch should hold, at which that is said."""


def warnings(run: Run) -> list[str]:
    """Return what makes the figures doubtful."""
    return [
        *_lost_baseline(run),
        *_unequal(run.comparison.control),
        *_busy(run),
        *_wall_against_cpu(run),
        *_not_fresh(run),
        *_disturbed(run),
        *_left(run),
        *_unknown(run),
        *_other_items(run),
        *_skewed(run),
        *_without_spread(run),
        *_one_seed(run),
        *_unmoved(run),
        *bounds.warnings(run),
        *_reused(run),
    ]


def _reused(run: Run) -> list[str]:
    """Say which trials earlier runs made: whoever has seen them may have asked by what they say."""
    taken = [trial for trial in run.trials if trial.reused_from]
    if not taken:
        return []
    runs = listing(list(dict.fromkeys(str(trial.reused_from) for trial in taken)))
    return [
        f"{len(taken)} of {number(len(run.trials), 'trial')} were taken from {runs} (--reuse), in "
        "whole blocks. The error allowed doesn't cover what was asked after a look at them."
    ]


def _lost_baseline(run: Run) -> list[str]:
    """Say how many of the baseline's own trainings gave nothing, where others did."""
    own = [t for t in run.judging if t.arm in (BASELINE, CONTROL) and t.pair >= 0]
    lost = [t for t in own if not t.ok]
    if not lost or len(lost) == len(own):
        return []
    how = f"{str(lost[0].status).replace('_', ' ')}: {lost[0].reason or 'no reason given'}"
    return [
        f"{len(lost)} of {len(own)} trainings of the baseline itself gave nothing ({how}): what is "
        "said of it, and of arms beside it, is said of the others."
    ]


def _skewed(run: Run) -> list[str]:
    """Say where a few odd trials and the many others don't agree about a gain."""
    found = []
    for result in run.candidates:
        for what, ratio, median in (
            ("time", result.time_ratio, result.time_median),
            ("memory", result.memory_ratio, result.memory_median),
        ):
            if ratio is None or median is None or result.pairs < 2:
                continue
            if (ratio.middle > LEAST_GAIN) != (median > LEAST_GAIN):
                found.append(
                    f"The {what} ratios of {result.arm} are skewed: their mean is "
                    f"{ratio.middle:.3f}×, but their median {median:.3f}×, on the other side of "
                    f"{LEAST_GAIN}×."
                )
    return found


def _without_spread(run: Run) -> list[str]:
    """Say whose metric never differed, where no step of the metric is known to allow for."""
    arms = [
        result.arm
        for result in run.candidates
        if result.pairs > 1
        and result.metric_difference is not None
        and result.metric_difference.low is not None
        and result.metric_difference.low == result.metric_difference.high
    ]
    if not arms:
        return []
    return [
        f"Every pair of {listing(arms)} differs by the same in {run.header.metric}: with no spread "
        "its interval has no width, and says little."
    ]


def _one_seed(run: Run) -> list[str]:
    """Say that the baseline trains the same from every seed, where the answer does not."""
    own = {t.seed: t for t in run.judging if t.arm == BASELINE and t.ok and t.pair >= 0}
    if run.revised is not None or not has_one_seed([(trial, trial) for trial in own.values()]):
        return []
    return [f"{ONE_SEED[0].upper()}{ONE_SEED[1:]}."]


def _unmoved(run: Run) -> list[str]:
    """Say which arms reach the same metric from every seed, where the baseline doesn't."""
    metrics = {arm: {trial.seed: trial.metric for trial in run.of(arm) if trial.metric is not None}
               for arm in (BASELINE, *(result.arm for result in run.candidates))}  # fmt: skip
    if len({*metrics.pop(BASELINE).values()}) < 2:
        return []
    same = {arm: {*own.values()} for arm, own in metrics.items() if len(own) >= SEEDS}
    return [
        f"{arm} reaches {run.header.metric} {formatting.metric(found.pop())} from each of "
        f"{len(metrics[arm])} seeds: so does a model that answers all items alike. Look at its "
        "answers."
        for arm, found in same.items()
        if len(found) == 1
    ]


def _not_fresh(run: Run) -> list[str]:
    """Say whose inference was timed on a model that had run at other sizes before."""
    arms = sorted({t.arm for t in run.trials if any(not i.fresh for i in t.inference)})
    if not arms:
        return []
    return [
        f"The model of {listing(arms)} can't be copied: its inference was timed as training and "
        "evaluation left it, which can slow sizes that it had not seen first."
    ]


def _disturbed(run: Run) -> list[str]:
    """Say which trials were disturbed, and whether they were run again."""
    again = [f"{t.arm}, pair {t.pair}, was run again ({t.disturbed})" for t in run.set_aside]
    kept = [f"{t.arm}, pair {t.pair}, counts all the same ({t.disturbed})"
            for t in run.trials if t.disturbed]  # fmt: skip
    return [f"Disturbed from outside: {'; '.join(again + kept)}."] if again or kept else []


def _left(run: Run) -> list[str]:
    """Say what trials left running."""
    arms: dict[str, list[str]] = {}
    for trial in run.trials:
        for left in trial.left_processes:
            arms.setdefault(left, []).append(trial.arm)
    return [
        f"Trials of {listing(sorted(set(of)))} left a process running, which was ended: {left}."
        for left, of in arms.items()
    ]


def _unknown(run: Run) -> list[str]:
    """Say which facts that only advise could not be told, and why."""
    arms: dict[tuple[str, str], list[str]] = {}
    for trial in run.trials:
        for name, reason in trial.unknown.items():
            arms.setdefault((name, reason), []).append(trial.arm)
    return [
        f"Unknown of {listing(sorted(set(of)))}: {name.replace('_', ' ')} ({reason})."
        for (name, reason), of in arms.items()
    ]


def _other_items(run: Run) -> list[str]:
    """Tell when an epoch's batches hold much more or less than the data is said to."""
    trials = [t for t in run.of(BASELINE) if t.kind == "full" and t.epochs and t.items_seen]
    if not trials or not trials[0].items_an_epoch:
        return []
    seen, said = (trials[0].items_seen or 0) / trials[0].epochs, trials[0].items_an_epoch
    if said / FAR <= seen <= said * FAR:
        return []
    unit = run.header.unit
    return [
        f"An epoch's batches hold {seen:,.0f} {unit} as they are counted, the data {said:,} that "
        f"are trained on: what is said of {unit} is of what the job's `items` counts, by default "
        "the length of a batch along the dimension of its items."
    ]


def _unequal(control: Control | None) -> list[str]:
    ratio = control.time_ratio if control else None
    if ratio is None or ratio.low is None or ratio.high is None or ratio.low <= 1 <= ratio.high:
        return []
    return [
        "The baseline differs from itself: the A/A interval of time excludes 1. Something else "
        "changed between the trials; trust no effect of that size and repeat the run."
    ]


def _busy(run: Run) -> list[str]:
    trials = list(run.trials)
    waiting = middle(trials, lambda m: m.cpu_pressure)
    load = middle(trials, lambda m: m.load_average)
    cores = run.header.environment.get("cores")
    found = []
    if waiting is not None and waiting > 0.1:
        found.append(f"some task waited for a CPU during {formatting.percent(waiting)} of a trial")
    if load is not None and isinstance(cores, int) and load > 1.25 * cores:
        found.append(f"the load average was {load:.1f} on {number(cores, 'core')}")
    return [f"The machine was busy: {listing(found)} (medians)."] if found else []


def _wall_against_cpu(run: Run) -> list[str]:
    """Tell when equal trials differ in wall time much more than in the CPU time they used."""
    trials = [t for t in run.of(BASELINE) if t.items and t.cpu_seconds and t.seconds_per_item]
    if len(trials) < 2 or run.header.device != "cpu":
        return []
    wall = [trial.seconds_per_item or 0.0 for trial in trials]
    used = [(trial.cpu_seconds or 0.0) / trial.items for trial in trials]
    if max(wall) / min(wall) < 1.25 * max(used) / min(used):
        return []
    each = "a step" if run.counts_steps else "an item"
    clock, cpu = (f"{seconds(min(own))} to {seconds(max(own))}" for own in (wall, used))
    return [
        f"Wall and CPU time disagree: equal baseline trials took {clock} {each} by the clock, "
        f"but {cpu} of CPU time. Something else used the machine."
    ]
