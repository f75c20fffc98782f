"""Reading PTB-XL as it is published: two tables and one pair of files a record."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import wfdb
from numpy.typing import NDArray

from baselines.s4_ecg.sources import DATABASE, STATEMENTS
from bench.data.wfdb_units import calibrations
from bench.errors import BenchError

Floats = NDArray[np.float32]
RATE_HZ, SAMPLES = 100, 1000
AGAIN = "get it again from physionet.org"


@dataclass(frozen=True)
class Table:
    """What the two tables say of every record that has a superclass."""

    files: tuple[str, ...]
    """Without extension, relative to the folder."""
    labels: Floats
    folds: NDArray[np.int64]
    dropped: int
    """Records without a superclass."""


def table(folder: Path, classes: Sequence[str]) -> Table:
    """Read which records there are; raise `BenchError`, naming the file, for a bad table."""
    statements = _csv(folder / STATEMENTS, ("diagnostic", "diagnostic_class"), index=0)
    diagnostic = statements[statements["diagnostic"] == 1]
    superclass = {str(key): str(value) for key, value in diagnostic["diagnostic_class"].items()}
    file = folder / DATABASE
    rows = _csv(file, ("ecg_id", "scp_codes", "strat_fold", "filename_lr"))
    codes = zip(rows["ecg_id"], rows["scp_codes"], strict=True)
    sets = [{superclass[key] for key in _keys(file, *row) if key in superclass} for row in codes]
    labels = np.array([[name in found for name in classes] for found in sets], dtype=np.float32)
    kept: NDArray[np.bool_] = np.array([bool(row.any()) for row in labels])
    folds = pd.to_numeric(rows["strat_fold"], errors="coerce").fillna(0).to_numpy()
    if not np.isin(folds, range(1, 11)).all():
        first = rows["ecg_id"][int(np.argmin(np.isin(folds, range(1, 11))))]
        raise BenchError(f"{file}: strat_fold of record {first} is not 1 to 10; {AGAIN}")
    files = tuple(str(name) for name in rows["filename_lr"].to_numpy()[kept])
    if len(files) != len({*files}):
        twice = next(name for name in files if files.count(name) > 1)
        raise BenchError(f"{file} names {twice} twice, so that a record could be in two parts;"
                         " remove one of the rows")  # fmt: skip
    return Table(files, labels[kept], folds[kept].astype(np.int64), int((~kept).sum()))


def signals(folder: Path, files: Sequence[str], leads: Sequence[str]) -> Floats:
    """Read records in millivolts, ``(N, leads, 1000)``, the leads in the order asked for."""
    made = np.empty((len(files), len(leads), SAMPLES), dtype=np.float32)
    for row, name in zip(made, files, strict=True):
        row[:] = _record(folder, name, leads)
    return made


def readable(
    folder: Path, files: Sequence[str], leads: Sequence[str]
) -> tuple[Floats, NDArray[np.int64], tuple[str, ...]]:
    """Read the records that can be; also return which they are, and what is wrong with others."""
    made, kept, bad = list[Floats](), list[int](), list[str]()
    for number, name in enumerate(files):
        try:
            made.append(_record(folder, name, leads))
        except BenchError as error:
            bad.append(str(error))
        else:
            kept.append(number)
    whole = np.stack(made) if made else np.empty((0, len(leads), SAMPLES), np.float32)
    return whole, np.array(kept, np.int64), tuple(bad)


def _place(folder: Path, name: str) -> Path:
    """Return where a record lies that the table names, without extension."""
    inside = PurePosixPath(name.strip().replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts:
        raise BenchError(f"{folder / DATABASE} names {name}, outside of its folder; correct it")
    return folder / (inside.with_suffix("") if inside.suffix in (".hea", ".dat") else inside)


def _record(folder: Path, name: str, leads: Sequence[str]) -> Floats:
    """Read a record that the table names, ``(leads, 1000)``."""
    path = _place(folder, name)
    try:
        return record(path, leads)
    except BenchError as error:
        raise BenchError(f"{error}, or leave it out with --skip-bad") from error


def record(path: Path, leads: Sequence[str]) -> Floats:
    """Read a record whose two files begin with `path`, in millivolts ``(leads, 1000)``."""
    header, content = (path.with_name(path.name + end) for end in (".hea", ".dat"))
    for file in (header, content):
        if not file.is_file():
            raise BenchError(f"{file} is missing: a record is two files; {AGAIN}")
    calibrated = calibrations(header)
    try:
        read = wfdb.rdrecord(str(path), physical=False)
        sums = [(a - b) % 2**16 for a, b in zip(read.calc_checksum(), read.checksum, strict=True)]
        gains = zip(read.adc_gain, calibrated, strict=True)  # wfdb reads 1E3 as 1
        scales = [theirs / one.gain * one.millivolts for theirs, one in gains]
        found = np.asarray(read.dac() * scales, dtype=np.float32)
    except (ValueError, IndexError, KeyError, TypeError, OSError) as error:  # wfdb's, on bad files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BenchError(f"{content} can't be read ({reason}); {AGAIN}") from error
    names = [str(name).upper() for name in read.sig_name or ()]
    missing = [lead for lead in leads if names.count(lead) != 1]
    if missing:
        raise BenchError(
            f"{header} names the leads {', '.join(names)}: {', '.join(missing)} not once among"
            " them; choose others with --set leads=..., or correct the header"
        )
    if found.shape[0] != SAMPLES or read.fs != RATE_HZ:
        raise BenchError(
            f"{content} holds {found.shape[0]} samples at {read.fs:g} Hz, not {SAMPLES} at"
            f" {RATE_HZ}; {AGAIN}"
        )
    if any(sums):
        raise BenchError(f"{content} is damaged: its samples don't fit the checksums; {AGAIN}")
    chosen = found[:, [names.index(lead) for lead in leads]].T
    if not np.isfinite(chosen).all():
        raise BenchError(f"{content} holds samples without a value; {AGAIN}")
    return chosen


def check_own(header: Path) -> None:
    """Raise `BenchError` for a header that names samples elsewhere than beside it."""
    own = header.with_suffix(".dat").name
    calibrations(header)  # says what is wrong with one that is none
    try:
        named = {*(wfdb.rdheader(str(header.with_suffix(""))).file_name or ())}
    except (ValueError, IndexError, KeyError, TypeError, OSError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BenchError(f"{header} can't be read ({reason}); {AGAIN}") from error
    if named != {own}:
        raise BenchError(f"{header} names other files than {own}; {AGAIN}")


def _csv(file: Path, columns: Sequence[str], index: int | None = None) -> pd.DataFrame:
    try:
        content = pd.read_csv(file, index_col=index, encoding="utf-8-sig")
    except FileNotFoundError:
        raise BenchError(f"{file} is missing; {AGAIN}") from None
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        reason = " ".join(str(error).split())[:120]
        raise BenchError(f"{file} can't be read ({reason}); {AGAIN}") from error
    content.columns = [str(name).strip() for name in content.columns]
    missing = [name for name in columns if name not in content.columns]
    if missing:
        found = ", ".join(content.columns)[:60]
        raise BenchError(f"{file} has no column {', '.join(missing)}, with commas between (found:"
                         f" {found}); {AGAIN}")  # fmt: skip
    if content.empty:
        raise BenchError(f"{file} has no rows; {AGAIN}")
    return content


def _keys(file: Path, record: object, text: object) -> list[str]:
    """Return the statements of one record, a Python dict as text."""
    try:
        found = ast.literal_eval(str(text))
    except (ValueError, SyntaxError):
        found = None
    if not isinstance(found, dict):
        raise BenchError(f"{file}: scp_codes of record {record} is no dict; {AGAIN}")
    return [str(key) for key in found]
