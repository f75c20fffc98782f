"""Read an audit's YAML file, and say what is wrong in it, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.records.audit import Audit
from bench.records.schema import FORMAT, first_problem, is_known, plain
from bench.records.yaml_file import read_yaml


def read_audit(path: Path) -> Audit:
    """Read an audit's YAML file; raise `BenchError` that says what is wrong in it, and where."""
    return audit_of(read_yaml(path), str(path))


def audit_of(content: Any, where: str) -> Audit:
    """Return content as an audit; raise `BenchError` that begins with `where`."""
    if not isinstance(content, dict):
        raise BenchError(f"{where} holds no audit: write name, title, source, runs and claims")
    found = content.get("format", FORMAT)
    if not is_known(found):
        raise BenchError(f"{where} has format {found!r}; this bench reads format {FORMAT}")
    try:
        return Audit.model_validate(plain(content))
    except ValidationError as error:
        raise BenchError(f"{where}: {first_problem(error)}{_which(error, content)}") from None
    except ValueError as error:
        raise BenchError(f"{where}: {error}") from None


def _which(error: ValidationError, content: dict[str, Any]) -> str:
    """Return the id of the claim that a problem is in, whose number says little."""
    match error.errors(include_url=False)[0]["loc"]:
        case ("claims", int(number), *_):
            claim = content["claims"][number]
            name = claim.get("id") if isinstance(claim, dict) else None
            return f" (claim {name})" if name else ""
    return ""
