"""Do the record folders of a public speed run hold enough to show what they claim?

    git clone https://github.com/KellerJordan/modded-nanogpt
    python -m tests.benchmarks.bench_speedrun_records modded-nanogpt/.git

A record claims to take less time than the one before it. Its folder shows that where it holds runs
of both codes, made in one session (here: on one day), at least three of each. What ran before is
told by a subfolder's name, or by code that is, letter by letter, that of the record before. Only
numbers that a log prints are read: its last `train_time`, and the day of its `nvidia-smi`. What it
printed is kept in results/audit/speedruns.md.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.analysis.audit import Held
from bench.analysis.findings import Found
from bench.analysis.given import of_table
from bench.records.audit import Claimed, Given
from bench.records.given import Row
from reports import claimed

TRACK = "records/track_1_short"
RECORD = re.compile(r"^(\d+) \| ([\d.]+) (minutes)\*? \|.*?\|\s*[\d/-]+ \| (.*)", re.MULTILINE)
LINK = re.compile(rf"\]\(({TRACK}/[^)]+)\)")
END = re.compile(r"val_loss:([\d.]+).*?train_time:(\d+)ms")
DAY = re.compile(r"^[A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d) [\d:]{8} (20\d\d)", re.MULTILINE)
RULE = re.compile(r"^={50,}$", re.MULTILINE)
BEFORE = re.compile(r"base|prev|main|master|before|old|control", re.IGNORECASE)


class Log(NamedTuple):
    """What one log tells."""

    path: str
    seconds: float
    day: str
    code: str


class Record(NamedTuple):
    """A line of the repository's table of records."""

    number: int
    minutes: float
    folder: str
    """Empty where no log is linked."""
    linked: str


def records_of(readme: str) -> list[Record]:
    """Return the records of the first track, in order."""
    found = []
    for number, minutes, _, rest in RECORD.findall(readme.partition("\n## Speedrun track 2")[0]):
        link = LINK.search(rest)
        path = link[1] if link else ""
        folder = "/".join(path.split("/")[:3])
        found.append(Record(int(number), float(minutes), folder, path))
    return found


def log_of(path: str, text: str) -> Log | None:
    """Return what a log tells; None where it has no end."""
    ends = END.findall(text)
    if not ends:
        return None
    day = DAY.search(text)
    parts = [part for part in RULE.split(text) if part.strip()]
    code = hashlib.sha256(parts[0].encode()).hexdigest()[:12] if len(parts) > 1 else ""
    return Log(path, float(ends[-1][1]) / 1000, " ".join(day.groups()) if day else "", code)


def before_and_after(record: Record, own: Sequence[Log], codes: set[str]) -> tuple[list[Log], ...]:
    """Return a folder's logs of what ran before, and of the record itself."""
    place = record.linked.rpartition("/")[0] if "." in record.linked[-5:] else record.linked
    before = [log for log in own if log.code in codes or _is_before(log, record.folder)]
    rest = [log for log in own if log not in before]
    after = [log for log in rest if log.path.startswith(f"{place}/")] or rest
    return before, after


def _is_before(log: Log, folder: str) -> bool:
    return bool(BEFORE.search(log.path.removeprefix(folder).rpartition("/")[0]))


def judged(record: Record, least: float, own: Sequence[Log], codes: set[str]) -> Found:
    """Judge one record by the logs of its folder."""
    claim = Claimed(
        id=str(record.number), says="It is faster.", form="ratio", claimed=least / record.minutes,
        given=Given(table="logs", before="before", after="after"),
    )  # fmt: skip
    if least <= record.minutes:
        return Found(claim, Held.UNTESTABLE, "it claims no gain")
    before, after = before_and_after(record, own, codes)
    if not after or not before:
        what = "no log that ends" if not after else "no run of what was before"
        return Found(claim, Held.OPEN, f"{what} in its folder", pairs=min(len(before), len(after)))
    rows = [Row(arm, log.seconds, log.day, "")
            for arm, logs in (("before", before), ("after", after)) for log in logs]  # fmt: skip
    return of_table(claim, rows)


class Repository:
    """Reads a repository's files without a work tree."""

    def __init__(self, git: Path) -> None:
        self._git = git

    def read(self, path: str) -> str:
        """Return a file's text."""
        return self._run("show", f"HEAD:{path}")

    def logs(self, folder: str) -> list[Log]:
        """Return the logs below a folder."""
        paths = self._run("ls-tree", "-r", "--name-only", "HEAD", f"{folder}/").splitlines()
        texts = ((p, self.read(p)) for p in paths if p.endswith((".txt", ".log")))
        return [log for path, text in texts if (log := log_of(path, text)) is not None]

    def _run(self, *words: str) -> str:
        done = subprocess.run(["git", f"--git-dir={self._git}", *words], capture_output=True,
                              check=True)  # fmt: skip
        return done.stdout.decode("utf-8", "replace")


def audited(repository: Repository) -> list[tuple[Record, int, Found]]:
    """Return every record with how many logs its folder holds, and what they say."""
    found, codes, least = [], set[str](), float("inf")
    for record in records_of(repository.read("README.md")):
        own = repository.logs(record.folder) if record.folder else []
        if least < float("inf"):
            found.append((record, len(own), judged(record, least, own, codes)))
        codes, least = {log.code for log in own if log.code}, record.minutes
    return found


def as_markdown(found: Sequence[tuple[Record, int, Found]]) -> str:
    """Return the table, and how many folders hold enough."""
    told = [one for _, _, one in found if one.held not in (Held.OPEN, Held.UNTESTABLE)]
    gains = [one for _, _, one in found if one.held is not Held.UNTESTABLE]
    why = Counter(_why(one.reason) for one in gains if one.held is Held.OPEN)
    verdicts = Counter(str(one.held) for one in told)
    lines = [
        f"{len(told)} of {len(gains)} records hold enough in their folder to hold the claimed gain "
        f"against it ({', '.join(f'{n} {held}' for held, n in verdicts.most_common())}); "
        f"{len(gains) - len(told)} don't:", "",
        *(f"- {n}: {reason}" for reason, n in why.most_common()), "",
        "| record | claimed | logs | found | verdict | why |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for record, logs, one in found:
        name = record.folder.rpartition("/")[2] or "–"
        cells = (f"{record.number} {name}", claimed.claimed(one.claim), str(logs),
                 claimed.found(one.claim, one.found) if one.found else "–", str(one.held),
                 one.reason)  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _why(reason: str) -> str:
    """Return a reason without its numbers."""
    if "sessions that measured both" in reason:
        return "both were run on one day, but one of them fewer than three times"
    if "values of one session" in reason:
        return "both were run on one day, and the interval holds the claim and what is not"
    return re.sub(r", \d+ before and \d+ after", "", reason.partition(":")[0])


if __name__ == "__main__":
    print(as_markdown(audited(Repository(Path(sys.argv[1])))), end="")
