"""What a run found, in sentences: the verdict, each candidate's reason, the noise floor."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType

from bench.analysis.objectives import TIME
from bench.analysis.quality import LEAST_STEPS
from bench.analysis.results import ArmResult, Control
from bench.analysis.tries import found_in
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE, CONTROL, Purpose, Status
from reports import claims, formatting, revisions, undone
from reports.formatting import listing, number
from reports.gains import cost_of, gains_of
from reports.run import Run

SETUP_WORTH_SAYING = 1.0
"""Seconds; what building a job takes differs by less than that from trial to trial."""
HOW = MappingProxyType(
    {"seeds": "over seeds", "seeds and items": "over seeds and items", "items": "item by item"}
)  # by what a change of the metric is known
HOPELESS = 9.0
"""Smallest visible effect on time from which on its figure says no more: tenfold."""


def verdict(run: Run) -> str:
    """Return what the run says, in one sentence."""
    claim = run.header.claim
    if claim:
        return (
            "The claim is not judged yet."
            if undone.unfinished(run)
            else claims.judgement(run, claim)
        )
    if run.header.revisions and run.revised:
        return revisions.said(run.header.revisions, run.revised)
    if not run.comparison.arms:
        return f"{_of_search(run)}{of_baseline(run)}"
    winner = run.winner
    return _of_winner(run, winner) if winner else _of_losers(run)


def reason(run: Run, result: ArmResult) -> str:
    """Return why a candidate has its verdict, and what would decide an open one."""
    if run.revised is not None:
        return revisions.why(run.revised)
    parts = [_why(run, result)]
    if result.verdict is Verdict.UNDECIDED:
        parts.append(_what_decides(result))
    costly = (result.setup_seconds or 0.0) >= SETUP_WORTH_SAYING
    if result.verdict is Verdict.WIN and costly and result.payback_steps is not None:
        planned = result.planned_steps
        of = f" of {planned:,}" if planned is not None else ""
        parts.append(f"its set-up pays back after {number(result.payback_steps, 'step')}{of}")
    if result.pairs:
        parts += _lost_trials(result)
    if result.confirmed:
        parts.append("judged by fresh pairs, made after the screening")
    elif result.verdict is Verdict.SCREENED:
        parts.append("chosen by the screening, not confirmed in fresh pairs")
        if _is_left_out(run, result):
            parts.append("beside what was combined it was not shown to add to the gain")
    return "; ".join(parts) + "."


def noise(run: Run) -> list[str]:
    """Return what the baseline's comparison with itself says of this machine."""
    control = run.comparison.control
    if control is None or not control.pairs:
        return ["No pair of the baseline with itself (A/A) was measured: the noise is unknown."]
    sentences = [
        f"The baseline against itself (A/A, {number(control.pairs, 'pair')}): "
        f"time {formatting.ratio_with_interval(control.time_ratio)}, "
        f"memory {formatting.ratio_with_interval(control.memory_ratio)}. "
        "Identical runs should give 1."
    ]
    if not run.comparison.aims.counts(TIME):
        return [*sentences, "No gain in time is looked for.", *_repeatable(control)]
    visible = run.comparison.smallest_visible_effect
    pairs = number(run.comparison.visible_pairs, "pair")
    if visible is None:
        sentences.append(f"How small an effect {pairs} would show is unknown.")
    elif visible >= HOPELESS:
        sentences.append(
            "Not even a tenfold effect on time would have shown: this noise drowns all; train"
            " longer, or in more pairs."
        )
    else:
        sentences.append(
            f"An effect of {formatting.percent(visible)} on time is found 4 times in 5 in "
            f"{pairs}; smaller ones mostly drown in the noise."
        )
        if run.header.screening is not None:
            most = number(run.header.screening[1], "pair")
            sentences.append(
                f"That holds of what is confirmed: the screening before, in {most} at most, misses "
                "more."
            )
    return [*sentences, *_repeatable(control)]


def visible(run: Run) -> str:
    """Return the smallest effect on time that shows."""
    found = run.comparison.smallest_visible_effect
    return "more than tenfold" if found and found >= HOPELESS else formatting.percent(found)


def race(run: Run) -> str | None:
    """Return among how many arms the error is shared, and what of them is open."""
    rule = run.comparison.rule
    measured = any(result.pairs or result.goes_on for result in run.comparison.arms)
    if run.header.claim or run.revised or not measured:
        return None
    raced = f"{number(rule.arms, 'arm')} raced"
    if run.header.screening is not None:
        screened = number(run.header.raced.get("test", 0), "arm")
        confirmed = sum(result.confirmed for result in run.candidates)
        raced = f"{screened} screened, {confirmed} confirmed in fresh pairs"
    chance = f"{rule.alpha:.0%}".replace("%", " %")
    words = f"{raced}: any false win in at most {chance} of such runs"
    open_ones = [_open_arm(result) for result in run.candidates if result.goes_on]
    return f"{words}; still open: {formatting.few(open_ones)}." if open_ones else f"{words}."


def of_baseline(run: Run) -> str:
    """Return what the baseline alone reaches, and in which time."""
    own = run.figures.get(BASELINE)
    if own is None:
        why = f" ({run.baseline_failure})" if run.baseline_failure else ""
        made = any(trial.arm == BASELINE for trial in run.trials)
        what = f"No trial of {run.title} succeeded{why}" if made else f"{run.title} was not trained"
        return f"{what}, so nothing is known of it."
    if not own.whole_trainings:
        step = formatting.seconds(own.step_seconds)
        return f"A step of {run.title} takes {step}; it was not trained to the end."
    spent = formatting.seconds(own.train_seconds)
    found = formatting.metric_with_interval(run.comparison.baseline_metric)
    return f"{run.title} reaches {run.header.metric} {found} in {spent} of training."


def _of_search(run: Run) -> str:
    """Return that a search for settings found none; nothing where none was made, or goes on."""
    aims = run.comparison.aims
    if not aims.quality or undone.unfinished(run) is not None:
        return ""
    tried = number(len(found_in(run.header, run.trials)), "choice")
    none = "none within the limits" if aims.limits or aims.times_baseline else "none"
    own = f"the baseline's own, by {run.header.chosen_by}"
    return f"Of {tried} of settings {none} is found to be better than {own}. "


def _of_winner(run: Run, winner: ArmResult) -> str:
    gains, but = listing(gains_of(run, winner)), cost_of(winner)
    if winner.quality_gain is not None:
        return f"{winner.arm} {gains}{but}."
    work = "the same work" if winner.work == "same work" else winner.work
    what = f"{winner.arm} {gains}{but}, {_quality(run, winner)}"
    return f"{what}; it does {work}."


def _of_losers(run: Run) -> str:
    if not run.of(BASELINE) and (why := run.baseline_failure):
        return f"The baseline gave no measurement, so no arm can be judged ({why})."
    arms, untried = run.comparison.arms, (Verdict.NOT_APPLICABLE, Verdict.BOUNDED)
    tried = [result for result in arms if result.verdict not in untried]
    if not tried and undone.unfinished(run):
        return f"No arm was measured against the baseline yet. {of_baseline(run)}"
    if not tried and any(result.verdict is Verdict.BOUNDED for result in arms):
        return f"Nothing that applies can gain enough on {run.title} here. {of_baseline(run)}"
    if not tried:
        return f"Nothing that was asked for applies to {run.title} here. {of_baseline(run)}"
    over = any(result.verdict is Verdict.OVER_LIMIT for result in arms)
    after = " or ".join(run.comparison.aims.objectives)
    beats = f"shown to beat the baseline{after and f' in {after}'}"
    if len(arms) == 1 and over:
        return f"{arms[0].arm} can't be had: its {reason(run, arms[0])}"
    if len(arms) == 1:
        why = f"{arms[0].verdict} ({reason(run, arms[0]).removesuffix('.')})"
        return f"{arms[0].arm} is not {beats}: {why}."
    counts = Counter(result.verdict for result in arms)
    said = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    open_ones = f"; {formatting.few(run.hopeful)} may yet" if run.hopeful else ""
    return (
        f"Nothing {'that can be had' if over else 'tried'} is {beats}{open_ones} "
        f"({number(len(arms), 'candidate')}: {', '.join(said)})."
    )


def _quality(run: Run, result: ArmResult) -> str:
    if result.metric_difference is None:
        steps = number(result.loss_steps, "step")
        if result.same_losses:
            return f"with the same losses bit for bit over {steps}"
        if result.losses_agree:
            return f"with losses as near to the baseline's as its own over {LEAST_STEPS} steps"
        return f"{run.header.metric} not measured"
    change = formatting.difference_with_interval(
        result.metric_difference, result.difference_is_relative
    )
    if result.quality_gain is not None:
        return f"with a change of {run.header.metric} by {change}"
    if result.losses_agree:
        steps = f"the first {LEAST_STEPS} steps"
        return f"the same mathematics by its losses over {steps} ({run.header.metric} {change})"
    margin = formatting.margin(run.comparison.margin, run.comparison.margin_is_relative)
    return f"with {run.header.metric} kept within the margin of {margin} ({change})"


def judged(run: Run) -> list[str]:
    """Return on which test items changes of the metric were judged, and by what they are known."""
    arms: dict[int, dict[str, list[str]]] = {}
    for result in run.candidates:
        if result.metric_difference is not None and result.test_items:
            ways = arms.setdefault(result.test_items, {})
            ways.setdefault(HOW[result.judged_by], []).append(result.arm)
    return [
        f"What is said of {run.header.metric} holds on these {number(items, 'test item')}: it was "
        f"judged {listing([f'{how} of {listing(own)}' for how, own in ways.items()])}."
        for items, ways in arms.items()
    ]


def _why(run: Run, result: ArmResult) -> str:
    if result.verdict is not Verdict.WIN:
        return result.reason.removeprefix("failed: ")
    return f"{result.reason}{cost_of(result)}, {_quality(run, result)}{_search_cost(result)}"


def _is_left_out(run: Run, result: ArmResult) -> bool:
    """Tell whether an arm was tried in a combination, and is no part of what fresh pairs judge."""
    own, fresh = _techniques(result.arm), _measured(run, "confirm")
    tried = any(own < other for other in _measured(run, "combine"))
    return tried and bool(fresh) and not any(own <= other for other in fresh)


def _measured(run: Run, stage: Purpose) -> set[frozenset[str]]:
    """Return the techniques of each arm that a stage measured."""
    arms = {trial.arm for trial in run.trials if trial.stage == stage}
    return {_techniques(arm) for arm in arms - {BASELINE, CONTROL}}


def _techniques(arm: str) -> frozenset[str]:
    """Return the names of an arm's techniques, whatever their settings."""
    return frozenset(name.partition(":")[0] for name in arm.split("+"))


def _search_cost(result: ArmResult) -> str:
    if result.search_seconds is None:
        return ""
    found = f"; found in {formatting.seconds(result.search_seconds)}"
    epochs = result.search_payback_epochs
    return f"{found}, which pays back after {number(epochs, 'epoch')}" if epochs else found


def _what_decides(result: ArmResult) -> str:
    needed = result.needed_margin
    margin = None
    if needed is not None:
        margin = f"a margin of {formatting.margin(round(needed, 4), result.difference_is_relative)}"
    if result.more_pairs is None:
        unknown = "how many more pairs would decide can't be told from these"
        return f"{unknown}; {margin} would" if margin else unknown
    pairs = f"about {number(result.pairs + result.more_pairs, 'pair')}"
    return f"that would need {pairs}, or {margin}" if margin else f"that would need {pairs}"


def _open_arm(result: ArmResult) -> str:
    if result.more_pairs is None:
        return result.arm
    return f"{result.arm} (about {number(result.more_pairs, 'more pair')})"


def _lost_trials(result: ArmResult) -> list[str]:
    lost = {status: n for status, n in result.statuses.items() if status != Status.OK}
    whole = number(sum(result.statuses.values()), "trial")
    return [f"{n} of {whole} ended {status.replace('_', ' ')}" for status, n in lost.items()]


def _repeatable(control: Control) -> list[str]:
    if control.same_losses is None:
        return []
    if control.same_losses:
        return ["The same seed gave the same losses, bit for bit."]
    return ["The same seed did not give the same losses: this training does not repeat exactly."]
