"""Write a user's file out without bench: what it imports of it stands before it, in plain lines."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import dedent

from bench.errors import NotApplicable
from bench.use.stand_ins import STAND_INS

ENGINE = frozenset({"bench", "optimizers", "baselines", "reports"})
"""Packages that a written script does without, unless the user has some of these names."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A user's file, and what is to be written before it."""

    source: str
    before: tuple[str, ...]
    names: frozenset[str]
    """All that the file binds by itself, at its top."""


def plain_source(file: str, text: str, own: Iterable[str] = ()) -> Plain:
    """Return a file without its imports of bench; `own` are the files that a recipe names.

    Raises `NotApplicable`, with the line, for one of what a plain script can't have.
    """
    tree, drop = ast.parse(text), dict[int, str | None]()
    engine = _engine(own)
    stand_ins: dict[object, None] = {}
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if names := list(_of_engine(node, engine)):
            for module, name, called in names:
                made = _made_for(file, node, module, name)
                stand_ins |= dict.fromkeys(made)
                aliases[called] = _name_of(made[-1])
            drop |= _lines_of(node)
    for node in tree.body:
        if _is_future(node) or _is_main(node):
            drop |= _lines_of(node)
    lines = re.split(r"\r\n|\r|\n", text)  # as Python counts them: no form feed ends one
    kept = (drop.get(number, line) for number, line in enumerate(lines, 1))
    source = "\n".join(line for line in kept if line is not None).strip()
    before = [dedent(inspect.getsource(one)).strip() for one in stand_ins]  # type: ignore[arg-type]  # classes and functions
    before += ["\n".join(f"{name} = {real}" for name, real in aliases.items() if name != real)]
    return Plain(source, tuple(filter(None, before)), frozenset(_bound(tree.body)))


def imports_engine(text: str, own: Iterable[str]) -> bool:
    """Tell whether a file imports any of bench."""
    engine = _engine(own)
    return any(next(_of_engine(node, engine), None) for node in ast.walk(ast.parse(text)))


def _engine(own: Iterable[str]) -> frozenset[str]:
    return ENGINE - {name.partition("/")[0].removesuffix(".py") for name in own}


def _of_engine(node: ast.AST, engine: frozenset[str]) -> Iterator[tuple[str, str | None, str]]:
    """Yield module, name and own name of what a statement imports of bench."""
    if isinstance(node, ast.ImportFrom) and not node.level:
        if (node.module or "").partition(".")[0] in engine:
            for one in node.names:
                yield str(node.module), one.name, one.asname or one.name
    elif isinstance(node, ast.Import):
        for one in node.names:
            if one.name.partition(".")[0] in engine:
                yield one.name, None, one.asname or one.name


def _made_for(file: str, node: ast.AST, module: str, name: str | None) -> tuple[object, ...]:
    found = STAND_INS.get((module, name or ""))
    if found is None:
        what = f"{module}.{name}" if name else f"the whole of {module}"
        raise NotApplicable(
            f"{file}, line {getattr(node, 'lineno', 1)}: it uses {what}, which stands in no plain "
            "script: bench train trains with it"
        )
    return found


def _name_of(made: object) -> str:
    return str(getattr(made, "__name__", ""))


def _lines_of(node: ast.stmt | ast.AST) -> dict[int, str | None]:
    """Return what becomes of a statement's lines: nothing, or `pass` where a block needs one."""
    assert isinstance(node, ast.stmt)
    lines: dict[int, str | None] = dict.fromkeys(range(node.lineno, (node.end_lineno or 1) + 1))
    if node.col_offset:
        lines[node.lineno] = f"{' ' * node.col_offset}pass"
    return lines


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_main(node: ast.stmt) -> bool:
    """Tell whether a statement is what runs only where the file is the program."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _bound(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield names that statements bind, other than by an import."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            yield from names_in([node], ast.Store)


def imported(tree: ast.Module) -> dict[str, str]:
    """Return the names that imports at the top of a file bind, and what each of them is."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for one in node.names:
                whole = one.name if one.asname else one.name.partition(".")[0]
                found[one.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return found


def names_in(nodes: Iterable[ast.AST], context: type[ast.expr_context]) -> Iterator[str]:
    """Yield the names that are read, or bound, anywhere in these."""
    for node in nodes:
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, context):
                yield one.id
