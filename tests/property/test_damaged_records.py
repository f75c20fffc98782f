"""Damaged records and recipes: read whole, or refused in one line; never a traceback.

What is read is shown in every format too, so that no value passes the door that breaks a report.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.errors import BenchError
from bench.records.claim import read_exported
from tests.records import claim, exported, failed, header, measurement, paired

RUN = "2026-11-20T12-00-00Z_made-up_test"
"""What the records call the run that they are of."""
SEED = 20
TEXT_FORMATS = ("md", "json", "csv", "junit", "pytest-benchmark")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.0, -0.0, 1e-320, 1e-12, -1e-12,
    1e12, 1e99, -1e99, 1e300, 1e308, 0.5, 1.5, "", "x", "baseline", "baseline#2", "a+b", "\x00",
    "=1+1", "\x1b[31m", "../../etc/passwd", "\ud800", "|`<b>", "NaN", [], {}, [[]], [0], [-1.0],
    ["x"], {"": {}}, {"a": None}, "2026-01-01", "full", "step", "ok", "failed", "verify", "win",
)  # fmt: skip
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "[" * 300 + "]" * 300, "9" * 5000, '"\\ud800"')
Damage = Callable[[random.Random, dict[str, Any]], str]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value in a JSON document."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from places(part, (*path, index))


def around(document: dict[str, Any], path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def replaced(draw: random.Random, document: dict[str, Any]) -> str:
    path = draw.choice(list(places(document)))
    around(document, path)[path[-1]] = copy.deepcopy(draw.choice(ODD))
    return json.dumps(document)


def scaled(draw: random.Random, document: dict[str, Any]) -> str:
    paths = [p for p in places(document) if type(around(document, p)[p[-1]]) in (int, float)]
    path = draw.choice(paths)
    around(document, path)[path[-1]] *= draw.choice((-1, 0, 1e-9, 1e9, 1e90, 10**15))
    return json.dumps(document)


def removed(draw: random.Random, document: dict[str, Any]) -> str:
    path = draw.choice(list(places(document)))
    del around(document, path)[path[-1]]
    return json.dumps(document)


def raw(draw: random.Random, document: dict[str, Any]) -> str:
    path = draw.choice(list(places(document)))
    around(document, path)[path[-1]] = "HERE"
    return json.dumps(document).replace('"HERE"', draw.choice(RAW), 1)


def doubled(draw: random.Random, document: dict[str, Any]) -> str:
    name = draw.choice(list(document))
    return json.dumps(document)[:-1] + f", {json.dumps(name)}: {json.dumps(draw.choice(ODD))}}}"


def emptied(draw: random.Random, document: dict[str, Any]) -> str:
    lists = [p for p in places(document) if isinstance(around(document, p)[p[-1]], dict | list)]
    path = draw.choice(lists)
    around(document, path)[path[-1]].clear()
    return json.dumps(document)


DAMAGES: tuple[Damage, ...] = (replaced, replaced, scaled, scaled, removed, raw, doubled, emptied)


def spoilt_bytes(draw: random.Random, content: bytes) -> bytes:
    """Return bytes of which some are cut, changed, put in, or there twice."""
    at, how = draw.randrange(len(content)), draw.randrange(5)
    if how == 0:
        return content[:at]
    if how == 1:
        return content[:at] + draw.randbytes(draw.randrange(1, 9)) + content[at + 1 :]
    if how == 2:
        return content + content
    if how == 3:
        return content[:at] + content[at + draw.randrange(1, 200) :]
    lines = content.splitlines(keepends=True)
    draw.shuffle(lines)
    return b"".join(lines)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the folder of a run with wins, failures, probes and a claim to verify."""
    trials = [
        *paired("fast", (1.4, 1.5, 1.45), first=0),
        *paired("baseline#2", (1.0, 1.01, 0.99), first=3),
        *paired("small", (1.0, 1.02), savings=(1.5, 1.4), first=6),
        failed("odd", 8), measurement(pair=8),
    ]  # fmt: skip
    probes = [measurement("adaptive-batch", number) for number in range(2)]
    header_ = header(mode="verify", claim=claim(), notices=("a notice",), budget_seconds=60.0)
    (tmp_path / "run.json").write_text(header_.model_dump_json())
    for name, records in (("trials", trials), ("probes", probes)):
        lines = [record.model_dump_json() + "\n" for record in records]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    (tmp_path / "optimized.json").write_text(exported("fast", "small").model_dump_json())
    return tmp_path


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Return the content of a record's file with one damage done to it."""
    if draw.random() < 0.2:
        return spoilt_bytes(draw, content)
    lines = content.splitlines()
    number = draw.randrange(len(lines))
    text = draw.choice(DAMAGES)(draw, json.loads(lines[number]))
    lines[number] = text.encode("utf-8", "surrogatepass")
    return b"\n".join([*lines, b""])


def read_all(folder: Path, name: str) -> None:
    if name == "optimized.json":
        read_exported(folder / name)
        return
    record = reports.read(folder)
    reports.summary(record)
    for format in TEXT_FORMATS:
        reports.render(format, record)


def refusal(folder: Path, name: str) -> str | None:
    """Return what a damaged file is refused with; None where it is shown."""
    try:
        read_all(folder, name)
    except BenchError as error:
        return str(error)
    return None


def survives(folder: Path, first: int, count: int) -> None:
    """Damage one file after another; fail where reading raises anything but a `BenchError`."""
    whole = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    refused = 0
    for number in range(first, first + count):
        draw = random.Random(f"{SEED}/{number}")
        name = draw.choice(list(whole))
        (folder / name).write_bytes(content := damaged(draw, whole[name]))
        try:
            said = refusal(folder, name)
        except Exception as error:
            raise AssertionError(f"damage {number} of {name}: {content[:2000]!r}") from error
        if said is not None:
            refused += 1
            assert "\n" not in said, (number, name)
            assert str(folder) in said or RUN in said, (number, said)
        (folder / name).write_bytes(whole[name])
    assert refused > count / 2


def test_a_damaged_record_is_shown_or_refused_in_one_line(run: Path) -> None:
    survives(run, first=0, count=80)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_two_thousand_damaged_records_are_shown_or_refused_in_one_line(
    run: Path, part: int
) -> None:
    survives(run, first=80 + 1000 * part, count=1000)
