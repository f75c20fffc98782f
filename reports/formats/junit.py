"""JUnit XML, for the test pages of a CI: a case for the run, its baseline and every candidate.

A *failure* is an accuracy loss, a claim that does not hold, or a change that regressed; an *error*
is an arm without a successful trial, a run that is not finished, or one that could not tell what
was asked of it; *skipped* is what does not apply. A candidate that gains nothing has done nothing
wrong: its case passes, and its output says so.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple
from xml.etree import ElementTree as Tree

from bench.analysis.proof import Proof
from bench.analysis.results import ArmResult
from bench.analysis.revised import Answer
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.text import printable
from reports import formatting, sentences, undone
from reports.run import Run

MARKS = {
    Verdict.ACCURACY_LOSS: "failure",
    Verdict.FAILED: "error",
    Verdict.OVER_LIMIT: "failure",
    Verdict.BOUNDED: "skipped",
    Verdict.NOT_APPLICABLE: "skipped",
}


class Case(NamedTuple):
    """One test case."""

    name: str
    says: str
    mark: str | None = None
    """``failure``, ``error``, ``skipped``, or None where it passes."""
    trials: tuple[Measurement, ...] = ()
    """What its time is the sum of."""


def render(run: Run) -> str:
    """Return one test suite; times are wall seconds of trials."""
    header, cases = run.header, _cases(run)
    marks = Counter(case.mark for case in cases)
    suite = Tree.Element(
        "testsuite",
        name=printable(f"bench {header.mode}: {run.title}"),
        timestamp=printable(header.started),
        tests=str(len(cases)),
        failures=str(marks["failure"]),
        errors=str(marks["error"]),
        skipped=str(marks["skipped"]),
        time=_seconds(run.trials),
    )
    properties = Tree.SubElement(suite, "properties")
    facts = {
        "run": header.run, "device": header.device, "threads": header.threads,
        "commit": header.environment.get("git_commit"),
        "winner": run.winner.arm if run.winner else None,
        **{f"{r.arm} time": formatting.ratio_with_interval(r.time_ratio)
           for r in run.candidates if r.time_ratio},
    }  # fmt: skip
    for name, value in facts.items():
        if value is not None:
            words = {"name": printable(name), "value": printable(str(value))}
            Tree.SubElement(properties, "property", words)
    for case in cases:
        _add(suite, run.title, case)
    Tree.indent(suite, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{Tree.tostring(suite, encoding="unicode")}\n'


def _cases(run: Run) -> list[Case]:
    missing = undone.unfinished(run)
    mark = "error" if missing or _untold(run) else "failure" if _is_bad(run) else None
    whole = "the claim" if run.header.claim else "the run"
    return [
        Case(whole, missing or sentences.verdict(run), mark),
        _of_baseline(run),
        *(_of_candidate(run, result) for result in run.candidates),
    ]


def _is_bad(run: Run) -> bool:
    """Tell whether a claim does not hold, or a change has regressed."""
    return bool(run.problems) or (run.revised and run.revised.answer) is Answer.REGRESSED


def _untold(run: Run) -> bool:
    """Tell whether what was asked of a claim, or of a change, could not be told."""
    proof, answer = (found and found.answer for found in (run.judged, run.revised))
    return proof is Proof.OPEN or answer is Answer.OPEN


def _mark(run: Run, result: ArmResult) -> str | None:
    """Return whether an arm's case fails; that of a change is marked as the run is."""
    if run.revised is None:
        return MARKS.get(result.verdict)
    return "failure" if _is_bad(run) else "error" if _untold(run) else None


def _of_baseline(run: Run) -> Case:
    trials = tuple(trial for trial in run.judging if trial.arm in (BASELINE, CONTROL))
    said = " ".join([sentences.of_baseline(run), *sentences.noise(run)])
    lost = "error" if trials or undone.unfinished(run) else "skipped"
    return Case(BASELINE, said, None if run.of(BASELINE) else lost, trials)


def _of_candidate(run: Run, result: ArmResult) -> Case:
    trials = tuple(trial for trial in run.judging if trial.arm == result.arm)
    said = f"{run.said_of(result)}: {sentences.reason(run, result)}"
    return Case(result.arm, said, _mark(run, result), trials)


def _add(suite: Tree.Element, title: str, case: Case) -> None:
    names = {"classname": printable(title), "name": printable(case.name)}
    element = Tree.SubElement(suite, "testcase", names, time=_seconds(case.trials))
    says = printable(case.says)
    if case.mark:
        Tree.SubElement(element, case.mark, message=says)
    else:
        Tree.SubElement(element, "system-out").text = says


def _seconds(trials: tuple[Measurement, ...]) -> str:
    return f"{sum(trial.wall_seconds or 0.0 for trial in trials):.3f}"
