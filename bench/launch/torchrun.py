"""Run a function in several processes that find each other, by the elastic agent of torchrun.

They meet on loopback, at a free port. One that ends otherwise than by returning ends all.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NoReturn

from bench.errors import BenchError, NotApplicable, reason_of
from bench.machine.environment import usable_cores
from bench.machine.processes import die_with_parent

LOOPBACK = "127.0.0.1"
INTERFACE = "lo0" if sys.platform == "darwin" else "lo"
LOOK_SECONDS = 0.1
CULPRIT_SECONDS = 1.0
"""A process that failed stays so long: where that came of another's end, the agent sees that one
first, and ends this one meanwhile."""
STOPPED_SECONDS = "5"
"""How long the agent waits for one that it has told to end."""

Ending = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT


class ProcessEnded(Exception):  # noqa: N818 - what was seen of a process
    """One of the processes ended before it had returned, and the others were ended for it."""

    def __init__(self, rank: int, size: int, code: int, said: str = "") -> None:
        self.rank, self.size, self.code = rank, size, code
        self.said = said
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        super().__init__(f"process {rank} of {size} {how}")


def check_machine(size: int, device: str) -> None:
    """Raise `NotApplicable` where a machine has not a device, or a core, for each process."""
    if device == "cuda":
        import torch

        there, what = torch.cuda.device_count(), "CUDA devices"
    else:
        there, what = usable_cores(), "CPU cores"
    if there < size:
        raise NotApplicable(f"{size} processes need as many {what}, and there are {there}")


def threads_of_each(size: int, threads: int) -> int:
    """Return the threads of each process: as many as one has alone, as far as there are cores."""
    return threads if size == 1 else max(1, min(threads, usable_cores() // size))


def together(
    size: int, device: str, run: Callable[..., Any], arguments: Sequence[Any], folder: Path,
    silent_seconds: float, method: Literal["fork", "spawn"] = "spawn",
) -> dict[int, Any]:  # fmt: skip
    """Call ``run(*arguments)`` in each process of a group; return what it gives, by rank.

    `folder` takes what they leave: where each one was when it was ended. One that doesn't answer
    the others for `silent_seconds` makes these fail. Raises `ProcessEnded`.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("GLOO_SOCKET_IFNAME", INTERFACE)
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # this process must not touch CUDA itself
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = STOPPED_SECONDS
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=size, run_id=uuid.uuid4().hex, max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint=f"{LOOPBACK}:0", local_addr=LOOPBACK,
        monitor_interval=LOOK_SECONDS, start_method=method,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
    )  # fmt: skip
    log = logging.getLogger("torch.distributed.elastic")
    before = log.level
    log.setLevel(logging.CRITICAL)  # what ended, and why, is said here
    try:
        found: dict[int, Any] = elastic_launch(config, _enter)(
            run, device, str(folder), silent_seconds, *arguments
        )
    except ChildFailedError as error:
        rank, failure = next(iter(error.failures.items()))
        said = _file(folder, "reason", rank)
        why = said.read_text() if said.exists() else ""
        raise ProcessEnded(rank, size, failure.exitcode, why) from None
    except SignalException as error:
        raise KeyboardInterrupt from error
    finally:
        log.setLevel(before)
    return found


def end_as_failed() -> NoReturn:
    """End this process so that the others are ended too, with what it has printed written out."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(CULPRIT_SECONDS)
    os._exit(1)


def place_of(folder: Path, rank: int) -> str | None:
    """Return where a process was when it was ended, as ``file.py, line 3, in loss``."""
    lines = told_by(folder, rank).splitlines()
    frames = [line.strip() for line in lines if line.strip().startswith("File ")]
    return frames[0].removeprefix("File ").replace('"', "") if frames else None


def told_by(folder: Path, rank: int) -> str:
    """Return the traceback that a process wrote when it was ended."""
    path = _file(folder, "traceback", rank)
    return path.read_text(errors="replace") if path.exists() else ""


def _file(folder: Path, what: str, rank: int) -> Path:
    return folder / f"{what}-{rank}.txt"


def _enter(
    run: Callable[..., Any], device: str, folder: str, silent_seconds: float, *arguments: Any
) -> Any:
    """Join the group and run; the first function of each of its processes."""
    die_with_parent()
    for number in Ending:  # at once, even where C code runs; the agent's own handlers are inherited
        signal.signal(number, signal.SIG_DFL)
    rank = int(os.environ["RANK"])
    with _file(Path(folder), "traceback", rank).open("w") as file:
        faulthandler.register(signal.SIGTERM, file=file, all_threads=False, chain=True)
        try:
            with _joined(device, silent_seconds):
                return run(*arguments)
        except Exception as error:  # noqa: BLE001 - told, and passed on by the process's end
            if not isinstance(error, BenchError):
                traceback.print_exc()
            said = str(error) if isinstance(error, BenchError) else reason_of(error)
            _file(Path(folder), "reason", rank).write_text(said)
            end_as_failed()


@contextmanager
def _joined(device: str, silent_seconds: float) -> Iterator[None]:
    """Meet the other processes; what lies on CUDA is exchanged by nccl, all else by gloo."""
    import torch

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
        timeout=timedelta(seconds=silent_seconds),
    )
    yield
    torch.distributed.destroy_process_group()  # not after an error: others may not answer
