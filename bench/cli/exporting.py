"""`bench export`: a trained model as a program, held against the model before it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import say
from bench.errors import BenchError
from bench.records.files import appearing

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from bench.use.checkpoint import Loaded
    from bench.use.program import Agreement

ENDINGS = {"torch": "pt2", "onnx": "onnx"}


class Apart(Exception):  # noqa: N818 - an outcome, not a malfunction
    """A program answers otherwise than its model."""


def export_to(
    checkpoint: Path, to: str, output: Path | None, device: str, trust: bool
) -> Iterator[str]:
    """Write the program and yield what was found; raise `Apart`, and keep none, for another model.

    ONNX is asked on the CPU.
    """
    if to not in ENDINGS:
        raise BenchError(f'no form named "{to}"; there are: {", ".join(ENDINGS)}')
    import torch

    from bench.machine.device import choose_device
    from bench.use import program
    from bench.use.checkpoint import load

    if to == "onnx":
        program.check_onnx()
    where = torch.device("cpu" if to == "onnx" else choose_device(device))
    loaded = load(checkpoint, where, trust, say)
    assert loaded.record.inputs is not None  # of what can be loaded
    path = output or checkpoint / f"exported.{ENDINGS[to]}"
    made = program.exported(loaded.model, loaded.record.inputs, where)
    yield f"{loaded.record.recipe.baseline}, recipe {loaded.record.recipe_id}, on {where.type}"
    with appearing(path) as temporary:
        yield from _compared(loaded, made, to, temporary)
    yield f"wrote {path}, {path.stat().st_size / 2**20:.2f} MiB, for any number of items"


def _compared(loaded: Loaded, made: ExportedProgram, to: str, path: Path) -> Iterator[str]:
    from bench.use import program

    if to == "onnx":
        program.to_onnx(made, path)
        ask = program.onnx_asker(path)
    else:
        program.save(made, path)
        ask = program.read_program(path, loaded.device)
    assert loaded.record.inputs is not None
    found = program.compared(loaded.model, ask, loaded.record.inputs, loaded.device)
    yield from _table(found, to)
    largest = max(one.apart for one in found)
    said = f"the largest difference is {largest:.1e} of the largest output"
    if not largest <= program.TOLERANCE:
        raise Apart(f"{said}, beyond the tolerance {program.TOLERANCE:g}: nothing is written")
    yield f"outputs agree: {said}, the tolerance {program.TOLERANCE:g}"


def _table(found: list[Agreement], to: str) -> Iterator[str]:
    yield f"{'items':>6} {'difference':>11} {'model ms':>9} {to + ' ms':>9}"
    for one in found:
        own, other = 1e3 * one.model_seconds, 1e3 * one.program_seconds
        yield f"{one.items:>6} {one.apart:>11.1e} {own:>9.2f} {other:>9.2f}"
