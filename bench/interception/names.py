"""Tell which names of some lines a Python file has for something else. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def taken(tree: ast.AST, lines: str) -> set[str]:
    """Return names that lines define or import, and that a file has for something else.

    What both of them import is the same thing where it comes from the same place.
    """
    ours, theirs = ast.parse(lines).body, [*ast.walk(tree)]
    defined = {node.name for node in ours if isinstance(node, Definition)}
    there = {pair for node in theirs for pair in _imported(node)}
    bound = {name for node in theirs for name in _bound(node)}
    read = {node.id for node in theirs if isinstance(node, ast.Name)}
    others = {
        name
        for node in ours
        for name, what in _imported(node)
        if name in bound or any(one == name and other != what for one, other in there)
    }
    return defined & (bound | read | {name for name, _ in there}) | others


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node gives to something, but for what it imports."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)):
            yield name


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that an import gives, each with what it is."""
    match node:
        case ast.Import(names=names):
            for one in names:
                top = one.name.partition(".")[0]
                yield (one.asname, one.name) if one.asname else (top, top)
        case ast.ImportFrom(module=module, names=names, level=level):
            for one in names:
                yield one.asname or one.name, f"{'.' * level}{module or ''}.{one.name}"
