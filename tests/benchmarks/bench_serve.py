"""Load a served checkpoint: latencies and requests a second against single calls; none may be lost.

    python tests/benchmarks/bench_serve.py CHECKPOINT [--requests 400] [--clients 1 8 32]

Starts `bench serve` as a process of its own on a free port of loopback, asks it from threads that
each keep a connection open, ends it with SIGTERM in the midst of a last burst, and compares with
the model called in this process, one item after the other. How fast the exported programs are is
told by `bench export CHECKPOINT --to torch`, and onnx, beside the model.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

from bench.deployment import Item
from bench.use.checkpoint import Loaded, load

ROW = "{:>8} {:>9} {:>7} {:>8} {:>8} {:>8} {:>11}"


def main() -> None:
    options = _options()
    loaded = load(options.checkpoint, torch.device("cpu"))
    body = json.dumps({"values": _values(loaded)})
    item = loaded.use.take(np.array(json.loads(body)["values"], np.float32))
    print(ROW.format("clients", "requests", "lost", "p50 ms", "p95 ms", "p99 ms", "requests/s"))
    _print("model", options.requests, 0, *_alone(loaded, item, options.requests))
    server, port = _started(options.checkpoint)
    try:
        _burst(port, body, 1, 10)
        for clients in options.clients:
            seconds, lost, whole = _burst(port, body, clients, options.requests)
            _print(str(clients), options.requests, lost, seconds, whole)
        _print_end(server, port, body)
    finally:
        server.kill()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    return parser.parse_args()


def _values(loaded: Loaded) -> object:
    """Return random values of an item, as the model's own shape has them."""
    assert loaded.record.inputs is not None
    random = np.random.default_rng(0)
    name, shape = loaded.record.recipe.baseline, loaded.record.inputs.shape
    if name == "timehut":
        return random.normal(size=shape[::-1]).tolist()
    if name == "xray":
        return random.integers(0, 256, shape[1:]).tolist()
    if name == "murmur":
        return random.integers(-9000, 9000, 16_000).tolist()
    return (random.normal(size=shape) / 4).tolist()


def _alone(loaded: Loaded, item: Item, count: int) -> tuple[list[float], float]:
    seconds = []
    with torch.inference_mode():
        for _ in range(count):
            begun = time.perf_counter()
            loaded.use.answer(loaded.model(item.rows))
            seconds.append(time.perf_counter() - begun)
    return seconds, sum(seconds)


def _started(checkpoint: Path) -> tuple[subprocess.Popen[str], int]:
    command = [str(Path(sys.executable).parent / "bench"), "serve", str(checkpoint), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())
    assert found, "the server said no address"
    return server, int(found[1])


def _burst(port: int, body: str, clients: int, count: int) -> tuple[list[float], int, float]:
    """Ask from several clients; return the seconds, how many were lost, and the whole's seconds."""
    seconds, lost = list[float](), list[str]()

    def client(own: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(own):
            begun = time.perf_counter()
            try:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except OSError as error:
                lost.append(str(error))
                continue
            if answer.status == 200:
                seconds.append(time.perf_counter() - begun)
            else:
                lost.append(str(answer.status))
        connection.close()

    shares = [count // clients + (number < count % clients) for number in range(clients)]
    threads = [threading.Thread(target=client, args=(share,)) for share in shares]
    begun = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return seconds, len(lost), time.perf_counter() - begun


def _print(who: str, count: int, lost: int, seconds: list[float], whole: float) -> None:
    places = np.percentile(np.array(seconds) * 1e3, (50, 95, 99))
    rate = f"{len(seconds) / whole:.1f}"
    print(ROW.format(who, count, lost, *(f"{one:.2f}" for one in places), rate))


def _print_end(server: subprocess.Popen[str], port: int, body: str) -> None:
    """End the server while 16 requests are on their way; what it took on it has to answer."""
    found: list[tuple[list[float], int, float]] = []
    burst = threading.Thread(target=lambda: found.append(_burst(port, body, 16, 16)))
    burst.start()
    time.sleep(0.05)
    server.send_signal(signal.SIGTERM)
    burst.join()
    code = server.wait(60)
    answered, lost = len(found[0][0]), found[0][1]
    print(f"SIGTERM among 16 requests: {answered} answered, {lost} refused, exit code {code}")


if __name__ == "__main__":
    main()
