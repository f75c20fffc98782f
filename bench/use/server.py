"""Serve a trained model over HTTP: one application, made of a loaded checkpoint."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from torch import Tensor

from bench import __version__
from bench.deployment import Item
from bench.errors import BenchError
from bench.use import requests
from bench.use.batching import Batcher
from bench.use.checkpoint import Loaded
from bench.use.described import METRICS_SCHEMA, facts_of, predict_schema
from bench.use.meters import Meters
from bench.use.page import page

JSON, FORM = "application/json", "multipart/form-data"
MOST_FILES = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for."""

    megabytes: float = 16.0
    """Of a body."""
    seconds: float = 30.0
    """From a request's beginning to its answer."""
    batch: int = 32
    """Rows that the model is called with at once."""
    waiting: int = 256
    """Requests that may wait for the model."""


def application(loaded: Loaded, limits: Limits) -> FastAPI:
    """Return the application of a checkpoint."""
    meters = Meters()
    desk = Desk(loaded, limits, meters)
    app = FastAPI(
        title=f"bench serve: {loaded.record.recipe.baseline}", version=__version__,
        description=f"A trained model of recipe {loaded.record.recipe_id}.",
        lifespan=desk.lifespan, docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.middleware("http")(_counted(meters))
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(BenchError)(_mistaken)

    @app.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def docs(request: Request) -> str:
        return page(app.openapi(), facts_of(loaded), str(request.base_url).rstrip("/"))

    @app.get("/health", summary="Tell that requests are answered")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/model", summary="Tell the recipe, the metric, and what an item is")
    def model() -> dict[str, Any]:
        return facts_of(loaded)

    @app.get(
        "/metrics",
        summary="Counters, as OpenMetrics",
        response_class=Response,
        **METRICS_SCHEMA,
    )
    def metrics() -> Response:
        content, kind = meters.text()
        return Response(content, media_type=kind)

    @app.post("/predict", summary="Answer items", **predict_schema(loaded))
    async def predict(request: Request) -> dict[str, Any]:
        return await desk.answered(request)

    return app


class Desk:
    """Takes requests in, has them answered in batches, and finishes what it began."""

    def __init__(self, loaded: Loaded, limits: Limits, meters: Meters) -> None:
        self._loaded, self._limits, self._meters = loaded, limits, meters
        self._batcher: Batcher

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Answer for as long as the application is up; end when nothing waits any more."""
        limits = self._limits
        self._batcher = Batcher(self._outputs, limits.batch, limits.waiting, self._meters.batch)
        working = asyncio.create_task(self._batcher.work())
        yield
        await self._batcher.close()
        await working

    async def answered(self, request: Request) -> dict[str, Any]:
        """Return the answers to a request's items."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                items = await self._items(request)
                found = await asyncio.gather(*map(self._answer, items))
        except TimeoutError:
            seconds = f"{self._limits.seconds:g} s"
            raise HTTPException(503, f"no answer within {seconds}; try again later") from None
        except asyncio.QueueFull:
            raise HTTPException(503, "too many requests are waiting; try again later") from None
        return {"answers": found}

    async def _answer(self, item: Item) -> dict[str, Any]:
        parts = torch.split(item.rows, self._limits.batch)
        outputs = [await self._batcher.outputs(part) for part in parts]
        answer = self._loaded.use.answer(torch.cat(outputs))
        return {
            "name": item.name, "labels": list(answer.labels), "scores": dict(answer.scores),
            "scores_are": answer.scores_are,
        }  # fmt: skip

    def _outputs(self, rows: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = self._loaded.model(rows.to(self._loaded.device)).cpu()
        return found

    async def _items(self, request: Request) -> list[Item]:
        use, kind = self._loaded.use, request.headers.get("content-type", "").partition(";")[0]
        body = await self._body(request)
        if kind.strip().lower() == JSON:
            return await asyncio.to_thread(requests.of_json, body, use)
        if kind.strip().lower() == FORM:
            return await asyncio.to_thread(requests.of_files, await _files(request, body), use)
        raise HTTPException(415, f"the content type is {kind or 'not given'}; send {JSON}, or files"
                                 f" as {FORM}")  # fmt: skip

    async def _body(self, request: Request) -> bytes:
        """Return a body, read no further than it may be long."""
        most, chunks, there = int(self._limits.megabytes * 2**20), list[bytes](), 0
        try:
            async for chunk in request.stream():
                there += len(chunk)
                if there > most:
                    raise HTTPException(413, f"the body is over {self._limits.megabytes:g} MiB")
                chunks.append(chunk)
        except ClientDisconnect:
            raise HTTPException(400, "the body ended before all of it was there") from None
        return b"".join(chunks)


async def _files(request: Request, body: bytes) -> list[tuple[str, bytes]]:
    """Return the names of a form's files and what they hold."""

    async def again() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        form = await Request(request.scope, again).form(max_files=MOST_FILES, max_fields=MOST_FILES)
    except HTTPException as error:  # of the parser's, whose status is none of ours
        raise BenchError(f"the form can't be read: {error.detail}") from None
    found = [
        (part.filename or "", await part.read())
        for _, part in form.multi_items()
        if isinstance(part, UploadFile)
    ]
    await form.close()
    if not found:
        raise BenchError("the form holds no file")
    return found


Next = Callable[[Request], Awaitable[Response]]


def _counted(meters: Meters) -> Callable[[Request, Next], Awaitable[Response]]:
    """Return a middleware that counts and times requests; what fails here is ours, and logged."""

    async def counted(request: Request, call_next: Next) -> Response:
        begun = perf_counter()
        try:
            response = await call_next(request)
        except Exception:  # noqa: BLE001 - a client gets one sentence, the log all
            traceback.print_exc(file=sys.stderr)
            response = _said(500, "the model failed on this; the server's log says how")
        route = request.scope.get("route")
        path = getattr(route, "path", "other")
        meters.request(path, response.status_code, perf_counter() - begun)
        return response

    return counted


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _said(error.status_code, str(error.detail), error.headers)


async def _mistaken(request: Request, error: Exception) -> JSONResponse:
    return _said(422, " ".join(str(error).split()))


def _said(status: int, sentence: str, headers: Any = None) -> JSONResponse:
    return JSONResponse(json.loads(json.dumps({"detail": sentence})), status, headers)
