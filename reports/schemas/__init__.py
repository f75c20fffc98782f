"""JSON Schemas of the files that a run leaves and of the report's JSON, for other programs.

They follow from the models that read the files, and lie beside this file as they are published.
After a wanted change: ``bench schema NAME > reports/schemas/NAME.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from pydantic import TypeAdapter

from bench.errors import BenchError
from bench.records.audit import Audit
from bench.records.claim import Exported
from bench.records.header import Header
from bench.records.measurement import Measurement
from reports.published import Report

FILES: Mapping[str, tuple[type, str]] = MappingProxyType(
    {
        "run": (Header, "run.json: what a run was asked to do"),
        "trials": (Measurement, "a line of trials.jsonl or probes.jsonl: one trial"),
        "recipe": (Exported, "optimized.json: an exported recipe and its claim"),
        "report": (Report, "what bench report RUN --format json prints"),
        "audit": (Audit, "audit.yaml: published claims, and how each is measured"),
    }
)
"""By name: the model of a file, and which file that is."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> str:
    """Return a file's schema as JSON text; raise `BenchError` for an unknown name."""
    if name not in FILES:
        raise BenchError(f'no schema named "{name}"; there are: {", ".join(FILES)}')
    model, what = FILES[name]
    made = TypeAdapter(model).json_schema()
    whole = {"$schema": DIALECT, **made, "title": what}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
