"""Where patients come from, and the spectrograms that are made of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from baselines.murmur.circor import CirCor, Patient
from baselines.murmur.settings import MurmurSettings
from baselines.murmur.stored import Source, Spectrograms, made
from baselines.murmur.synthetic import Synthetic
from bench.baseline import Dataset
from bench.data.cache import cache_folder, shown
from bench.data.files import files_in
from bench.errors import BenchError

SYNTHETIC, CIRCOR = "synthetic", "circor"
INSIDE = "training_data"
"""The folder of patients in what is downloaded."""


def resolve(dataset: str | None, data_dir: Path | None) -> tuple[str, tuple[str, ...]]:
    """Return the data set's name (or its folder, as given), and notices for the user.

    Only where neither a set nor a folder is named is it the synthetic one, with a notice.
    """
    if dataset == SYNTHETIC:
        return SYNTHETIC, ()
    if dataset is not None:
        place(dataset, data_dir)
        return dataset, ()
    if _candidate(data_dir) is not None:
        return CIRCOR, ()
    if data_dir is not None:
        raise BenchError(f"{data_dir} holds no patients; give another, or --dataset {SYNTHETIC}")
    return SYNTHETIC, (
        "no --data-dir was given: using synthetic heart sounds, which say nothing about real ones",
    )


def place(dataset: str, data_dir: Path | None) -> Path:
    """Return the folder of patients of a set; raise `BenchError` where there is none."""
    if dataset == CIRCOR:
        if (folder := _candidate(data_dir)) is not None:
            return folder
        given = f"no patients (ID.txt) in {data_dir}"
        where = "--data-dir FOLDER is needed" if data_dir is None else given
        raise BenchError(f"{where}; get CirCor from physionet.org, or use --dataset {SYNTHETIC}")
    path = Path(dataset)
    if not path.is_dir():
        raise BenchError(f'no data set "{dataset}"; there are: {CIRCOR}, {SYNTHETIC}, a folder')
    for folder in (path / INSIDE, path):
        if _has_patients(folder):
            return folder
    raise BenchError(f"{path} holds no patient (no ID.txt); give another folder")


def spectrograms(settings: MurmurSettings) -> tuple[Spectrograms, tuple[str, ...]]:
    """Return all spectrograms, made if they must be, and what to tell of that.

    Raises `BenchError` for the first file that can't be read, unless bad ones are skipped.
    """
    source = _source(settings)
    where = getattr(source, "folder", source.signature)
    words = f"{where} {settings.mels} {settings.hop_ms}"
    key = hashlib.sha256(words.encode()).hexdigest()[:12]
    path = cache_folder() / f"murmur-{source.name}-{key}.npz"
    begun = time.perf_counter()
    found, new = made(source, settings.mels, settings.hop_ms, path)
    seconds = time.perf_counter() - begun
    news = (f"made the spectrograms of {source.name}, once, in {seconds:.1f} s: {shown(path)}",)
    if found.skipped and not settings.skip_bad:
        raise BenchError(found.skipped[0])
    if not found.names:
        raise BenchError(f"{where}: no patient is left, {len(found.skipped)} files were bad")
    return found, news if new else ()


def patients(settings: MurmurSettings) -> Iterator[Patient]:
    """Yield every patient that can be read, with its recordings."""
    return (one for one in _source(settings).patients() if isinstance(one, Patient))


def found(data_dir: Path | None) -> list[Dataset]:
    """List what can be used."""
    sets = [Dataset(SYNTHETIC, "made-up heart sounds at 4 kHz", "made when needed")]
    if (folder := _candidate(data_dir)) is not None:
        sets.insert(0, Dataset(CIRCOR, "heart sounds at 4 kHz, murmur and outcome", str(folder)))
    return sets


def _source(settings: MurmurSettings) -> Source:
    dataset = settings.dataset or resolve(None, settings.data_dir)[0]
    if dataset == SYNTHETIC:
        return Synthetic(settings.synthetic_patients, settings.synthetic_seconds)
    folder = place(dataset, settings.data_dir).resolve()
    name = CIRCOR if dataset == CIRCOR else Path(dataset).name
    return CirCor(folder, name, settings.skip_bad)


def _candidate(data_dir: Path | None) -> Path | None:
    """Return the folder of CirCor's patients: inside `data_dir`, or that itself."""
    if data_dir is None:
        return None
    own = data_dir / CIRCOR
    folders = (own / INSIDE, own, data_dir / INSIDE, data_dir)
    return next((folder for folder in folders if _has_patients(folder)), None)


def _has_patients(folder: Path) -> bool:
    there = files_in(folder, (".txt",)) if folder.is_dir() else []
    return any(path.stem.isdigit() for path in there)
