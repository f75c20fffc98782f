"""What a server counts of itself, as OpenMetrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Meters:
    """Counters and histograms of one server."""

    def __init__(self) -> None:
        self._all = CollectorRegistry()
        self._seconds = Histogram(
            "bench_request_seconds", "From a request to its answer", ["path"],
            buckets=SECONDS, registry=self._all,
        )  # fmt: skip
        self._requests = Counter(
            "bench_requests", "Requests by what was answered", ["path", "status"],
            registry=self._all,
        )  # fmt: skip
        self._rows = Histogram(
            "bench_batch_rows", "Rows that the model was called with at once",
            buckets=ROWS, registry=self._all,
        )  # fmt: skip
        self._model = Histogram(
            "bench_model_seconds", "One call of the model", buckets=SECONDS, registry=self._all
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """Count a call of the model."""
        self._rows.observe(rows)
        self._model.observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """Return all of it, and its content type."""
        made: bytes = generate_latest(self._all)  # type: ignore[no-untyped-call]  # the library's
        return made, CONTENT_TYPE_LATEST
