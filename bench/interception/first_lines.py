"""Lines for the top of a Python file: where they go, and which of them it lacks. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

FIRST_LINES = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:#!.*\n)?(?:(?:[ \t\f]*(?:#.*)?\n)?[ \t\f]*#.*coding[:=].*\n)?"
)
"""What a file has to begin with: its byte order mark, what runs it, and its encoding (PEP 263)."""


def lines_begin(raw: bytes, tree: ast.Module, starts: Sequence[int]) -> int:
    """Return where the imports end that torch is among, else the first ones.

    Of a file without any it is below what it has to begin with; `starts`: of its lines.
    """
    body = tree.body
    first = next((i for i, node in enumerate(body) if _imports_torch(node)), None)
    last = first if first is not None else -1
    if first is None and body and _is_text(body[0]):
        last = 0
    while last + 1 < len(body) and isinstance(body[last + 1], ast.Import | ast.ImportFrom):
        last += 1
    if last >= 0:
        return starts[body[last].end_lineno or 0]
    begun = FIRST_LINES.match(raw)
    return begun.end() if begun else 0


def block(texts: Sequence[str], tree: ast.Module) -> str:
    """Return lines for the top of a file: imports that it lacks, then all that is defined."""
    there = {ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)}
    imports, others = list[str](), list[str]()
    for text in texts:
        for node in ast.parse(text).body:
            lines = ast.get_source_segment(text, node) or ""
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports += [] if ast.unparse(node) in there else [lines]
                continue
            whole = isinstance(node, ast.FunctionDef)
            decorated = node.decorator_list if isinstance(node, ast.FunctionDef) else []
            above = "".join(f"@{ast.unparse(one)}\n" for one in decorated)
            others.append(f"\n\n{above}{lines}\n" if whole else f"{lines}\n")
    first = "" if not others or others[0].startswith("\n") else "\n"
    return "".join(f"{line}\n" for line in dict.fromkeys(imports)) + first + "".join(others)


def _imports_torch(node: ast.stmt) -> bool:
    match node:
        case ast.Import(names=names):
            return any(one.name.partition(".")[0] == "torch" for one in names)
        case ast.ImportFrom(module=str(module)):
            return module.partition(".")[0] == "torch"
    return False


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
