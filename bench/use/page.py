"""Write the page at /docs: what can be asked, from OpenAPI's own description; it opens offline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:54rem;margin:2rem auto;padding:0 1rem;"
    "color:#1f2933;background:#fff}h2{margin-top:2.2rem}code,pre{font:14px/1.45 ui-monospace,"
    "monospace}h2 code{font-size:1.15rem}"
    "pre{background:#f3f5f7;padding:.8rem;overflow-x:auto}td{padding:.15rem 1rem .15rem"
    " 0;vertical-align:top}@media(prefers-color-scheme:dark){body{color:#e4e7eb;background:#14181d}"
    "pre{background:#1f262e}a{color:#8ab4f8}}"
)


def page(openapi: dict[str, Any], facts: dict[str, Any], address: str) -> str:
    """Return the page of an API, of the model that it serves."""
    info, body = openapi["info"], "".join(_operations(openapi, facts, address))
    labels = ", ".join(facts["labels"]) or "none"
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in facts["metrics"].items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}"
        f" Labels: {escape(labels)}. Of the test part: {escape(metrics)}.</p>"
        f'{body}<p>All of it for programs: <a href="/openapi.json">OpenAPI</a>.</p></html>\n'
    )


def _operations(openapi: dict[str, Any], facts: dict[str, Any], address: str) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation['summary'])}.</p>"
            yield f"<pre>{escape(chr(10).join(_examples(method, path, facts, address)))}</pre>"
            yield "<table>"
            for status, answer in operation["responses"].items():
                yield f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td></tr>"
            yield "</table>"


def _examples(method: str, path: str, facts: dict[str, Any], address: str) -> Iterator[str]:
    """Yield what is typed to ask it."""
    if method == "get":
        yield f"curl {address}{path}"
        return
    example = json.dumps({"values": "…"}).replace('"\\u2026"', "[…]")
    yield f"# {facts['input']['values']}"
    yield f"curl -H 'content-type: application/json' -d '{example}' {address}{path}"
    yield f"# {facts['input']['files']}"
    yield f"curl -F files=@FILE {address}{path}"
