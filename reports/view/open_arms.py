"""What is undecided: what each arm would need, and the one command that buys what is worth it."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.levels import MOST
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.records.recipe import Use, reference_in
from bench.records.schema import plain_text
from reports import commands, formatting, undone
from reports.command_line import own_words
from reports.run import Run

FLAGS = ("--baseline-only", "--full-optimization", "--quiet", "--json", "--dry-run", "--shard")
OF_ONE_VALUE = ("--repeats", "--budget", "--processes")
OF_SEVERAL = ("--test", "--combine", "--recipe", "--vary")
"""Options of the run that a command for other arms doesn't take over, by how many values follow."""
SETTINGS = re.compile(r",(?=[^,=\[\]{}]+=)")
"""What stands between two settings of a technique: a list's commas belong to its value."""


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
        return f"{run.header.resuming} {run.folder}", sum(one.seconds or 0.0 for one in worth)
    alone = run.header.mode in ("test", "full-optimization") and not of_audit(run)
    if not alone or any("+" in one.arm for one in worth):
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
    begin = 2 if words[1:2] == ["run"] else 1
    varied = {text.partition(":add=")[2] for text in _asked(run)}
    kept = [word for word in _kept(words[begin:], varied) if word not in varied]
    asked = [*kept, *options] if kept[:1] == ["script"] else [*options, *kept]
    return shlex.join(["bench", *asked, *run.header.command[len(words) :]])


def of_audit(run: Run) -> bool:
    """Tell whether an audit made the run: no command for other arms is like its own."""
    return run.header.command[1:2] == ("audit",)


def as_asked(run: Run, arm: str) -> str:
    """Return the text that an arm of one technique was asked for by, as it was typed.

    Its name has not all of it, nor has a technique of one's own its file in there.
    """
    use = _use(run, arm)
    texts = [text for text in _asked(run) if reference_in(text) == use.name]
    if len(texts) > 1:
        texts = [text for text in texts if _agrees(text, use)]
    if not texts:
        return arm
    text = max(texts, key=lambda text: len(_settings(text)))
    words = [word.partition("=")[2] if word.startswith("--") else word
             for word in own_words(run.header.command)]  # fmt: skip
    return next((word for word in words if word == text or word.endswith(f"/{text}")), text)


def _use(run: Run, arm: str) -> Use:
    """Return the one technique of an arm; of one without a trial its name is known."""
    recipes = (trial.recipe for trial in run.trials if trial.arm == arm)
    used: list[Any] = next((recipe.get("techniques", []) for recipe in recipes), [])
    return Use.model_validate(used[0]) if len(used) == 1 else Use(name=arm)


def _agrees(text: str, use: Use) -> bool:
    """Tell whether a technique has the settings that were typed in a text."""
    known = use.settings
    return all(
        value in (plain_text(known[key]), json.dumps(known[key])) or _number(value) == known[key]
        for key, value in _settings(text).items()
        if key in known
    )


def _settings(text: str) -> dict[str, str]:
    """Return the settings that were typed behind a technique's name."""
    typed = text[len(reference_in(text)) + 1 :]
    pairs = (pair.partition("=") for pair in SETTINGS.split(typed) if pair)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _number(text: str) -> float:
    """Return what a text is as a number; one that equals nothing where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _asked(run: Run) -> list[str]:
    return [text for arm in run.header.arms for text in arm.techniques]


def _kept(words: Sequence[str], values: Collection[str]) -> list[str]:
    """Return words without options that aren't taken over; a value may look like an option."""
    kept: list[str] = []
    left = 0.0
    for word in words:
        if word.startswith("-") and word not in values:
            left = _dropped(word)
        if left > 0:
            left -= 1
        else:
            kept.append(word)
    return kept


def _dropped(option: str) -> float:
    """Return how many words are dropped from an option on: none, it alone, with its values."""
    name, joined, _ = option.partition("=")
    if name not in (*FLAGS, *OF_ONE_VALUE, *OF_SEVERAL):
        return 0
    if joined or name in FLAGS:
        return 1
    return 2 if name in OF_ONE_VALUE else math.inf


def _open(run: Run, result: ArmResult) -> Open:
    seconds = None
    if result.more_pairs is not None:
        seconds = result.more_pairs * run.pair_seconds[result.arm]
    return Open(result.arm, result.more_pairs, seconds, result.reason)
