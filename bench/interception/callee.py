"""Tell what a name, or what is reached from one, stands for in a running frame."""

from __future__ import annotations

import ast
from types import FrameType

UNKNOWN = object()
"""What an expression stands for that can't be told without running it again."""


def standing_for(node: ast.expr, frame: FrameType) -> object:
    """Return what an expression stands for; `UNKNOWN` of all but names, parts and constants.

    Parts are attributes, items, and ``getattr(one, name)``; a private ``__name`` is that of the
    class it stands in. The frame has just computed it, so that nothing is asked here which it did
    not ask.
    """
    match node:
        case ast.Name(id=name):
            name = _mangled(name, frame)
            places = (frame.f_locals, frame.f_globals, frame.f_builtins)
            return next((place[name] for place in places if name in place), UNKNOWN)
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            return -number
        case ast.Attribute(value=owner, attr=name):
            return _part(standing_for(owner, frame), _mangled(name, frame))
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, name], keywords=[]):
            return _part(standing_for(owner, frame), standing_for(name, frame))
        case ast.Subscript(value=owner, slice=key):
            return _item(standing_for(owner, frame), standing_for(key, frame))
    return UNKNOWN


def _mangled(name: str, frame: FrameType) -> str:
    """Return what Python makes of a name in a frame: ``_Class__name``, where it is private."""
    if not name.startswith("__") or name.endswith("__"):
        return name
    for within in reversed(frame.f_code.co_qualname.split(".<locals>.")):
        *classes, _ = within.split(".")
        if classes:
            kind = classes[-1].lstrip("_")
            return f"_{kind}{name}" if kind else name
    return name


def _part(owner: object, name: object) -> object:
    if owner is UNKNOWN or not isinstance(name, str):
        return UNKNOWN
    return getattr(owner, name, UNKNOWN)


def _item(owner: object, key: object) -> object:
    if owner is UNKNOWN or key is UNKNOWN or not hasattr(type(owner), "__getitem__"):
        return UNKNOWN
    try:
        return owner[key]  # type: ignore[index]  # it has some
    except (LookupError, TypeError):  # it was changed since
        return UNKNOWN
