"""Other versions of packages, laid over this environment: what one side of a comparison imports.

A virtual environment that sees all of this one's packages beneath its own; pip puts there what a
requirements file asks for in another version. Trials of that side find these packages first.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError

PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--python")
BENEATH = "beneath.pth"


class Layer(NamedTuple):
    """Where the packages lie, and which they are, by name."""

    folder: Path
    versions: dict[str, str]


def lay(requirements: Path, folder: Path) -> Layer:
    """Install what a requirements file asks for, and is not here, into a folder.

    Indexes, wheels and options are pip's own (``--no-index``, ``--find-links``, ``PIP_…``). Raises
    `BenchError` where pip fails, and where it finds nothing to install.
    """
    if not requirements.is_file():
        raise BenchError(f"there is no {requirements}: name a requirements file")
    venv.EnvBuilder(symlinks=True).create(folder)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / BENEATH).write_text("".join(f"{path}\n" for path in _beneath()), encoding="utf-8")
    _install(requirements, folder / "bin" / "python")
    found = {one.name: one.version for one in distributions(path=[str(site)])}
    if not found:
        raise BenchError(
            f"{requirements} asks for nothing but what is installed here: both sides would be equal"
        )
    return Layer(site, dict(sorted(found.items())))


def _beneath() -> list[str]:
    """Return where this environment finds packages, Python's own library left out."""
    own = Path(sys.base_prefix) / "lib"
    folders = [Path(entry).resolve() for entry in sys.path if entry and Path(entry).is_dir()]
    kept = (f for f in folders if not f.is_relative_to(own) or f.name.endswith("-packages"))
    return [str(folder) for folder in kept]


def _install(requirements: Path, python: Path) -> None:
    words = [sys.executable, *PIP, str(python), "install", "--quiet", "--requirement"]
    done = subprocess.run(
        [*words, str(requirements)], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        why = next((line for line in said if line.startswith("ERROR")), said[-1] if said else "")
        raise BenchError(f"pip can't install {requirements}: {why.removeprefix('ERROR: ')}")
