"""Run a baseline's rival once, in a fresh process."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from typing import Any, NamedTuple

from bench.errors import BenchError
from bench.recipes import registry
from bench.recipes.resolve import prepared


class Scored(NamedTuple):
    """What a rival reaches, and what its fit takes."""

    metric: float
    seconds: float


def scored(call: str, baseline: str, settings: dict[str, Any], timeout_seconds: float) -> Scored:
    """Run ``module:function`` on a baseline's data; raise `BenchError` where it gives nothing."""
    words = [sys.executable, "-m", "bench.launch.rival", call, baseline, json.dumps(settings)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_seconds,
                              env=os.environ, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BenchError(f"the rival took more than {timeout_seconds:g} s") from None
    last = (done.stdout.strip() or done.stderr.strip() or "it said nothing").splitlines()[-1]
    if done.returncode:
        raise BenchError(f"the rival failed: {last[:300]}")
    found = json.loads(last)
    if not all(math.isfinite(found[name]) for name in Scored._fields):
        raise BenchError(f"the rival gives no finite metric and seconds: {last[:300]}")
    return Scored(found["metric"], found["seconds"])


def main(call: str, reference: str, settings: str) -> None:
    """Run a rival in this process and print what it reached."""
    module, _, name = call.partition(":")
    baseline = registry.load_baseline(reference)
    resolved, _ = prepared(baseline, json.loads(settings))
    metric, seconds = getattr(importlib.import_module(module), name)(resolved)
    print(json.dumps({"metric": float(metric), "seconds": float(seconds)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
