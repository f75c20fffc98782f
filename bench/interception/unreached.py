"""Find calls like those that a recipe changes, which the first steps of a script did not reach."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import optim

from bench.interception.edits import Edit, Place, Source, Unsure

ASKING = ("no_grad", "inference_mode")
"""In what stands around a call, they say that no gradient is wanted."""


def unreached(folder: Path, edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return edits without a place: for calls of what is changed elsewhere in the same file.

    Optimizers of torch's are alike where they have the same argument.
    """
    found: dict[Edit, None] = {}
    for edit in edits:
        if edit.place is not None and not edit.unsure and edit.kind in ("callee", "keyword"):
            places = {one.place for one in edits if one.place}
            found |= dict.fromkeys(_others(folder, edit, edit.place, places))
    return tuple(found)


def _others(folder: Path, edit: Edit, place: Place, reached: set[Place]) -> Iterator[Edit]:
    try:
        source = Source((folder / place.file).read_bytes())
        changed = _name(source.call(place).func)
    except (OSError, Unsure):
        return
    asking = {id(node) for node in _without_gradients(source.tree)}
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: node.lineno):
        end = {"line": call.end_lineno, "column": call.end_col_offset}
        if id(call) in asking or place.model_copy(update=end) in reached:
            continue
        if _is_like(_name(call.func), changed, edit) and _is_wanted(call, edit):
            where = {"place": None, "where": f"{place.file}, line {call.lineno}"}
            yield edit.model_copy(update={**where, "helper": "", "position": None})


def _name(called: ast.expr) -> str:
    """Return what is called: a class by its name alone, wherever it was imported from."""
    whole = ast.unparse(called)
    last = whole.rpartition(".")[2]
    return last if last[:1].isupper() else whole


def _is_like(name: str, changed: str, edit: Edit) -> bool:
    both = (_takes(name, edit.name), _takes(changed, edit.name))
    return name == changed or (edit.kind == "keyword" and all(both))


def _takes(name: str, argument: str) -> bool:
    """Tell whether an optimizer of torch's has an argument."""
    kind = getattr(optim, name, None)
    if not (isinstance(kind, type) and issubclass(kind, optim.Optimizer)):
        return False
    return argument in inspect.signature(kind).parameters


def _is_wanted(call: ast.Call, edit: Edit) -> bool:
    """Tell whether there is something to change: some arguments are where they are given alone."""
    return not edit.given or any(keyword.arg == edit.name for keyword in call.keywords)


def _without_gradients(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands in a block, or a decorated function, that wants no gradient."""
    for node in ast.walk(tree):
        around: list[ast.expr] = getattr(node, "decorator_list", [])
        if isinstance(node, ast.With):
            around = [item.context_expr for item in node.items]
        if any(word in ast.unparse(one) for one in around for word in ASKING):
            yield from ast.walk(node)
