"""Answer simultaneous requests together: what waits while the model runs is its next batch.

Nothing waits for others to come: a lone request is answered at once, and the busier the model is,
the larger its batches are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

Ask = Callable[[Tensor], Tensor]
Told = Callable[[int, float], None]
"""Told after each batch how many rows it had, and how many seconds it took."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Rows of one request, and where their outputs are waited for."""

    rows: Tensor
    outputs: asyncio.Future[Tensor]


class Batcher:
    """Asks a model, in a thread of its own, one batch after the other."""

    def __init__(self, ask: Ask, most_rows: int, most_waiting: int, told: Told) -> None:
        self._ask, self._most_rows, self._told = ask, most_rows, told
        self._queue: asyncio.Queue[Waiting | None] = asyncio.Queue(most_waiting)
        self._pool = ThreadPoolExecutor(1, "model")
        self._kept: Waiting | None = None

    async def outputs(self, rows: Tensor) -> Tensor:
        """Return the model's outputs for rows; raise `asyncio.QueueFull` where too many wait."""
        waiting = Waiting(rows, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        return await waiting.outputs

    async def work(self) -> None:
        """Answer until `close`, and then what waits still."""
        loop = asyncio.get_running_loop()
        while (batch := await self._next()) is not None:
            wanted = [one for one in batch if not one.outputs.done()]
            if not wanted:
                continue
            rows = torch.cat([one.rows for one in wanted])
            begun = loop.time()
            try:
                found = await loop.run_in_executor(self._pool, self._ask, rows)
            except Exception as error:  # noqa: BLE001 - each of its requests is told
                for one in wanted:
                    if not one.outputs.done():
                        one.outputs.set_exception(error)
                continue
            self._told(len(rows), loop.time() - begun)
            parts = torch.split(found, [len(one.rows) for one in wanted])
            for one, own in zip(wanted, parts, strict=True):
                if not one.outputs.done():
                    one.outputs.set_result(own)

    async def close(self) -> None:
        """Let `work` end, once all that waits is answered."""
        await self._queue.put(None)

    async def _next(self) -> list[Waiting] | None:
        """Return what goes together: the first that waits, and others of its shape behind it."""
        first = self._kept or await self._queue.get()
        self._kept = None
        if first is None:
            self._pool.shutdown(wait=False)
            return None
        batch, count = [first], len(first.rows)
        while not self._queue.empty():
            one = self._queue.get_nowait()
            if one is None:
                self._queue.put_nowait(None)
                break
            fits = one.rows.shape[1:] == first.rows.shape[1:]
            if not fits or count + len(one.rows) > self._most_rows:
                self._kept = one
                break
            batch.append(one)
            count += len(one.rows)
        return batch
