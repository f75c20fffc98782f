"""The answer: what to use, what it gains and costs, what makes it doubtful, the commands for it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.attribution import Contribution, passengers
from bench.analysis.noise import Noise, noise_of
from bench.analysis.results import ArmResult
from bench.analysis.revised import Answer as Revised
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE
from reports import claims, commands, formatting, sentences, undone
from reports.formatting import number
from reports.run import Run
from reports.view.rows import OF_CHANGE

BADGES = {"good": "winner", "bad": "claim broken", "open": "undecided", "none": "nothing won"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of the answer, what it is of, and what stands beside it."""

    what: str
    value: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The first thing that is read."""

    badge: str
    tone: str
    headline: str
    facts: tuple[Fact, ...]
    commands: tuple[tuple[str, str], ...]
    """What for, and what to type."""
    doubtful: bool
    """Whether the machine was too noisy for the ratios of time to be trusted."""


def answer(run: Run) -> Answer:
    """Return the answer of a run; noise that drowns all is said before it."""
    noise = noise_of(run.comparison)
    drowning = noise is Noise.DROWNING and run.winner is None and not _is_told(run)
    doubtful = noise is Noise.UNEQUAL or drowning
    badge, tone = _badge(run)
    headline = sentences.verdict(run)
    if doubtful and run.comparison.arms:
        badge, tone = "machine too noisy", "bad"
        headline = f"{_of_noise(run, noise)} {headline}"
    facts = _of_winner(run, run.winner) if run.winner else _of_baseline(run)
    return Answer(badge, tone, headline, tuple(facts), tuple(commands.commands(run)),
                  doubtful)  # fmt: skip


def _is_told(run: Run) -> bool:
    """Tell whether it is known of a change what it did, for all the noise."""
    return run.revised is not None and run.revised.answer is not Revised.OPEN


def _badge(run: Run) -> tuple[str, str]:
    if run.judged is not None:
        if undone.unfinished(run) is not None:
            return "not judged yet", "open"
        tone = {"holds": "good", "broken": "bad"}.get(run.judged.answer, "open")
        return f"claim {run.judged.answer}", tone
    if run.revised is not None:
        open_ = undone.unfinished(run) is not None
        answer = run.revised.answer
        return ("not judged yet", "open") if open_ else (str(answer), OF_CHANGE[answer])
    if run.winner:
        return BADGES["good"], "good"
    verdicts = {result.verdict for result in run.comparison.arms}
    if (run.baseline_failure and not run.of(BASELINE)) or verdicts == {Verdict.FAILED}:
        return "failed", "bad"
    if not verdicts:
        return ("baseline", "none") if run.of(BASELINE) else ("failed", "bad")
    tone = "open" if Verdict.UNDECIDED in verdicts else "none"
    return BADGES[tone], tone


def _of_noise(run: Run, noise: Noise) -> str:
    control = run.comparison.control
    ratio = formatting.ratio_with_interval(control.time_ratio if control else None)
    if noise is Noise.UNEQUAL:
        return f"This machine was too noisy: the baseline against itself took {ratio} the time."
    visible = sentences.visible(run)
    return f"This machine was too noisy: the smallest effect on time that shows is {visible}."


def _of_winner(run: Run, winner: ArmResult) -> list[Fact]:
    of = "whole training" if winner.time_basis == "training" else "training steps"
    margin = formatting.margin(run.comparison.margin, run.comparison.margin_is_relative)
    claim = run.header.claim
    time, memory = claims.bounds(run, claim) if claim else (winner.time_ratio, winner.memory_ratio)
    found = [
        Fact("time", formatting.ratio_with_interval(time), of),
        Fact("memory", formatting.ratio_with_interval(memory), "peak"),
        Fact(run.header.metric, _quality(winner), f"largest loss accepted: {margin}"),
        Fact("what it does", winner.work or formatting.UNKNOWN, _cost(winner)),
        *_of_passengers(run, winner),
    ]
    return [fact for fact in found if fact.value != formatting.UNKNOWN]


def _of_passengers(run: Run, winner: ArmResult) -> list[Fact]:
    """Return the techniques of the winner that are not shown to add to its gain."""
    found = run.comparison.attribution
    if found is None or found.arm != winner.arm:
        return []
    return [
        Fact(one.technique, f"{_adds(one, found.objective)}: "
             f"{formatting.ratio_with_interval(one.ratio)}",
             "the recipe without it is not confirmed in fresh pairs")
        for one in passengers(found)
    ]  # fmt: skip


def _adds(one: Contribution, objective: str) -> str:
    hinders = one.ratio.high is not None and one.ratio.high < 1
    return f"costs {objective}" if hinders else f"adds nothing measurable to {objective}"


def _quality(winner: ArmResult) -> str:
    if winner.metric_difference is None:
        return "same losses" if winner.same_losses else formatting.UNKNOWN
    return formatting.difference_with_interval(
        winner.metric_difference, winner.difference_is_relative
    )


def _cost(winner: ArmResult) -> str:
    parts = []
    if winner.setup_seconds is not None and winner.setup_seconds >= sentences.SETUP_WORTH_SAYING:
        parts.append(f"set-up {formatting.seconds(winner.setup_seconds)}")
    if winner.payback_steps is not None:
        parts.append(f"pays back after {number(winner.payback_steps, 'step')}")
    if winner.search_seconds is not None:
        parts.append(f"found in {formatting.seconds(winner.search_seconds)}")
    return ", ".join(parts) or "no set-up worth saying"


def _of_baseline(run: Run) -> list[Fact]:
    own = run.figures.get(BASELINE)
    pairs = number(run.comparison.visible_pairs, "pair")
    found = [
        Fact("baseline's training", formatting.seconds(own.train_seconds if own else None),
             f"a step {formatting.seconds(own.step_seconds if own else None)}"),
        Fact("baseline's memory", formatting.size(own.memory.peak if own else None), "peak"),
        Fact(f"baseline's {run.header.metric}",
             formatting.metric_with_interval(run.comparison.baseline_metric), "mean over seeds"),
        Fact("smallest effect that shows", sentences.visible(run), f"on time, in {pairs}"),
    ]  # fmt: skip
    return [fact for fact in found if fact.value != formatting.UNKNOWN]
