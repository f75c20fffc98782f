"""Evaluate a formula of named numbers: sums, products, powers, least and largest; nothing else."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.errors import BenchError

LONGEST = 400
LARGEST_POWER = 64.0
_TWO: Mapping[type[ast.operator], Callable[[float, float], float]] = MappingProxyType({
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Pow: math.pow,
})  # fmt: skip
_CALLED: Mapping[str, Callable[..., float]] = MappingProxyType({"min": min, "max": max})


def evaluated(formula: str, numbers: Mapping[str, float]) -> float:
    """Return what a formula gives; raise `BenchError` that names it where it gives no number."""
    try:
        if len(formula) > LONGEST:
            raise ValueError(f"longer than {LONGEST} characters")
        found = float(_value(ast.parse(formula.strip(), mode="eval").body, numbers))
        if not math.isfinite(found):
            raise ValueError("it gives no finite number")
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, TypeError) as error:
        why = "a division by zero" if isinstance(error, ZeroDivisionError) else error
        raise BenchError(f"the formula {formula!r:.80} can't be computed: {why}") from None
    return found


def names_of(formula: str) -> set[str]:
    """Return which numbers a formula is of; raise `BenchError` where it is none."""
    try:
        tree = ast.parse(formula.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BenchError(f"the formula {formula!r:.80} can't be computed: {error}") from None
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(_CALLED)


def checked(formula: str, numbers: Mapping[str, float], given: str) -> None:
    """Raise `BenchError` for a formula of `given` and numbers that is not of it, or of others."""
    if given in numbers:
        raise BenchError(f"numbers: {given} is what is measured; call the number otherwise")
    known = {given, *numbers}
    used = names_of(formula)
    if unknown := sorted(used - known):
        raise BenchError(f"the formula {formula!r:.80} names {unknown[0]}, which is not among "
                         f"{', '.join(sorted(known))}")  # fmt: skip
    if given not in used:
        raise BenchError(f"the formula {formula!r:.80} is not of `{given}`: it would give the same "
                         "whatever was measured")  # fmt: skip


def shown(formula: str, numbers: Mapping[str, float]) -> str:
    """Return a formula with its numbers in place of their names."""
    tree = ast.parse(formula.strip(), mode="eval")

    class InPlace(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            known = numbers.get(node.id)
            if known is None:
                return node
            said = f"{known:.12g}" if abs(known) < 1e15 else f"{known:.6g}"
            return ast.Name(id=f"({said})" if known < 0 else said, ctx=node.ctx)

    return ast.unparse(InPlace().visit(tree))


def _value(node: ast.expr, numbers: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name) if name in numbers:
            return numbers[name]
        case ast.Name(id=name):
            raise ValueError(f"nothing is named {name}; there are: {', '.join(numbers)}")
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, numbers)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _TWO:
            one, other = _value(left, numbers), _value(right, numbers)
            if isinstance(op, ast.Pow) and abs(other) > LARGEST_POWER:
                raise ValueError(f"a power of more than {LARGEST_POWER:g}")
            return _TWO[type(op)](one, other)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLED and args:
            return _CALLED[name](*(_value(one, numbers) for one in args), math.inf
                                 if name == "min" else -math.inf)  # fmt: skip
    raise ValueError(f"{ast.unparse(node)[:40]} is neither + - * / ** nor min, max")
