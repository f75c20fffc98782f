"""Where records come from, and the pack that is made of them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from baselines.ecg_cnn.challenge import HEADER, Challenge
from baselines.ecg_cnn.grouped import Grouped
from baselines.ecg_cnn.pack import Pack, Source, is_current, load, write
from baselines.ecg_cnn.settings import ECGCNNSettings
from baselines.ecg_cnn.synthetic import Synthetic
from bench.baseline import Dataset
from bench.data.cache import cache_folder, shown
from bench.data.files import files_in, files_under
from bench.errors import BenchError

SYNTHETIC = "synthetic"
CHALLENGES = ("cinc2020", "cinc2021")
SUFFIXES = (".h5", ".hdf5")


def resolve(dataset: str | None, data_dir: Path | None) -> tuple[str, tuple[str, ...]]:
    """Return the data set's name (or its folder or file, as given), and notices for the user.

    Only where neither a set nor a folder is named is it the synthetic one, with a notice.
    """
    if dataset == SYNTHETIC:
        return SYNTHETIC, ()
    if dataset is not None:
        place(dataset, data_dir)
        return dataset, ()
    there = next((name for name in CHALLENGES if _candidate(name, data_dir)), None)
    if there is not None:
        return there, ()
    if data_dir is not None and data_dir.is_dir() and _has_records(data_dir):
        return str(data_dir), ()
    if data_dir is not None:
        raise BenchError(f"{data_dir} holds no records; give another, or --dataset {SYNTHETIC}")
    return SYNTHETIC, (
        "no --data-dir was given: using synthetic ECG, which says nothing about real ones",
    )


def place(dataset: str, data_dir: Path | None) -> Path:
    """Return the folder or file of a set; raise `BenchError` where there is none."""
    if dataset in CHALLENGES:
        found_at = _candidate(dataset, data_dir)
        if found_at is None:
            given = f"no records of {dataset} in {data_dir}"
            where = "--data-dir FOLDER is needed" if data_dir is None else given
            raise BenchError(f"{where}; get them from physionet.org, or use --dataset {SYNTHETIC}")
        return found_at
    path = Path(dataset)
    if not path.exists():
        known = ", ".join((*CHALLENGES, SYNTHETIC))
        raise BenchError(f'no data set "{dataset}"; there are: {known}, a folder, a .h5 file')
    if path.is_dir() and not _has_records(path):
        raise BenchError(f"{path} holds no record (no .hea file); give another folder")
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        raise BenchError(f"{path} is no HDF5 file (.h5); give a folder of records, or one")
    return path


def packed(settings: ECGCNNSettings) -> tuple[Pack, tuple[str, ...]]:
    """Return the pack of the settings' records, made if it must be, and what to tell of that.

    Raises `BenchError` for the first record that can't be read, unless bad ones are skipped.
    """
    source = _source(settings)
    where = getattr(source, "folder", getattr(source, "file", source.signature))
    key = hashlib.sha256(str(where).encode()).hexdigest()[:12]
    path = cache_folder() / f"ecg-{source.name}-{key}.h5"
    news: tuple[str, ...] = ()
    if not is_current(path, source):
        begun = time.perf_counter()
        write(source, path)
        seconds = time.perf_counter() - begun
        news = (f"packed {source.name} into {shown(path)}, once, in {seconds:.1f} s",)
    pack = load(path)
    if pack.skipped and not settings.skip_bad:
        raise BenchError(pack.skipped[0])
    if not len(pack):
        raise BenchError(f"{where}: no record is left, {len(pack.skipped)} were bad")
    return pack, news


def found(data_dir: Path | None) -> list[Dataset]:
    """List what can be used."""
    sets = [Dataset(SYNTHETIC, "made-up 12-lead ECG at 500 Hz, 19 labels", "made when needed")]
    for name in reversed(CHALLENGES):
        if (folder := _candidate(name, data_dir)) is not None:
            sets.insert(0, Dataset(name, "12-lead ECG at 500 Hz, several labels", str(folder)))
    return sets


def _source(settings: ECGCNNSettings) -> Source:
    dataset = settings.dataset or resolve(None, settings.data_dir)[0]
    if dataset == SYNTHETIC:
        return Synthetic(settings.synthetic_records, settings.synthetic_samples)
    path = place(dataset, settings.data_dir).resolve()
    if path.is_dir():
        return Challenge(path, path.name, settings.skip_bad)
    return Grouped(path, path.stem, settings.skip_bad)


def _candidate(name: str, data_dir: Path | None) -> Path | None:
    """Return the folder of a challenge's records: inside `data_dir`, or that itself."""
    if data_dir is None:
        return None
    inside = data_dir / name
    if inside.is_dir() and _has_records(inside):
        return inside
    other = data_dir.resolve().name in CHALLENGES and data_dir.resolve().name != name
    return data_dir if not other and files_in(data_dir, (HEADER,)) else None


def _has_records(folder: Path) -> bool:
    return bool(files_under(folder, (HEADER,)))
