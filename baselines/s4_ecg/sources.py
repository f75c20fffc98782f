"""Where records come from: a folder of PTB-XL's layout, or the synthetic set."""

from __future__ import annotations

from pathlib import Path

from bench.baseline import Dataset
from bench.errors import BenchError

PTBXL, SYNTHETIC = "ptbxl", "synthetic"
DATABASE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"


def resolve(dataset: str | None, data_dir: Path | None) -> tuple[str, tuple[str, ...]]:
    """Return the data set's name (or its folder, as given), and notices for the user.

    Only where neither a set nor a folder is named is it the synthetic one, with a notice.
    """
    if dataset == SYNTHETIC:
        return SYNTHETIC, ()
    if dataset is not None:
        folder(dataset, data_dir)
        return dataset, ()
    if _candidate(data_dir) is not None:
        return PTBXL, ()
    if data_dir is not None:
        raise BenchError(f"{data_dir} holds no {DATABASE}; give another, or --dataset {SYNTHETIC}")
    return SYNTHETIC, (
        "no --data-dir was given: using synthetic ECG, which says nothing about real ones",
    )


def folder(dataset: str, data_dir: Path | None) -> Path:
    """Return the folder of a set of PTB-XL's layout; raise `BenchError` where there is none."""
    if dataset != PTBXL:
        path = Path(dataset)
        if len(path.parts) < 2 and not path.is_dir():
            raise BenchError(f'no data set "{dataset}"; there are: {PTBXL}, {SYNTHETIC}, a folder')
        if not (path / DATABASE).is_file():
            raise BenchError(f"no {DATABASE} in {path}; give a folder of PTB-XL's layout")
        return path
    found_at = _candidate(data_dir)
    if found_at is None:
        where = (
            "--data-dir FOLDER is needed" if data_dir is None else f"no {DATABASE} in {data_dir}"
        )
        raise BenchError(f"{where}; get PTB-XL from physionet.org, or use --dataset {SYNTHETIC}")
    return found_at


def found(data_dir: Path | None) -> list[Dataset]:
    """List what can be used."""
    sets = [Dataset(SYNTHETIC, "made-up ECG of PTB-XL's shape, five classes", "made when needed")]
    place = _candidate(data_dir)
    if place is not None:
        sets.insert(0, Dataset(PTBXL, "12-lead ECG, 100 Hz, 10 s, five superclasses", str(place)))
    return sets


def _candidate(data_dir: Path | None) -> Path | None:
    places = [] if data_dir is None else [data_dir, data_dir / PTBXL]
    return next((place for place in places if (place / DATABASE).is_file()), None)
