"""Export a model as a program of torch's or ONNX's, for any number of items, and compare it."""

from __future__ import annotations

import functools
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from bench.errors import BenchError, NotApplicable, reason_of
from bench.model.copies import copied
from bench.model.differences import difference
from bench.use.made_up import made_up
from bench.use.quiet import quiet, unprinted
from bench.use.scores import Scores

if TYPE_CHECKING:
    from bench.records.checkpoint import Inputs

Format = Literal["torch", "onnx"]
TOLERANCE = 1e-3
"""How far outputs may lie apart, as a share of the largest."""
TRACED, COMPARED = 2, (1, 5, 32)
"""Items that a program is traced with, and that it is asked for afterwards."""
SECONDS, LEAST, MOST = 0.5, 5, 200
"""How long, and how often, each size is timed."""
ONNX_EXTRA = 'ONNX needs onnx, onnxscript and onnxruntime: pip install "trainpairs[onnx]"'
OPERATOR = re.compile(r"(?:torch\.ops\.)?\b(?:aten|prims|quantized|mkldnn)(?:\.|::)\w+(?:\.\w+)?")
FIXED = re.compile(r"^  - (.+?\.)(?:\s|$)", re.MULTILINE)
PLACE = re.compile(r'raised this error:\n  File "([^"\n]+)", line (\d+), in .+\n(.+)')
Ask = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A program beside its model, for one number of items."""

    items: int
    apart: float
    """The largest difference of outputs, as a share of the largest output."""
    model_seconds: float
    """Of one call: the median."""
    program_seconds: float


def exported(model: nn.Module, inputs: Inputs, device: torch.device) -> ExportedProgram:
    """Return a model as torch's program.

    Raises `NotApplicable`, naming the operator, where that can't be.
    """
    rows = made_up(inputs, TRACED).to(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about itself
        model = Scores(copied(model)).eval().requires_grad_(False)
    with torch.no_grad():
        model(rows)  # what follows from the weights alone is kept, and a constant of the graph
    count = torch.export.Dim("items", min=1, max=2**16)
    try:
        with warnings.catch_warnings(), torch.no_grad(), quiet("torch"), unprinted():
            warnings.simplefilter("ignore")
            return torch.export.export(model, (rows,), dynamic_shapes=({0: count},))
    except Exception as error:
        raise NotApplicable(f"torch can't export it: {operator_in(error)}") from error


def save(program: ExportedProgram, path: Path) -> None:
    """Write torch's program; of a path it wants a certain ending."""
    with path.open("wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constants that share memory, which are kept whole
        torch.export.save(program, file)


def check_onnx() -> None:
    """Raise `BenchError` where what ONNX needs is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BenchError(f"{ONNX_EXTRA} ({error.name} is missing)") from None


def to_onnx(program: ExportedProgram, path: Path) -> None:
    """Write a program as ONNX; raise `NotApplicable`, naming the operator, where ONNX has none."""
    try:
        with warnings.catch_warnings(), quiet("torch.onnx"):
            warnings.simplefilter("ignore")
            made = torch.onnx.export(program, dynamo=True, verbose=False)
    except Exception as error:
        raise NotApplicable(f"ONNX can't hold it: {operator_in(error)}") from error
    assert made is not None
    made.save(str(path), external_data=False)


def operator_in(error: BaseException) -> str:
    """Return what an exporter says of its failure, with the operator and the line that it names."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None:
        chain.append(at)
        at = at.__cause__ or at.__context__
    text = " ".join(str(one) for one in chain)
    found = OPERATOR.search(text)
    said = reason_of(chain[0], 200) + "".join(_named(text))
    return f"the operator {found[0]}: {said}" if found and found[0] not in said else said


def _named(text: str) -> Iterator[str]:
    """Yield what an exporter says below its first line: what number was fixed, and where."""
    if fixed := FIXED.search(text):
        yield f" {fixed[1]}"
    if place := PLACE.search(text):
        yield f" ({Path(place[1]).name}, line {place[2]}: {place[3].strip()[:100]})"


def read_program(path: Path, device: torch.device) -> nn.Module:
    """Return torch's program as a module on a device; its reader evaluates texts of the file."""
    from torch.export import passes

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about itself
            program = torch.export.load(file)
    except Exception as error:
        raise BenchError(f"{path} can't be read ({reason_of(error, 100)}); train again") from error
    return passes.move_to_device_pass(program, device).module()


def onnx_asker(path: Path) -> Ask:
    """Return what asks an ONNX file on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def ask(rows: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: rows.numpy()})[0])

    return ask


def compared(model: Ask, program: Ask, inputs: Inputs, device: torch.device) -> list[Agreement]:
    """Ask both for the same rows, in turns, several numbers of items."""
    found = []
    for items in COMPARED:
        rows = made_up(inputs, items, seed=items).to(device)
        with torch.no_grad():
            own, other = model(rows), program(rows)
            if not torch.isfinite(own).any():
                raise NotApplicable("the model answers random items of its data's range with no"
                                    " number, so that nothing can be compared")  # fmt: skip
            asks = [functools.partial(ask, rows) for ask in (model, program)]
            seconds = _timed(asks, device)
        found.append(Agreement(items, apart(own.cpu(), other.cpu()), *seconds))
    return found


def apart(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of two outputs, as a share of the largest of the first.

    Infinities and NaN are the same where both have them, and infinitely far from numbers.
    """
    if one.shape != other.shape:
        raise BenchError(f"the program answers {tuple(other.shape)}, the model {tuple(one.shape)}")
    return difference(one, other)


def close(ones: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Tell whether outputs are the same but for rounding."""
    same = [a.shape == b.shape for a, b in zip(ones, others, strict=False)]
    if len(ones) != len(others) or not all(same):
        return False
    return all(apart(a, b) <= TOLERANCE for a, b in zip(ones, others, strict=True))


def _timed(asks: Sequence[Callable[[], object]], device: torch.device) -> tuple[float, ...]:
    """Return the median seconds of each, called in turns; the first call of each is left out."""
    seconds: list[list[float]] = [[] for _ in asks]
    for turn in range(MOST + 1):
        for ask, own in zip(asks, seconds, strict=True):
            begun = time.perf_counter()
            ask()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            own.append(time.perf_counter() - begun)
        if turn >= LEAST and sum(map(sum, seconds)) > SECONDS * len(asks):
            break
    return tuple(sorted(own[1:])[len(own[1:]) // 2] for own in seconds)
