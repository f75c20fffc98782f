"""Hold `bench` to its promises on a GPU: one command, under ten minutes, one table.

    python -m tests.on_cuda                    # on the GPU
    python -m tests.on_cuda --device cpu       # a dry run: what needs CUDA says so

It needs nothing but torch with CUDA and this checkout: its jobs make their own data. A line says
ok, n/a (with the reason), FAIL, or late: the minutes were over. Exits with 1 where one says FAIL.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.errors import BenchError, NotApplicable
from bench.recipes import registry
from bench.testing import CachedCase, keeps_its_promises, refusal
from bench.trial.training import StepLimit, train
from tests.contract.cases import AT_ONCE, SMALL

HERE = Path(__file__).resolve().parent
BENCH = [sys.executable, "-m", "bench"]
PICTURES, CONV_NET = f"{HERE / 'pictures.py'}:Pictures", f"{HERE / 'jobs.py'}:ConvNet"
LANGUAGE = f"{HERE / 'models' / 'causal_lm.py'}:CausalLM"
LAST = ("compile",)
"""What takes longest."""
LATE_SECONDS = 530
FULL_BUDGET = "80s"
Outcome = tuple[str, str]


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    name: str
    do: Callable[[torch.device], str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--only", default="", help="checks whose names hold this")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device; --device cpu is a dry run")
    device = torch.device(options.device)
    begun, failed = time.monotonic(), 0
    print(f"torch {torch.__version__}, {_called(device)}")
    for check in checks():
        if options.only not in check.name:
            continue
        at = time.monotonic()
        verdict, said = _outcome(check, device, at - begun)
        failed += verdict == "FAIL"
        print(f"{verdict:<5}{check.name:<44}{time.monotonic() - at:>6.1f} s  {said}", flush=True)
    print(f"{failed} failed, {time.monotonic() - begun:.0f} s in all")
    sys.exit(1 if failed else 0)


def checks() -> Iterator[Check]:
    """Yield what is checked: cheap and telling first."""
    yield Check("time by events against wall", events_and_wall)
    yield Check("allocator statistics", allocator)
    yield Check("fp16 with scaler and clipping", half_precision)
    yield Check("CUDA graphs", graphs)
    yield Check("out of memory is recovered from", out_of_memory)
    yield Check("a script on a GPU is no CPU's", another_device)
    names = sorted(registry.names(registry.TECHNIQUES), key=lambda name: (name in LAST, name))
    quick = [name for name in names if name not in LAST]
    yield from (Check(f"promises of {name}", promises(name)) for name in quick)
    yield Check("full optimisation of a conv net", full(CONV_NET))
    yield Check("full optimisation of a language model", full(LANGUAGE))
    yield from (Check(f"promises of {name}", promises(name)) for name in names if name in LAST)


def _outcome(check: Check, device: torch.device, seconds: float) -> Outcome:
    if seconds > LATE_SECONDS:
        return "late", ""
    try:
        return "ok", check.do(device)
    except NotApplicable as reason:
        return "n/a", str(reason)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the others are checked all the same
        if not isinstance(error, AssertionError | BenchError):
            traceback.print_exc()
        return "FAIL", " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _called(device: torch.device) -> str:
    if device.type != "cuda":
        return "a dry run on the CPU"
    major, minor = torch.cuda.get_device_capability(device)
    gibibytes = torch.cuda.get_device_properties(device).total_memory / 2**30
    return f"{torch.cuda.get_device_name(device)}, {gibibytes:.0f} GiB, capability {major}.{minor}"


def _needs_cuda(device: torch.device) -> None:
    if device.type != "cuda":
        raise NotApplicable("needs a CUDA device")


def case_on(device: torch.device, baseline: str = PICTURES, **settings: object) -> CachedCase:
    """Return a small job with something in it for every technique."""
    return CachedCase(baseline, {"epochs": 2, **settings}, device)


def promises(name: str) -> Callable[[torch.device], str]:
    """Return a check that a technique keeps all its promises, on a job that it applies to."""
    asked = {**AT_ONCE, "smaller-input": "smaller-input:multiple=4"}.get(name, name)

    def check(device: torch.device) -> str:
        cases = {
            "pictures": case_on(device),
            "pictures, augmented": case_on(device, augmentation="noise"),
            "pictures, frozen": case_on(device, frozen=True),
            "conv net": case_on(device, CONV_NET),
            "timehut": case_on(device, "timehut", **{**SMALL["timehut"], "epochs": 2}),
        }
        reasons = []
        for what, case in cases.items():
            reason = refusal(case, asked)
            if reason is None:
                keeps_its_promises(case, asked)
                return f"on {what}"
            reasons.append(reason)
        raise NotApplicable(reasons[0])

    return check


def events_and_wall(device: torch.device) -> str:
    """Hold what the clock says of a training to the wall around it."""
    job = case_on(device).job()
    train(job, StepLimit(steps=5, seconds=0))
    job = case_on(device, epochs=40).job()
    begun = time.perf_counter()
    found = train(job, StepLimit(steps=300, seconds=0, most_steps=300))
    wall = time.perf_counter() - begun
    share = found.timeline.seconds / wall
    assert 0.7 <= share <= 1.01, f"the clock counted {share:.3f} of the wall's {wall:.3f} s"
    return f"{found.timeline.seconds:.3f} s of {wall:.3f} s in {len(found.timeline.steps)} steps"


def allocator(device: torch.device) -> str:
    """Hold the recorded peaks to each other, and to what a job can't do without."""
    _needs_cuda(device)
    once = ("--baseline-only", "--repeats", "1")
    record = _trials("--baseline", PICTURES, *once, device=device)[0]
    allocated, reserved = record["peak_allocated_bytes"], record["peak_reserved_bytes"]
    assert record["status"] == "ok", record["reason"]
    assert record["model_bytes"] * 3 <= allocated <= reserved, (allocated, reserved)
    return f"{allocated / 2**20:.1f} MiB allocated, {reserved / 2**20:.1f} MiB reserved"


def half_precision(device: torch.device) -> str:
    """Train in fp16 with a scaler, gradients clipped after it was taken out of them."""
    from dataclasses import replace

    job = replace(case_on(device).job("mixed-precision:precision=fp16"), clip=0.5)
    found = train(job, StepLimit(steps=20, seconds=0, most_steps=20))
    assert all(map(math.isfinite, found.losses)), found.losses
    plain = train(replace(case_on(device).job(), clip=0.5), StepLimit(20, 0, 20))
    apart = max(abs(a - b) / abs(b) for a, b in zip(found.losses[:5], plain.losses, strict=False))
    assert apart < 0.05, f"the first losses are {apart:.3f} from float32's"
    return f"first losses within {apart:.1e} of float32's"


def graphs(device: torch.device) -> str:
    """Train what is compiled into CUDA graphs as the plain model is."""
    _needs_cuda(device)
    found = train(case_on(device).job("compile:mode=reduce-overhead"), StepLimit(20, 0, 20))
    plain = train(case_on(device).job(), StepLimit(20, 0, 20))
    apart = max(abs(a - b) / abs(b) for a, b in zip(found.losses[:5], plain.losses, strict=False))
    assert apart < 0.05, f"the first losses are {apart:.3f} from the plain model's"
    return f"first losses within {apart:.1e}"


def out_of_memory(device: torch.device) -> str:
    """See that a trial which asks for too much says so, and the next one is measured."""
    _needs_cuda(device)
    own = HERE / "too_much.py"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / own.name
        path.write_text(
            "import torch\n"
            "from bench.technique import Effect, Stage, Technique\n"
            "class TooMuch(Technique):\n"
            "    name = 'too-much'; stage = Stage.DATA; effect = Effect.LEARNING\n"
            "    def apply(self, job):\n"
            "        def wrapper(old):\n"
            "            def loss(model, batch):\n"
            "                torch.empty(2**45, dtype=torch.uint8, device=job.device)\n"
            "                return old(model, batch)\n"
            "            return loss\n"
            "        return job.wrap('loss', wrapper, by=self.name)\n"
        )
        found = _trials(
            "--baseline", PICTURES, "--test", f"{path}:TooMuch", "fused-optimizer",
            "--repeats", "1", device=device,
        )  # fmt: skip
    said = {one["arm"]: one["status"] for one in found}
    assert said.get("too-much") == "out_of_memory", said
    assert said.get("baseline") == "ok", said
    return "; ".join(f"{arm}: {status}" for arm, status in said.items())


def another_device(device: torch.device) -> str:
    """See that a script which trains on the GPU is not measured by the CPU's clock."""
    _needs_cuda(device)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "takes.py").write_text(
            "import torch\nmodel = torch.nn.Linear(2, 1).cuda()\n"
            "optimizer = torch.optim.SGD(model.parameters(), 0.1)\nfor _ in range(20):\n"
            "    model(torch.ones(4, 2).cuda()).sum().backward()\n    optimizer.step()\n"
        )
        done = subprocess.run(
            [*BENCH, "script", "takes.py", "--device", "cpu", "--quiet"], cwd=folder, check=False,
            capture_output=True, text=True, timeout=300,
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        )  # fmt: skip
    assert done.returncode == 2, done.stderr[-300:]
    assert "the script trains on cuda" in done.stderr, done.stderr[-300:]
    return done.stderr.strip().splitlines()[-1]


def full(baseline: str) -> Callable[[torch.device], str]:
    """Return a check that no trial of a whole optimisation fails; say what it exported."""

    def check(device: torch.device) -> str:
        with tempfile.TemporaryDirectory() as folder:
            done = _bench(
                folder, "--baseline", baseline, "--full-optimization", "--budget", FULL_BUDGET,
                device=device,
            )  # fmt: skip
            assert done.returncode in (0, 3), done.stderr[-300:]
            (run,) = Path(folder).iterdir()
            statuses = [json.loads(line)["status"] for line in (run / "trials.jsonl").open()]
            won = _winner(run / "optimized.json")
        failed = len([one for one in statuses if one == "failed"])
        assert not failed, f"{failed} of {len(statuses)} trials failed"
        return f"{won}, {len(statuses)} trials"

    return check


def _winner(path: Path) -> str:
    if not path.is_file():
        return f"nothing was exported within {FULL_BUDGET}"
    exported = json.loads(path.read_text())
    used = "+".join(one["name"] for one in exported["recipe"]["techniques"]) or "baseline"
    return f"{used}: time {exported['claim']['time_ratio'][1]:.2f}x"


def _trials(*args: str, device: torch.device) -> list[dict[str, Any]]:
    """Return the trials of a run."""
    with tempfile.TemporaryDirectory() as folder:
        done = _bench(folder, *args, device=device)
        assert done.returncode in (0, 3), done.stderr[-300:]
        (run,) = Path(folder).iterdir()
        return [json.loads(line) for line in (run / "trials.jsonl").open()]


def _bench(folder: str, *args: str, device: torch.device) -> subprocess.CompletedProcess[str]:
    command = [*BENCH, *args, "--device", device.type, "--output", folder, "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


if __name__ == "__main__":
    main()
