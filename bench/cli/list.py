"""`bench list`: what there is, in one line each, and what applies on this machine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel

from bench.baseline import Baseline, Dataset
from bench.errors import BenchError
from bench.machine.device import choose_device
from bench.recipes import registry, resolve
from bench.recipes.references import places_of
from bench.recipes.resolve import prepared
from bench.recipes.script import is_script
from bench.records.schema import Json
from bench.records.uncollected import leave_out
from bench.run.applicability import Rehearsals
from bench.run.start import runner_of
from bench.technique import Technique

Rows = list[Json]
BUILD_SECONDS = 300.0
NOT_REHEARSED = (
    "What applies was not rehearsed: its first steps, which every run makes before it measures, "
    "may yet refuse it. --rehearse makes them now."
)


def listing(
    what: str, name: str | None, baseline: str, data_dir: Path | None, device: str,
    begin: Callable[[str], None] = lambda what: None, rehearse: bool = False,
) -> Rows:  # fmt: skip
    """Return the rows of ``bench list WHAT [NAME]``; with a name, its card and settings.

    `begin` is told what is looked into. Without `rehearse` techniques are applied, and make no
    step, unless one is named.
    """
    if what == "baselines":
        return _baselines() if name is None else [_card_of_baseline(name)]
    if what == "datasets" and name is not None:
        raise BenchError(f"a data set has no card: leave {name} out to list all that there are")
    if what == "datasets":
        return _datasets(baseline, data_dir)
    if what != "techniques":
        known = ["baselines", "techniques", "datasets"]
        raise BenchError(f'nothing named "{what}" to list; {registry.suggestion(what, known)}')
    leave_out()  # torch's thousand modules stay
    asked = registry.names(registry.TECHNIQUES) if name is None else [name]
    rows = _techniques(asked, baseline, data_dir, device, begin, rehearse or name is not None)
    return rows if name is None else [_card_of_technique(name, row) for row in rows]


def as_text(what: str, rows: Rows) -> str:
    """Return rows as lines for a person."""
    if len(rows) == 1 and "card" in rows[0]:
        return _card_text(rows[0])
    if not rows:
        return f"no {what} found"
    width = max(len(row["name"]) for row in rows)
    lines = [f"{row['name']:{width}}  {_line(row)}" for row in rows]
    if any(row.get("applies") and not row["rehearsed"] for row in rows):
        lines += ["", NOT_REHEARSED]
    return "\n".join(lines)


def _line(row: Json) -> str:
    if "applies" not in row:
        return f"{row['summary']}" + (f"  ({row['where']})" if "where" in row else "")
    here = "" if row["applies"] else f"  [not here: {row['reason']}]"
    return f"{row['effect']:9} {row['summary']}{here}"


def _card_text(row: Json) -> str:
    lines = [row["name"], "", row["card"], "", "Settings:"]
    for name, field in row["settings"].items():
        tried = f"; searched over {_range(field['range'])}" if "range" in field else ""
        lines.append(f"  {name} = {field['default']!r}  ({field['type']}) {field['about']}{tried}")
    if "applies" in row:
        lines += ["", "applies here" if row["applies"] else f"does not apply: {row['reason']}"]
    return "\n".join(lines)


def _range(given: Json | list[object]) -> str:
    if isinstance(given, list):
        return ", ".join(map(str, given))
    return f"{given['low']} to {given['high']}"


def _baselines() -> Rows:
    return [
        {"name": name, "summary": summary(_module_card(registry.load_baseline(name)))}
        for name in registry.names(registry.BASELINES)
    ]


def _card_of_baseline(name: str) -> Json:
    baseline = registry.load_baseline(name)
    card = _module_card(baseline)
    fields = _fields(baseline.settings)
    return {"name": baseline.name, "summary": summary(card), "card": card, "settings": fields}


def _datasets(baseline: str, data_dir: Path | None) -> Rows:
    loaded = registry.load_baseline(baseline)
    find = getattr(loaded, "datasets", None)
    if find is None:
        raise BenchError(f"{loaded.name} has one data set of its own")
    found: list[Dataset] = find(data_dir)
    return [{"name": d.name, "summary": d.summary, "where": d.where} for d in found]


def _techniques(
    names: list[str], baseline: str, data_dir: Path | None, device: str,
    begin: Callable[[str], None], rehearse: bool,
) -> Rows:  # fmt: skip
    """Build the job of each technique once, to see whether it applies.

    A script is run for some steps in any case: there is nothing else to apply a technique to.
    """
    loaded = registry.load_baseline(baseline)
    values = {"data_dir": str(data_dir)} if data_dir else {}
    made = [(name, registry.make_technique(name, {})) for name in names]
    settings, _ = prepared(loaded, values)
    places = places_of([baseline, *names])
    base = resolve.baseline_recipe(baseline, settings, places)
    target, stepped = resolve.target_of(loaded, settings), rehearse or is_script(base)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as opened:
        runner = opened.enter_context(runner_of(loaded, BUILD_SECONDS)) if stepped else None
        tried = Rehearsals(loaded, base, places, runner, choose_device(device), target, scratch)
        tried.check_baseline()

        def attempt(name: str, technique: Technique) -> Json:
            begin(f"checking {name}")
            reason = tried.why_not(name, technique)
            card = sys.modules[type(technique).__module__].__doc__ or ""
            return {
                "name": technique.name,
                "summary": summary(card),
                "effect": str(technique.effect),
                "applies": reason is None,
                "reason": reason,
                "rehearsed": stepped,
            }

        return [attempt(name, technique) for name, technique in made]


def _card_of_technique(reference: str, row: Json) -> Json:
    kind = registry.load_technique(reference)
    card = (sys.modules[kind.__module__].__doc__ or "").strip()
    return {**row, "card": card, "settings": _fields(kind)}


def _fields(model: type[BaseModel]) -> dict[str, Json]:
    schema = model.model_json_schema().get("properties", {})
    return {
        name: {
            "default": field.get("default"),
            "type": _type(field),
            "about": field.get("description", ""),
            **({"range": field["range"]} if "range" in field else {}),
        }
        for name, field in schema.items()
    }


def _type(field: Json) -> str:
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    kinds = [_type(one) for one in field.get("anyOf", [])] or [str(field.get("type", "any"))]
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[key]:g}" for key, sign in bounds.items() if key in field]
    return " ".join([" | ".join(kinds), *limits])


def _module_card(baseline: Baseline) -> str:
    return (sys.modules[type(baseline).__module__].__doc__ or "").strip()


def summary(card: str) -> str:
    """Return the first line of a card, without its full stop."""
    first = (card.strip().splitlines() or [""])[0]
    return first.rstrip(".")
