"""Where data sets come from: a local folder, aeon's bundled sets, or the archive's download."""

from __future__ import annotations

import difflib
import importlib.util
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baselines.timehut import ts
from bench.data import cache
from bench.data.files import as_spelled, files_in, folders_in
from bench.errors import BenchError

DEFAULT = "Chinatown"
FALLBACK = "UnitTest"
HALVES = ("TRAIN", "TEST")
ARCHIVE = ("zenodo.org", 443)
CONNECT_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Source:
    """A data set's folder, with ``NAME_TRAIN.ts`` and ``NAME_TEST.ts`` inside."""

    name: str
    folder: Path

    def file(self, half: str) -> Path:
        """Return the path of one half, ``TRAIN`` or ``TEST``, whether it exists or not."""
        return as_spelled(self.folder / f"{self.name}_{half}.ts")

    def summary(self) -> str:
        """Say what the header of the training file says, in a few words."""
        tags = ts.tags(self.file("TRAIN"))
        parts = [f"{' '.join(tags['dimensions'])} channels"] if "dimensions" in tags else []
        if "serieslength" in tags and tags.get("equallength", [""])[0].lower() == "true":
            parts += [f"length {' '.join(tags['serieslength'])}"]
        return ", ".join([*parts, f"{len(tags.get('classlabel', [''])) - 1} classes"])


def resolve(dataset: str | None, data_dir: Path | None) -> tuple[Source, tuple[str, ...]]:
    """Return where `dataset` is, downloading it if it must, and notices for the user.

    Where neither a set nor a folder is named it may be aeon's bundled ``UnitTest``, with a notice.
    """
    if dataset is not None:
        return _asked_for(dataset, data_dir), ()
    try:
        return _asked_for(DEFAULT, data_dir), ()
    except BenchError:
        if data_dir is not None or any(_candidates(DEFAULT, data_dir)):
            raise  # it was asked for there, or can't be used: that must not be papered over
        notice = f"{DEFAULT} was neither found nor could be downloaded; using aeon's {FALLBACK}"
        return Source(FALLBACK, bundled_folder() / FALLBACK), (notice,)


def found(data_dir: Path | None) -> list[Source]:
    """List the classification sets on this machine, each name once, nearest place first."""
    sources: dict[str, Source] = {}
    for place in _places(data_dir):
        for source in _halved(place):
            if source.file("TEST").is_file() and ts.classifies(ts.tags(source.file("TRAIN"))):
                sources.setdefault(source.name, source)
    return list(sources.values())


def _halved(place: Path) -> list[Source]:
    """Return the training halves in a place, and in the folders in it, in order of their paths."""
    if not place.is_dir():
        return []
    files = [path for folder in (place, *folders_in(place)) for path in files_in(folder, (".ts",))]
    ending = f"_{HALVES[0]}.ts"
    halves = [path for path in sorted(files) if path.name.upper().endswith(ending.upper())]
    return [Source(path.name[: -len(ending)], path.parent) for path in halves]


def bundled_folder() -> Path:
    """Return the folder of the sets that come with aeon, which takes seconds to import."""
    spec = importlib.util.find_spec("aeon")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data"


def cache_folder() -> Path:
    """Return where downloads go when no data folder was given."""
    return cache.cache_folder() / "ucr"


def _places(data_dir: Path | None) -> list[Path]:
    return [*([data_dir] if data_dir is not None else []), bundled_folder(), cache_folder()]


def _candidates(name: str, data_dir: Path | None) -> Iterator[Source]:
    """Yield the folders that hold at least one half of `name`."""
    for place in _places(data_dir):
        for folder in (place / name, place):
            source = Source(name, folder)
            if any(source.file(half).is_file() for half in HALVES):
                yield source


def _asked_for(dataset: str, data_dir: Path | None) -> Source:
    path = Path(dataset)
    if not path.name or path.name == "..":
        raise BenchError(f'"{dataset}" names no data set; give a name such as {DEFAULT}')
    if len(path.parts) > 1:
        return _at(path)
    source = next(_candidates(dataset, data_dir), None)
    return _download(dataset, data_dir) if source is None else _complete(source)


def _at(folder: Path) -> Source:
    """Return the set in `folder`, which has its name."""
    source = Source(folder.name, folder)
    if not any(source.file(half).is_file() for half in HALVES):
        raise BenchError(f"no {source.file('TRAIN').name} in {folder}; give the folder of a set")
    return _complete(source)


def _complete(source: Source) -> Source:
    for half in HALVES:
        if not source.file(half).is_file():
            raise BenchError(
                f"{source.file(half)} is missing although its other half is there;"
                " put both halves in one folder"
            )
    return source


def _download(name: str, data_dir: Path | None) -> Source:
    """Fetch `name` from the archive into the data folder, or the user's cache."""
    if not _archive_answers():
        raise BenchError(_not_found(name, data_dir, "no network to download it"))
    from aeon.datasets import load_classification

    target = data_dir if data_dir is not None else cache_folder()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:  # aeon leaves a stub when it fails
        try:
            load_classification(name, extract_path=scratch)
        except (OSError, ValueError) as error:
            reason = f"the archive answered: {_one_line(error)}"
            raise BenchError(_not_found(name, data_dir, reason)) from error
        shutil.move(Path(scratch) / name, target / name)
    return Source(name, target / name)


def _archive_answers() -> bool:
    """Ask within seconds whether the archive can be reached; aeon alone would wait minutes."""
    answers: list[bool] = []

    def connect() -> None:
        try:
            socket.create_connection(ARCHIVE, timeout=CONNECT_SECONDS).close()
        except OSError:
            return
        answers.append(True)

    # a thread, because a name server that doesn't answer blocks without a timeout
    asking = threading.Thread(target=connect, daemon=True)
    asking.start()
    asking.join(CONNECT_SECONDS)
    return bool(answers)


def _not_found(name: str, data_dir: Path | None, reason: str) -> str:
    names = [source.name for source in found(data_dir)]
    lowered = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=1)
    hint = f'; did you mean "{lowered[close[0]]}"?' if close else "; name another or use --data-dir"
    where = "" if data_dir is None else f"in {data_dir} or "
    return f'no data set "{name}" {where}among aeon\'s bundled sets, and {reason}{hint}'


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
