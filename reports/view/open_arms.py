"""What is undecided: what each arm would need, and the one command that buys what is worth it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.analysis.levels import MOST
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.records.recipe import reference_in
from reports import commands, formatting, undone
from reports.command_line import own_words
from reports.run import Run

WITHOUT_VALUES = ("--baseline-only", "--full-optimization", "--quiet", "--json", "--dry-run")
LEFT_OUT = ("--test", "--combine", "--recipe", "--vary", "--repeats", "--budget", "--processes",
            "--shard")  # fmt: skip
"""Options of the run that a command for other arms doesn't take over."""


@dataclass(frozen=True, slots=True)
class Open:
    """One undecided arm; None is unknown."""

    arm: str
    pairs: int | None
    """That it needs, beside those that it has."""
    seconds: float | None
    why: str

    @property
    def needs(self) -> str:
        """Return what would decide it, in words."""
        if self.pairs is None or self.seconds is None:
            return "can't be told"
        pairs = formatting.number(self.pairs, "more pair")
        return f"about {pairs}, {formatting.seconds(self.seconds)}"


def open_arms(run: Run) -> tuple[Open, ...]:
    """Return the undecided arms, those that need the least time first."""
    undecided = [r for r in run.candidates if r.verdict is Verdict.UNDECIDED and r.pairs
                 and run.revised is None]  # fmt: skip
    found = [_open(run, result) for result in undecided]
    return tuple(sorted(found, key=lambda one: (one.seconds is None, one.seconds or 0.0)))


def buying(run: Run, found: tuple[Open, ...]) -> tuple[str, float] | None:
    """Return one command that decides what is worth deciding, and about how many seconds it takes.

    A sequential run goes on. After one of a fixed number of pairs a sequential one is worth it for
    those arms that its most pairs may decide.
    """
    had = {result.arm: result.pairs for result in run.comparison.arms}
    worth = [one for one in found if one.pairs is not None and had[one.arm] + one.pairs <= MOST]
    if not worth:
        return None
    if undone.unfinished(run) is not None:
        return f"bench --resume {run.folder}", sum(one.seconds or 0.0 for one in worth)
    if any("+" in one.arm for one in worth) or run.header.mode not in ("test", "full-optimization"):
        return None
    seconds = sum(run.pair_seconds[one.arm] * (had[one.arm] + (one.pairs or 0)) for one in worth)
    return asking(run, "--test", *(as_asked(run, one.arm) for one in worth)), seconds


def asking(run: Run, *options: str) -> str:
    """Return the run's command with other options for its arms, and how long it measures.

    A script's own arguments stay behind its `--`.
    """
    if not run.header.command:
        return shlex.join(["bench", *options, *commands.asked(run)])
    words = own_words(run.header.command)
    varied = {text.partition(":add=")[2] for text in _asked(run)}
    kept = [word for word in _kept(words[1:], varied) if word not in varied]
    asked = [*kept, *options] if kept[:1] == ["script"] else [*options, *kept]
    return shlex.join(["bench", *asked, *run.header.command[len(words) :]])


def as_asked(run: Run, arm: str) -> str:
    """Return the text that an arm of one technique was asked for by: its name has not all of it."""
    texts = [text for text in _asked(run) if reference_in(text) == arm]
    return texts[0] if len(texts) == 1 else arm


def _asked(run: Run) -> list[str]:
    return [text for arm in run.header.arms for text in arm.techniques]


def _kept(words: Sequence[str], values: Collection[str]) -> list[str]:
    """Return words without options that aren't taken over; a value may look like an option."""
    kept: list[str] = []
    keep = True
    for word in words:
        if word.startswith("-") and word not in values:
            keep = word.partition("=")[0] not in (*WITHOUT_VALUES, *LEFT_OUT)
        if keep:
            kept.append(word)
    return kept


def _open(run: Run, result: ArmResult) -> Open:
    seconds = None
    if result.more_pairs is not None:
        seconds = result.more_pairs * run.pair_seconds[result.arm]
    return Open(result.arm, result.more_pairs, seconds, result.reason)
