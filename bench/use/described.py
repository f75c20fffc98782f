"""Describe a loaded model and what it is asked, as JSON and as a part of OpenAPI."""

from __future__ import annotations

from typing import Any

from bench.use.checkpoint import Loaded

Schema = dict[str, Any]
METRICS_SCHEMA: Schema = {
    "responses": {
        200: {
            "description": "Counters, ended by # EOF",
            "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
        }
    },
}


def facts_of(loaded: Loaded) -> Schema:
    """Return what a user of the model has to know of it."""
    record, use = loaded.record, loaded.use
    recipe = record.recipe.model_dump(mode="json")
    recipe["settings"] = {k: v for k, v in recipe["settings"].items() if k != "data_dir"}
    return {
        "recipe_id": record.recipe_id, "recipe": recipe, "seed": record.seed,
        "epochs": record.epochs, "metric": record.metric_name, "metrics": record.metrics,
        "data": {
            "name": record.data.name, "sha256": record.data.sha256,
            "train_items": record.data.train_items, "test_items": record.data.test_items,
        },
        "unit": record.unit, "labels": list(record.labels), "facts": record.facts,
        "input": {
            "values": use.values, "files": use.files, "suffixes": list(use.suffixes),
            "shape": list(record.inputs.shape) if record.inputs else None,
        },
    }  # fmt: skip


def predict_schema(loaded: Loaded) -> Schema:
    """Return what OpenAPI says of ``POST /predict``: FastAPI reads no body that comes two ways."""
    use = loaded.use
    number = {"type": ["number", "null", "array"]}
    values = {"type": "array", "items": number, "minItems": 1, "description": use.values}
    body = {
        "type": "object", "properties": {"values": values}, "required": ["values"],
        "additionalProperties": False,
    }  # fmt: skip
    files = {
        "type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1,
        "description": use.files,
    }  # fmt: skip
    form = {"type": "object", "properties": {"files": files}, "required": ["files"]}
    content = {
        "application/json": {"schema": body}, "multipart/form-data": {"schema": form},
    }  # fmt: skip
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": {
            200: {"description": "The answers", "content": {"application/json": {
                "schema": _answers()}}},
            400: _sentence("The body ended before all of it was there"),
            413: _sentence("The body is too large"),
            415: _sentence("The content type is neither of the two"),
            422: _sentence("What was sent is no item"),
            500: _sentence("The model failed"),
            503: _sentence("Too busy, or too slow"),
        },
    }  # fmt: skip


def _answers() -> Schema:
    answer = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "labels": {"type": "array", "items": {"type": "string"}},
            "scores": {"type": "object", "additionalProperties": {"type": "number"}},
            "scores_are": {"type": "string"},
        },
        "required": ["name", "labels", "scores", "scores_are"],
    }
    return {
        "type": "object",
        "properties": {"answers": {"type": "array", "items": answer}},
        "required": ["answers"],
    }


def _sentence(what: str) -> Schema:
    said = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    return {"description": what, "content": {"application/json": {"schema": said}}}
