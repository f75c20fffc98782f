"""What a script leaves to its end: files that it doesn't close, and what it registers for then."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.interception.ending import Ends
from bench.interception.patches import Patches
from bench.trial.failure import ScriptFailed
from tests.scripts.cases import intercepted, trial_of

SCRIPT = """
import atexit, torch
from torch import nn
class Model(nn.Linear):
    pass
model, log = Model(2, 1), open("log.csv", "w")
optimizer = torch.optim.SGD(model.parameters(), 0.1)
print("epoch,acc", file=log)
atexit.register(print, "last", 0.75)
@atexit.register
def end():
    print("last 0.5")
    raise RuntimeError("after all")
for epoch in range(300):
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    print(epoch, epoch + 0.123456789012345678, "x" * 40, sep=",", file=log)
"""


@pytest.mark.parametrize(
    ("metric", "value"), [("log.csv:acc", 299.12345678901234), (r"last ([\d.]+)", 0.75)]
)
def test_what_a_script_tells_as_it_ends_is_told(metric: str, value: float, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(SCRIPT)
    assert intercepted(trial_of("own", tmp_path, folder=tmp_path, metric=metric)).metric == value


def test_a_script_that_is_ended_early_is_not_asked_for_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(SCRIPT)
    intercepted(trial_of("own", tmp_path, folder=tmp_path, kind="build"))
    assert "last" not in (tmp_path / "trial.log").read_text()


PRINTS = """
import sys, torch
from torch import nn
class Logger:
    def __init__(self, to):
        self.to = to
    def write(self, text):
        return self.to.write(text)
    {flush}
sys.stdout = Logger(sys.stdout)
sys.stderr = Logger(sys.stderr)
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for epoch in range(3):
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
print("last 0.5")
{last}
"""


@pytest.mark.parametrize("flush", ["", "def flush(self): pass", "def flush(self): 1 / 0"])
def test_a_script_may_print_to_whatever_writes(flush: str, tmp_path: Path) -> None:
    before = sys.stdout, sys.stderr
    (tmp_path / "own.py").write_text(PRINTS.format(flush=flush, last=""))
    found = intercepted(trial_of("own", tmp_path, folder=tmp_path, metric=r"last ([\d.]+)"))
    assert found.metric == 0.5
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("closed", ["", "sys.stderr.to.close()"])
def test_what_fails_in_a_script_is_told_whatever_it_prints_to(closed: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PRINTS.format(flush="", last=f"{closed}\n1 / 0"))
    before = sys.stderr
    with pytest.raises(ScriptFailed, match="ZeroDivisionError: division by zero"):
        intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert sys.stderr is before


IN_A_THREAD = """
import atexit, threading, time, torch
from concurrent.futures import ThreadPoolExecutor
from torch import nn
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
def train(rest=0.2):
    time.sleep(rest)
    for _ in range(5):
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    print("trained")
atexit.register(print, "last 0.5")
"""


@pytest.mark.parametrize(
    "start", ["threading.Thread(target=train).start()", "ThreadPoolExecutor(2).submit(train)"]
)
def test_what_a_script_leaves_running_is_waited_for_before_its_last_words(
    start: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(IN_A_THREAD + start)
    run = intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert len(run.course.losses) == 5
    assert (tmp_path / "trial.log").read_text() == "trained\nlast 0.5\n"


def test_of_a_script_that_is_ended_early_no_thread_is_waited_for(tmp_path: Path) -> None:
    waits = "threading.Thread(target=time.sleep, args=(4,), name='waits').start()\ntrain(0)\n"
    (tmp_path / "own.py").write_text(IN_A_THREAD + waits)
    intercepted(trial_of("own", tmp_path, folder=tmp_path, kind="build"))
    assert "waits" in {thread.name for thread in threading.enumerate()}


OF_A_LIBRARY = """
stop = threading.Event()
thread = threading.Thread(target=stop.wait, args=(20,), name="of a library")
threading._register_atexit(stop.set)
exec(compile("thread.start()", "{file}", "exec"))
train(0)
"""


@pytest.mark.parametrize("file", ["/elsewhere/pool.py", "{folder}/.venv/site-packages/pool.py"])
def test_what_a_library_leaves_running_is_not_waited_for(file: str, tmp_path: Path) -> None:
    library = OF_A_LIBRARY.format(file=file.format(folder=tmp_path))
    (tmp_path / "own.py").write_text(IN_A_THREAD + library)
    intercepted(trial_of("own", tmp_path, folder=tmp_path))
    assert (tmp_path / "trial.log").read_text() == "trained\nlast 0.5\n"
    assert "of a library" in {thread.name for thread in threading.enumerate()}


WATCHES = """
main = threading.main_thread()
def polls():
    for _ in range(500):
        if main.is_alive():
            time.sleep(0.02)
def joins():
    main.join(10)
def watch():
    {waits}()
    print("main thread runs:", main.is_alive())
train(0)
threading.Thread(target=watch).start()
print("main thread runs:", main.is_alive())
"""


@pytest.mark.parametrize("waits", ["polls", "joins"])
def test_a_thread_that_lives_as_long_as_the_main_thread_ends(waits: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(IN_A_THREAD + WATCHES.format(waits=waits))
    intercepted(trial_of("own", tmp_path, folder=tmp_path))
    said = ["trained", "main thread runs: True", "main thread runs: False", "last 0.5"]
    assert (tmp_path / "trial.log").read_text().splitlines() == said
    assert threading.main_thread().is_alive()


def test_the_threads_of_a_pool_are_kept_no_longer_than_the_pool() -> None:
    with Patches() as patches:
        ends = Ends([Path(__file__).parent], patches)
        pool = ThreadPoolExecutor(1)
        pool.submit(int).result()
        kept: list[Callable[[], object]] = [weakref.ref(pool), *map(weakref.ref, pool._threads)]
        pool.shutdown()
        del pool
        gc.collect()
        assert [one() for one in kept] == [None, None]
        ends.wait(lambda: False)


def test_work_of_a_pool_that_is_let_go_of_is_waited_for() -> None:
    done = list[str]()
    with Patches() as patches:
        ends = Ends([Path(__file__).parent], patches)
        ThreadPoolExecutor(1).submit(_late, done)
        ends.wait(lambda: False)
        assert done == ["late"]


def _late(done: list[str]) -> None:
    time.sleep(0.2)
    done.append("late")
