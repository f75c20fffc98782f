"""A run as its files tell it: what every format is rendered from."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.analysis.aims import best
from bench.analysis.bounds import profiled
from bench.analysis.claims import Judged, judged
from bench.analysis.comparison import compare_run
from bench.analysis.done import pairs_done
from bench.analysis.durations import pair_seconds
from bench.analysis.figures import Figures, figures_of
from bench.analysis.metric import target_of
from bench.analysis.pairs import again, by_arm, pairs_of, whole
from bench.analysis.points import Point, points
from bench.analysis.results import ArmResult, Comparison
from bench.analysis.revised import Revised, of_head, revised
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records import failures
from bench.records.counted_steps import counts_steps
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, counting
from bench.records.run_folder import read_run
from bench.records.uncollected import uncollected
from reports import formatting
from reports.command_line import output_of

MOST_TRACEBACKS = 20
PLOTS = "plots"
FOREST = "forest-{}.svg"
"""The forest plot, for a light page or a dark one."""
ORDER = (
    Verdict.WIN, Verdict.SCREENED, Verdict.UNDECIDED, Verdict.UNLIKELY, Verdict.NO_GAIN,
    Verdict.ACCURACY_LOSS, Verdict.OVER_LIMIT, Verdict.BOUNDED, Verdict.NOT_APPLICABLE,
    Verdict.FAILED,
)  # fmt: skip
"""Wins are shown first, then what may become one; failures last."""


@dataclass(frozen=True)
class Run:
    """The records of one run, and what they were judged to say."""

    path: Path
    """Where it was read from; only the terminal prints it."""
    header: Header
    trials: tuple[Measurement, ...]
    probes: tuple[Measurement, ...]
    comparison: Comparison
    profile: Measurement | None = None
    """The trial of the baseline that was looked into."""
    set_aside: tuple[Measurement, ...] = ()
    """Trials that were disturbed and run again."""
    lines: tuple[int, ...] = ()
    """In which line of ``trials.jsonl`` each trial stands that counts, then each set aside."""
    exported: bool = False
    """Whether ``optimized.json`` lies beside the records."""
    drawn: bool = False
    """Whether the forest plot does, under ``plots``."""

    @cached_property
    def winner(self) -> ArmResult | None:
        """Return the candidate that the export takes."""
        return best(self.comparison)

    @cached_property
    def judged(self) -> Judged | None:
        """Return what is said of the claim that is verified; None where there is none."""
        claim, bounds = self.header.claim, self.header.metric_bounds
        return judged(claim, self.comparison, self.trials, bounds) if claim else None

    @cached_property
    def revised(self) -> Revised | None:
        """Return what is said of a change of the code; None where no two states are compared."""
        return revised(self.header, self.trials) if self.header.revisions else None

    @cached_property
    def pair_seconds(self) -> dict[str, float]:
        """Return what a pair of each arm took, with its share of the baseline's trial."""
        return pair_seconds(self.judging)

    @property
    def problems(self) -> list[str]:
        """Return what of the claim that is verified does not hold."""
        return self.judged.problems if self.judged else []

    @cached_property
    def candidates(self) -> list[ArmResult]:
        """Return the winner, then the others by verdict and by time saved."""
        return sorted(self.comparison.arms, key=self._rank)

    @property
    def measured(self) -> list[str]:
        """Return the arms with at least one good trial, the baseline first."""
        arms = [BASELINE, *(result.arm for result in self.candidates)]
        return [arm for arm in arms if self.of(arm)]

    @property
    def folder(self) -> str:
        """Return the run's folder as seen from where its command was given.

        An audit's run lies two deeper: in the audit's folder, and in that of its name.
        """
        words = self.header.command
        deeper = self.path.resolve().parts[-3:-1] if words[1:2] == ("audit",) else ()
        return shlex.quote(str(Path(output_of(words), *deeper, self.header.run)))

    @property
    def unit(self) -> str:
        """Return what rates are of."""
        return "steps" if self.counts_steps else self.header.unit

    @cached_property
    def counts_steps(self) -> bool:
        """Tell whether steps were counted in the place of items, which are unknown."""
        return any(map(counts_steps, (*self.trials, *self.probes)))

    @property
    def margin(self) -> str:
        """Return the largest loss that is accepted, and what fixed it, where that is `auto`."""
        header, found = self.header, self.comparison
        size = formatting.margin(found.margin, found.margin_is_relative)
        if not header.margin_auto:
            return size
        if header.margin_seeds is None:
            return f"{size} so far (--margin auto: fixed by the baseline before an arm is judged)"
        return f"{size} ({header.margin_why}, by {header.margin_seeds} seeds of the baseline)"

    @property
    def title(self) -> str:
        """Return the baseline's own name."""
        return self.header.name

    @cached_property
    def judging(self) -> list[Measurement]:
        """Return the trials that judge arms, without those that take a combination apart."""
        return [trial for trial in self.trials if trial.judges]

    @cached_property
    def pairs_done(self) -> tuple[int, int]:
        """Return how many pairs were run, whatever their outcome, and how many were planned."""
        return pairs_done(self.header, self.judging)

    @cached_property
    def points(self) -> dict[str, tuple[Point, ...]]:
        """Return every pair that judges an arm or the control, by arm."""
        basis = {result.arm: result.time_basis for result in self.comparison.arms}
        pairs = {arm: pairs_of(trials, arm) for arm, trials in by_arm(self.judging).items()}
        pairs[CONTROL] = whole(again(self.judging, self.header.screening is not None))
        return {
            arm: points(found, basis.get(arm, "step"), self.target) for arm, found in pairs.items()
        }

    @property
    def numbered(self) -> list[tuple[int, Measurement]]:
        """Return every trial with its line in ``trials.jsonl``, in order."""
        trials = (*self.trials, *self.set_aside)
        known = self.lines if len(self.lines) == len(trials) else range(1, len(trials) + 1)
        return sorted(zip(known, trials, strict=True), key=lambda line: line[0])

    @property
    def tracebacks(self) -> list[tuple[str, str, str]]:
        """Return (of what, where, text) of failures: of each arm, and way to fail, the first."""
        first: dict[tuple[str, str | None], Measurement] = {}
        for trial in self.trials:
            if not trial.ok:
                first.setdefault((trial.arm, trial.reason), trial)
        kept = [(trial, failures.read(self.path, trial)) for trial in first.values()]
        return [
            (f"{trial.arm}, pair {trial.pair}", failures.name_of(trial), text)
            for trial, text in kept
            if text
        ][:MOST_TRACEBACKS]

    @cached_property
    def target(self) -> Target:
        """Return what arms are judged by."""
        return target_of(self.header)

    @cached_property
    def figures(self) -> dict[str, Figures]:
        """Return what each measured arm took, in absolute figures; the baseline first."""
        return {arm: figures_of(arm, self.of(arm)) for arm in self.measured}

    @property
    def both_kinds(self) -> bool:
        """Tell whether some arms were trained to the end, and others for a few steps alone."""
        whole = sum(1 for own in self.figures.values() if own.whole_trainings)
        return 0 < whole < len(self.figures)

    @cached_property
    def by_kind(self) -> list[tuple[str, Figures]]:
        """Return the arms' names and figures; those of steps alone last, and named so.

        What a few steps take and hold is no measure of what a whole training does: they stand
        beside the baseline's own trials of that kind.
        """
        if not self.both_kinds:
            return [*self.figures.items()]
        steps = [trial for trial in self.of(BASELINE) if trial.kind == "step"]
        alone = {arm: own for arm, own in self.figures.items() if not own.whole_trainings}
        if steps:
            alone = {BASELINE: figures_of(BASELINE, steps), **alone}
        whole = [(arm, own) for arm, own in self.figures.items() if own.whole_trainings]
        return [*whole, *((f"{arm}, steps alone", own) for arm, own in alone.items())]

    def of(self, arm: str) -> list[Measurement]:
        """Return the good trials that judge an arm; the baseline's with those of its control."""
        return self._good.get(arm, [])

    @cached_property
    def _good(self) -> dict[str, list[Measurement]]:
        found: dict[str, list[Measurement]] = {}
        for trial in self.judging:
            if trial.ok:
                arm = BASELINE if trial.arm == CONTROL else trial.arm
                found.setdefault(arm, []).append(trial)
        return found

    def result(self, arm: str) -> ArmResult | None:
        """Return the verdict on an arm; None for the baseline."""
        return next((result for result in self.comparison.arms if result.arm == arm), None)

    def said_of(self, result: ArmResult) -> str:
        """Return what is said of an arm in a word or two; of a change that is its answer."""
        return str(self.revised.answer if self.revised else result.verdict)

    @property
    def hopeful(self) -> list[str]:
        """Return the undecided arms that more pairs may show to be better, by what is known."""
        return [r.arm for r in self.candidates if r.verdict is Verdict.UNDECIDED
                and (r.goes_on or r.more_pairs is not None) and not self._loses(r)]  # fmt: skip

    def _loses(self, result: ArmResult) -> bool:
        """Tell whether the metric fell by more than the margin so far."""
        change = result.metric_difference
        sign = -1.0 if self.target.lower else 1.0
        return change is not None and sign * change.middle < -self.comparison.margin

    @property
    def baseline_failure(self) -> str | None:
        """Return how the baseline's first trial failed; None where none did."""
        own = (t for t in self.trials if t.arm == BASELINE and not t.ok)
        return next((f"{t.status}: {t.reason or formatting.UNKNOWN}" for t in own), None)

    def _rank(self, result: ArmResult) -> tuple[bool, int, float, str]:
        ratio = result.time_ratio
        saved = ratio.middle if ratio else 0.0
        return result != self.winner, ORDER.index(result.verdict), -saved, result.arm


def read(path: Path) -> Run:
    """Read a run's folder and judge it; raise `BenchError` where it isn't one.

    A torn last line of a journal is passed over.
    """
    with uncollected():
        return made(path, *read_run(path))


def made(
    path: Path, header: Header, trials: Sequence[Measurement], probes: Sequence[Measurement]
) -> Run:
    """Judge the records of a run once; everything that shows it is given what comes back."""
    counted = counting(trials)
    found = compare_run(header, counted, probes)
    return Run(
        path=path,
        header=header,
        trials=tuple(counted),
        set_aside=tuple(trial for trial in trials if trial.set_aside),
        probes=tuple(probe for probe in probes if probe.pair >= 0),
        profile=profiled(probes),
        comparison=of_head(found, revised(header, counted)) if header.revisions else found,
        lines=tuple(_lines(trials)),
        exported=(path / "optimized.json").is_file(),
        drawn=all(_is_own(path, f"{PLOTS}/{FOREST.format(t)}") for t in ("light", "dark")),
    )


def _lines(trials: Sequence[Measurement]) -> list[int]:
    numbers = {False: [], True: []}  # type: dict[bool, list[int]]
    for number, trial in enumerate(trials, 1):
        numbers[trial.set_aside].append(number)
    return numbers[False] + numbers[True]


def _is_own(folder: Path, name: str) -> bool:
    """Tell whether a file lies in the folder itself, and is no link to another."""
    file = folder / name
    return file.is_file() and file.resolve() == folder.resolve() / name
