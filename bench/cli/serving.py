"""`bench serve`: a trained model over HTTP, until it is told to end."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import say, tell
from bench.errors import BenchError

if TYPE_CHECKING:
    import uvicorn

EXTRA = 'serving needs fastapi, uvicorn and more: pip install "trainpairs[serve]"'
GRACE_SECONDS = 30
"""How long an end waits for requests that were begun."""


def serve_at(
    checkpoint: Path, host: str, port: int, most: tuple[float, float, int], device: str, trust: bool
) -> None:
    """Serve a checkpoint until SIGINT or SIGTERM, and finish what was begun."""
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn

        from bench.use.server import Limits, application
    except ImportError as error:
        raise BenchError(f"{EXTRA} ({error.name} is missing)") from None
    import torch

    from bench.machine.device import choose_device
    from bench.use.checkpoint import load
    from bench.use.row_by_row import check_row_by_row

    megabytes, seconds, batch = most
    loaded = load(checkpoint, torch.device(choose_device(device)), trust, say)
    check_row_by_row(loaded)
    limits = Limits(megabytes, seconds, batch)
    listening = listening_at(host, port)
    config = uvicorn.Config(
        application(loaded, limits), log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )  # fmt: skip
    address = f"http://{host}:{listening.getsockname()[1]}"
    tell(f"serving {loaded.record.recipe.baseline} at {address}; {address}/docs describes it")
    _run(uvicorn.Server(config), listening)
    tell("all that was begun is answered; ended")


def listening_at(host: str, port: int) -> socket.socket:
    """Return a socket whose connections send at once: an answer is two writes, its head and body.

    Left to itself the second waits until the first is acknowledged, which takes 40 ms on Linux.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=2048)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while")[0]
        raise BenchError(f"can't listen at {host}, port {port}: {why}; give another --port, or"
                         " --host") from None  # fmt: skip


def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Run the server until a signal: uvicorn raises it again at its end, and it ends no process."""

    def end(number: int, frame: object) -> None:
        server.should_exit = True

    before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        for one, handler in before.items():
            signal.signal(one, handler)
