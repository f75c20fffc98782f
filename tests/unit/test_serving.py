"""A server answers what is asked at once together, loses nothing, and says what is wrong."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.cli.serving import listening_at
from bench.errors import BenchError
from bench.use.batching import Batcher

Sizes = list[int]


def together(ask: Callable[[Tensor], Tensor], rows: list[Tensor], most: int) -> tuple[Any, Sizes]:
    """Ask for all rows at once; return what each was answered, and how large batches were."""
    sizes: Sizes = []

    async def run() -> list[Any]:
        batcher = Batcher(ask, most, 100, lambda rows, seconds: sizes.append(rows))
        working = asyncio.create_task(batcher.work())
        asked = [asyncio.create_task(batcher.outputs(one)) for one in rows]
        await asyncio.sleep(0)
        await batcher.close()
        await working
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(run()), sizes


def test_what_waits_is_asked_together_and_each_gets_its_own() -> None:
    rows = [torch.full((1, 2), float(number)) for number in range(10)]
    found, sizes = together(lambda batch: batch * 2, rows, most=4)
    assert [float(one[0, 0]) for one in found] == [2.0 * number for number in range(10)]
    assert sum(sizes) == 10
    assert max(sizes) == 4


def test_items_of_other_shapes_are_asked_apart() -> None:
    rows = [torch.ones(1, 2), torch.ones(1, 3), torch.ones(2, 3)]
    found, sizes = together(lambda batch: batch.sum(1), rows, most=8)
    assert [one.tolist() for one in found] == [[2.0], [3.0], [3.0, 3.0]]
    assert sizes == [1, 3]


def test_a_batch_that_fails_is_told_to_each_and_the_next_is_answered() -> None:
    def ask(batch: Tensor) -> Tensor:
        if batch.shape[1] == 2:
            raise RuntimeError("no")
        return batch

    found, _ = together(ask, [torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 3)], most=8)
    assert [type(one) for one in found] == [RuntimeError, RuntimeError, Tensor]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a client of a served model that was never trained."""
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    pytest.importorskip("python_multipart")
    from fastapi.testclient import TestClient

    from bench.records.recipe import Recipe
    from bench.use import checkpoint
    from bench.use.server import Limits, application
    from tests.unit.test_use import CPU, SETTINGS, write

    folder = tmp_path_factory.mktemp("served") / "checkpoint"
    write(folder, Recipe(baseline="timehut", settings=SETTINGS["timehut"]), lambda model: model)
    limits = Limits(megabytes=0.01, seconds=20)
    with TestClient(application(checkpoint.load(folder, CPU), limits)) as made:
        yield made


SERIES = {"values": [[float(number % 5) for number in range(24)]]}


def test_a_served_model_answers_values_and_files_alike(client: Any) -> None:
    plain = client.post("/predict", json=SERIES)
    assert plain.status_code == 200, plain.text
    line = ",".join(map(str, SERIES["values"][0])).encode()
    filed = client.post("/predict", files=[("files", ("a.ts", line))])
    assert filed.status_code == 200, filed.text
    (one,), (other,) = plain.json()["answers"], filed.json()["answers"]
    assert one["labels"] == other["labels"]
    assert set(one["scores"]) == {"1", "2"}
    assert one["scores_are"] == "margins of the SVM"


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "not JSON"),
        ({"json": {"values": [[1, 2]], "more": 1}}, 422, "and nothing else"),
        ({"json": {"values": [[1, 2], [3, 4]]}}, 422, "has 2 channels"),
        ({"content": b"1,2", "headers": {"content-type": "text/csv"}}, 415, "text/csv"),
        ({"content": b"x" * 20_000, "headers": {"content-type": "application/json"}}, 413, "MiB"),
        ({"files": [(f"{n}", (None, "1")) for n in range(9)]}, 422, "form can't be read: Too many"),
        (
            {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422,
            "the form can't be read: Missing boundary",
        ),
        ({"files": [("files", ("a.exe", b"1"))]}, 422, "a.exe can't be read: give a .ts file"),
        ({"files": [("files", ("a.ts", b"1,x"))]}, 422, "'x' is no number"),
        ({"files": [("files", ("a.ts", b"1,2"))] * 2}, 422, "two files are named a.ts"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_sentence(
    client: Any, sent: dict[str, Any], status: int, said: str
) -> None:
    found = client.post("/predict", **sent)
    assert found.status_code == status, found.text
    assert said in found.json()["detail"]
    assert "\n" not in found.json()["detail"]
    assert "Traceback" not in found.text


def test_a_client_that_goes_away_is_no_failure_of_the_model(
    client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"",
             "headers": [(b"content-type", b"application/json")]}  # fmt: skip
    asyncio.run(client.app(scope, receive, send))
    assert [one["status"] for one in sent if "status" in one] == [400]
    assert capsys.readouterr().err == ""


def test_simultaneous_requests_are_all_answered_and_counted(client: Any) -> None:
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(client.post("/predict", json=SERIES).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert statuses == [200] * 8
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert metrics.text.endswith("# EOF\n")
    assert 'bench_requests_total{path="/predict",status="200"}' in metrics.text
    assert "bench_batch_rows_bucket" in metrics.text


def test_a_server_tells_what_it_serves(client: Any) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    model = client.get("/model").json()
    assert model["metric"] == "accuracy"
    assert model["labels"] == ["1", "2"]
    assert "data_dir" not in model["recipe"]["settings"]
    described = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    assert set(described["content"]) == {"application/json", "multipart/form-data"}
    metrics = client.get("/openapi.json").json()["paths"]["/metrics"]["get"]["responses"]["200"]
    assert set(metrics["content"]) == {"application/openmetrics-text"}
    page = client.get("/docs").text
    assert "POST /predict" in page
    assert not re.search(r"<script|(src|href)=.?https?:", page), "it opens without a network"


def test_a_connection_sends_its_answer_at_once() -> None:
    with listening_at("127.0.0.1", 0) as here, socket.create_connection(here.getsockname()):
        there, _ = here.accept()
        with there:
            assert there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_missing_extra_is_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from bench.cli.serving import serve_at

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(BenchError, match=r'pip install "trainpairs\[serve\]" \(.* is missing\)'):
        serve_at(tmp_path, "127.0.0.1", 0, (1.0, 1.0, 1), "cpu", False)
