"""Where images come from: folders ``TASK/train|val|test/CLASS/image``, or the synthetic set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.baseline import Dataset
from bench.data.files import files_under, folders_in
from bench.errors import BenchError

SYNTHETIC = "synthetic"
TRAIN, VALIDATION, TEST = "train", "val", "test"
ALIASES = {VALIDATION: ("val", "valid", "validation")}
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Listing:
    """The images of one part, class by class."""

    folder: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    ignored: tuple[Path, ...] = ()
    """Files that are no images by their names."""


@dataclass(frozen=True)
class Task:
    """What is to be told apart in one folder: its classes, in order, and its parts."""

    name: str
    classes: tuple[str, ...]
    parts: dict[str, Listing]


def resolve(dataset: str | None, data_dir: Path | None) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of the tasks to train, and notices for the user.

    Of several tasks one that is missing is skipped with a notice; raise `BenchError` where none is
    left. Only where neither tasks nor a folder are named are images synthetic, with a notice.
    """
    if dataset is not None:
        return _named([name.strip() for name in dataset.split(",") if name.strip()], data_dir)
    if data_dir is not None:
        there = _tasks_in(data_dir)
        if not there:
            raise BenchError(
                f"{data_dir} holds no TASK/{TRAIN}; give another, or --dataset {SYNTHETIC}"
            )
        return [str(data_dir)] if there == [data_dir] else [place.name for place in there], ()
    return [SYNTHETIC], (
        "no --data-dir was given: using synthetic images, which say nothing about real ones",
    )


def _named(names: Sequence[str], data_dir: Path | None) -> tuple[list[str], tuple[str, ...]]:
    missing = [name for name in names if name != SYNTHETIC and place(name, data_dir) is None]
    left = list(dict.fromkeys(name for name in names if name not in missing))
    if not left:
        where = "no --data-dir was given" if data_dir is None else f"in {data_dir}"
        raise BenchError(
            f"no task {' or '.join(map(repr, missing or ['']))} ({where}): a folder with"
            f" {TRAIN}/CLASS/image and {TEST}/CLASS/image is needed, or --dataset {SYNTHETIC}"
        )
    return left, tuple(
        f"task {name} is skipped: no folder {_path(name, data_dir)} with {TRAIN} and {TEST}"
        for name in missing
    )


def place(name: str, data_dir: Path | None) -> Path | None:
    """Return the folder of a task, or None where there is none."""
    paths = [Path(name)] if data_dir is None else [data_dir / name, Path(name)]
    if data_dir is not None and name == data_dir.resolve().name:
        paths.append(data_dir)
    return next((path for path in paths if _is_task(path)), None)


def _path(name: str, data_dir: Path | None) -> Path:
    return Path(name) if data_dir is None else data_dir / name


def _is_task(folder: Path) -> bool:
    return (folder / TRAIN).is_dir() and (folder / TEST).is_dir()


def _tasks_in(folder: Path) -> list[Path]:
    if _is_task(folder) or not folder.is_dir():
        return [folder] if _is_task(folder) else []
    return [path for path in folders_in(folder) if _is_task(path)]


def found(data_dir: Path | None) -> list[Dataset]:
    """List what can be used."""
    sets = [Dataset(SYNTHETIC, "made-up images of blobs, of two or more classes", "made as needed")]
    real = [] if data_dir is None else _tasks_in(data_dir)
    return [
        *(Dataset(path.name, ", ".join(_classes(path / TRAIN)), str(path)) for path in real), *sets
    ]  # fmt: skip


def task(name: str, data_dir: Path | None) -> Task:
    """List a task's images; raise `BenchError`, naming the folder, where a part can't serve."""
    folder = place(name, data_dir)
    if folder is None:
        raise BenchError(f"no folder {_path(name, data_dir)} with {TRAIN} and {TEST} in it")
    classes = _classes(folder / TRAIN)
    if len(classes) < 2:
        known = ", ".join(classes) or "none"
        raise BenchError(f"{folder / TRAIN} has to hold a folder for each class, two or more of"
                         f" them; it holds {known}")  # fmt: skip
    parts = {
        part: _listing(path, classes, folder / TRAIN)
        for part in (TRAIN, VALIDATION, TEST)
        if (path := _part(folder, part)) is not None
    }
    return Task(folder.resolve().name, classes, parts)


def _part(folder: Path, part: str) -> Path | None:
    paths = (folder / name for name in ALIASES.get(part, (part,)))
    return next((path for path in paths if path.is_dir()), None)


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(path.name for path in folders_in(folder))


def _listing(folder: Path, classes: tuple[str, ...], train: Path) -> Listing:
    unknown = sorted(set(_classes(folder)) - set(classes))
    if unknown:
        raise BenchError(f"{folder / unknown[0]} is a class that {train} has no images of; remove"
                         " it, or add images to train with")  # fmt: skip
    files, labels, ignored = list[Path](), list[int](), list[Path]()
    for label, name in enumerate(classes):
        images, others = _files(folder / name)
        files += images
        labels += [label] * len(images)
        ignored += others
    return Listing(folder, tuple(files), tuple(labels), tuple(ignored))


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images of a class's folder and its other files, both sorted."""
    if not folder.is_dir():
        raise BenchError(f"{folder} is missing: every part needs images of every class")
    there = files_under(folder)
    images = [path for path in there if path.suffix.lower() in IMAGES]
    if not images:
        raise BenchError(f"{folder} holds no image ({', '.join(sorted(IMAGES))}): every part needs"
                         " images of every class")  # fmt: skip
    return images, [path for path in there if path.suffix.lower() not in IMAGES]
