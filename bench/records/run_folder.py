"""Keep a run's folder on disk, so that nothing finished is lost, half-written or mixed up.

``run.json`` is written first, and what stands in it is never changed; ``trials.jsonl`` and
``probes.jsonl`` only grow, a line after each trial, synced to disk where nothing else there holds
it. Asking the journal for a trial that it holds gives the record instead of a second run, so a run
is resumed by doing the same things again.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO

from bench.errors import BenchError
from bench.records.files import write_text
from bench.records.header import Header
from bench.records.measurement import Measurement, Purpose, counting
from bench.records.planned import check_planned
from bench.records.ranges import Range
from bench.records.schema import Record, check_regular, read_line, read_record
from bench.records.seal import check_seal, sealed

FREE_BYTES = 32 * 1024**2
RUN, TRIALS, PROBES = "run.json", "trials.jsonl", "probes.jsonl"


class Folder:
    """An open run folder, locked against every other process until `close`."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self._lock = locked(path)
        self.trials, self.probes = Journal(path / TRIALS), Journal(path / PROBES)
        check_planned(header, self.trials.records, self.trials.path)
        check_planned(header, self.probes.records, self.probes.path, probes=True)

    @cached_property
    def scratch(self) -> Path:
        """Return a folder for caches and logs of trials that nobody reads later, in full."""
        path = (self.path / "scratch").resolve()
        path.mkdir(exist_ok=True)
        return path

    def discard(self) -> None:
        """Remove the folder, where no trial has been written."""
        if not self.trials.records and not self.probes.records:
            shutil.rmtree(self.path, ignore_errors=True)

    def race(self, stage: Purpose, arms: int, block: int = 1, order: Sequence[str] = ()) -> None:
        """Write what is fixed before a stage's first trial: among how many arms it shares the
        error, and how many of them share a trial of the baseline, in which order.

        What stands in ``run.json`` already is never changed.
        """
        if stage in self.header.raced:
            return
        raced = {**self.header.raced, stage: arms}
        blocks = {**self.header.blocks, stage: block}
        ordered = {stage: tuple(order)} if order else {}
        self._fix(raced=raced, blocks=blocks, order=self.header.order | ordered)

    def fix_margin(self, margin: float, seeds: int, why: str) -> None:
        """Write the margin that trials of the baseline gave; once it stands there it stays."""
        if self.header.margin_auto and self.header.margin_seeds is None:
            wished = self.header.margin
            self._fix(margin=margin, margin_wished=wished, margin_seeds=seeds, margin_why=why)

    def search(self, ranges: Mapping[str, Range]) -> None:
        """Write what settings are searched over, once that is known; once there it stays."""
        if not self.header.ranges:
            self._fix(ranges=dict(ranges))

    def _fix(self, **facts: object) -> None:
        self.header = sealed(self.header.model_copy(update=facts))
        write_text(self.path / RUN, self.header.model_dump_json(indent=1) + "\n")

    def close(self) -> None:
        """Wait until the disk has every line, remove what was scratch, and release the lock."""
        self.trials.sync()
        shutil.rmtree(self.path / "scratch", ignore_errors=True)
        self._lock.close()


class Journal:
    """An append-only file of measurements; a torn last line is dropped when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning = drop_torn_line(path)
        self.records: list[Measurement] = read_measurements(path)
        self.counting = counting(self.records)
        """Without those that were disturbed and run again."""
        self._known = {record.key: record for record in self.records}
        self._behind = False

    def get(self, key: tuple[int, str]) -> Measurement | None:
        """Return the record of a finished trial."""
        return self._known.get(key)

    def append(self, *records: Measurement, sync: bool = True) -> None:
        """Write a line each, all at once; `sync`: wait until the disk has them."""
        append_lines(self.path, records, sync)
        self._behind = not sync
        self.records += records
        self.counting += counting(records)
        self._known |= {record.key: record for record in records}

    def sync(self) -> None:
        """Wait until the disk has every line."""
        if self._behind:
            append_lines(self.path, [])
            self._behind = False


def append_lines(path: Path, records: Iterable[Record], sync: bool = True) -> None:
    """Write records as lines; `sync`: wait, once, until the disk has them all."""
    lines = "".join(f"{record.model_dump_json()}\n" for record in records)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError as error:
        raise BenchError(f"can't write {path}: {error.strerror}; free some space") from None


def name_of(label: str, now: datetime) -> str:
    """Return what a run is named after: its UTC time, and a label of plain characters."""
    plain = re.sub(r"[^\w.-]+", "-", label)
    return f"{now:%Y-%m-%dT%H-%M-%SZ}_{plain}"


def create(output: Path, header: Header) -> Folder:
    """Make the folder of a new run, numbered where its name is taken.

    Raises `BenchError` for a place that can't hold it.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(output).free
        if free < FREE_BYTES:
            raise BenchError(
                f"only {free / 1024**2:.0f} MiB are free in {output}; a run needs "
                f"{FREE_BYTES // 1024**2} MiB: free some, or give another folder with --output"
            )
        path = _new_folder(output, header.run)
        content = sealed(header.model_copy(update={"run": path.name}))
        with _all_or_nothing(path):
            write_text(path / RUN, content.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise BenchError(
            f"can't write results to {output}: {error.strerror}; give another folder with --output"
        ) from None
    return Folder(path, content)


@contextmanager
def _all_or_nothing(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def reopen(path: Path) -> Folder:
    """Open an existing run folder to go on with it."""
    return Folder(path, read_header(path))


def read_header(path: Path) -> Header:
    """Read a run's ``run.json``."""
    if not (path / RUN).is_file():
        if (path / "audit.json").is_file():
            raise BenchError(f"{path} is an audit; print it by: bench audit --resume {path}")
        raise BenchError(f"{path} is not a run: it has no run.json; see the folders in results/")
    header = read_record(Header, path / RUN, "")
    check_seal(header, path / RUN)
    return header


def read_run(path: Path) -> tuple[Header, list[Measurement], list[Measurement]]:
    """Read a run for reporting: header, trials, probes; a torn last line is passed over."""
    header, trials, probes = read_header(path), path / TRIALS, path / PROBES
    measured, probed = read_measurements(trials), read_measurements(probes)
    check_planned(header, measured, trials)
    check_planned(header, probed, probes, probes=True)
    return header, measured, probed


def read_measurements(path: Path) -> list[Measurement]:
    """Read every whole line of a journal; raise `BenchError` with the line's number otherwise."""
    records = [
        read_line(Measurement, line, f"{path}, line {number}")
        for number, line in enumerate(whole_lines(path), 1)
    ]
    _check_together(records, path)
    return records


def _check_together(records: Sequence[Measurement], path: Path) -> None:
    """Refuse a trial that is there twice, and a pair of two seeds or kinds."""
    lines: dict[tuple[int, str, int], int] = {}
    seeds: dict[int, int] = {}
    kinds: dict[int, str] = {}
    for number, record in enumerate(records, 1):
        first = lines.setdefault((*record.key, record.attempt), number)
        if first != number:
            raise BenchError(
                f"{path}, line {number}: {record.arm} of pair {record.pair} stands in line {first}"
                " already; a trial is written once: take out what was added to the file"
            )
        seed = seeds.setdefault(record.pair, record.seed)
        if seed != record.seed and record.pair >= 0:
            raise BenchError(
                f"{path}, line {number}: {record.arm} of pair {record.pair} has the seed "
                f"{record.seed}, the pair's first trial {seed}; a pair has one seed"
            )
        kind = kinds.setdefault(record.pair, record.kind)
        if kind != record.kind and record.pair >= 0:
            raise BenchError(
                f"{path}, line {number}: {record.arm} of pair {record.pair} is a {record.kind} "
                f"trial, the pair's first a {kind} trial; a pair has one kind"
            )


def _content(path: Path) -> bytes:
    check_regular(path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BenchError(f"can't read {path}: {error.strerror}") from None


def whole_lines(path: Path) -> list[bytes]:
    """Return a journal's lines, a torn last one left out; none where there is no file."""
    return _content(path).split(b"\n")[:-1]


def drop_torn_line(path: Path, of: str = "its trial") -> str | None:
    """Cut off a last line that a crash has torn; say so."""
    content = _content(path)
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) == len(content):
        return None
    os.truncate(path, len(whole))
    return f"{path.name}: dropped a torn last line; {of} will be run again"


def _new_folder(output: Path, name: str) -> Path:
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        path = output / (name + suffix)
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise BenchError(f"{output} holds 999 runs named {name}")


def locked(path: Path) -> IO[str]:
    """Lock a folder against every other process, until what is returned is closed."""
    try:
        file = (path / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise BenchError(f"can't write to {path}: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise BenchError(
            f"{path} is in use by process {holder}; wait for it, or start a run of your own"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
