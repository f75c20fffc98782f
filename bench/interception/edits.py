"""Write changes into Python files where the place is sure; say what could not be written. Pure.

A place is a call in a file, known by where it ends. Files are read as bytes, as columns are counted
in them; what was there before, comments and line ends too, stays as it was.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.interception.first_lines import block, lines_begin
from bench.interception.names import taken
from bench.records.schema import Count, Record, Text

Scope = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Kind = Literal["callee", "keyword", "after", "start"]
COMMENT = re.compile(rb"#[^\r\n]*")


class Place(Record):
    """Where a call in one of the script's own files ends; `column` in bytes from 0."""

    file: Text
    """From the working folder."""
    line: Count
    column: Count


class Edit(Record):
    """One change: of what is called there, of an argument, lines after a statement, or on top."""

    by: Text
    kind: Kind
    place: Place | None
    """None: it is in none of the script's own files."""
    where: Text
    """The place, for a person."""
    name: Text = ""
    """What is called with what was called; or the argument's name."""
    text: Text = ""
    """The argument's value, or lines."""
    helper: Text = ""
    """Lines for the top of the file that define what is used."""
    position: Count | None = None
    """Arguments before this one that may be given without their names."""
    given: bool = False
    """The argument is changed where the call gives it by name, and added nowhere."""
    unsure: Text = ""
    """Why it is to be made by hand, although its place is known."""


class Written(Record):
    """All that techniques would have written into a script."""

    edits: tuple[Edit, ...] = ()
    refused: dict[Text, Text] = {}
    """By technique: why it has no lines."""
    left: tuple[Text, ...] = ()
    """What was seen of the same kind and stays as it is, and why; what else is to be said."""
    unreached: tuple[Edit, ...] = ()
    """The same for calls of the same kind that the steps which were seen did not reach."""
    steps: Count = 0
    """How many were seen."""


class Unsure(Exception):  # noqa: N818 - what is found of a place
    """The place of an edit is not what it was taken for; the message says why."""


@dataclass
class Source:
    """A file's content, and the changes that it is to have."""

    raw: bytes
    changes: list[tuple[int, int, str]] = field(default_factory=list)
    """From, to, and what stands there afterwards."""
    wrapped: dict[int, tuple[ast.Call, list[str]]] = field(default_factory=dict)
    enclosed: dict[int, tuple[int, int]] = field(default_factory=dict)
    """What is put in parentheses of its own: from and to."""
    top: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Parse it; raise `Unsure` where it is no Python in UTF-8."""
        try:
            self.raw.decode()
            self.tree = ast.parse(self.raw)
        except (SyntaxError, ValueError) as error:
            raise Unsure(f"it can't be read: {error}") from None
        lines = self.raw.splitlines(keepends=True)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))

    def add(self, edit: Edit, place: Place) -> None:
        """Take a change; raise `Unsure` where its place is not."""
        if edit.helper not in self.top and (names := taken(self.tree, edit.helper)):
            raise Unsure(f"the file has a {', '.join(sorted(names))} of its own")
        if edit.kind == "start":
            self.top.append(edit.text)
            return
        call = self.call(place)
        if edit.kind == "callee":
            self.wrapped.setdefault(id(call), (call, []))[1].append(edit.name)
        elif edit.kind == "keyword":
            self.changes += self._argument(call, edit)
        else:
            self.changes.append(self._after(call, edit.text))
        if edit.helper and edit.helper not in self.top:
            self.top.append(edit.helper)

    def text(self) -> bytes:
        """Return the content with all changes."""
        changes = [
            change
            for begin, end in self.enclosed.values()
            for change in ((begin, begin, "("), (end, end, ")"))
        ]
        changes += self.changes
        for call, names in self.wrapped.values():
            begin, end = self._range(call.func)
            changes.append((begin, begin, "".join(f"{name}(" for name in reversed(names))))
            changes.append((end, end, ")" * len(names)))
        if self.top:
            at = lines_begin(self.raw, self.tree, self.starts)
            changes.append((at, at, block(self.top, self.tree)))
        newline = b"\r\n" if b"\r\n" in self.raw else b"\n"
        made = self.raw
        ordered = sorted(enumerate(changes), key=lambda one: (one[1][:2], one[0]), reverse=True)
        for _, (begin, end, new) in ordered:
            made = made[:begin] + new.encode().replace(b"\n", newline) + made[end:]
        try:
            ast.parse(made)
        except SyntaxError as error:
            raise Unsure(f"what was written there is no Python: {error}") from None
        return made

    def call(self, place: Place) -> ast.Call:
        """Return the call that ends at a place; raise `Unsure` where none surely does."""
        for node in ast.walk(self.tree):
            end = getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None)
            if isinstance(node, ast.Call) and end == (place.line, place.column):
                begin, stop = self._range(node.func)
                if _same(self.raw[begin:stop], node.func):
                    return node
        raise Unsure("no call ends there that can be told from others")

    def _argument(self, call: ast.Call, edit: Edit) -> list[tuple[int, int, str]]:
        """Return the change, if one is wanted, that gives a call an argument by name."""
        for keyword in call.keywords:
            if keyword.arg == edit.name:
                return [(*self._range(keyword.value), edit.text)]
        starred = any(isinstance(one, ast.Starred) for one in call.args)
        if starred or any(keyword.arg is None for keyword in call.keywords):
            raise Unsure("its arguments are unpacked (*, **)")
        if edit.position is not None and len(call.args) > edit.position:
            raise Unsure(f"{edit.name} is given there without its name")
        if edit.given:
            return []
        begun = ", " if call.args or call.keywords else ""
        end = self._arguments_end(call)
        return [(end, end, f"{begun}{edit.name}={edit.text}")]

    def _arguments_end(self, call: ast.Call) -> int:
        """Return where the last argument of a call ends, with the parentheses that it stands in.

        A generator that shares those of the call is given its own.
        """
        closing = self._range(call)[1] - 1
        arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
        ranges = [self._range(one) for one in arguments]
        begin, end = max(ranges, key=lambda one: one[1], default=(closing, closing))
        if end > closing:
            self.enclosed[id(call)] = begin + 1, closing
            return closing
        rest = COMMENT.sub(lambda comment: b" " * len(comment[0]), self.raw[end:closing])
        return end + rest.rfind(b")") + 1

    def _after(self, call: ast.Call, lines: str) -> tuple[int, int, str]:
        """Return the change that puts lines after the statement that a call is in."""
        within = [node for node in ast.walk(self.tree) if _holds(node, call)]
        statement = next((n for n in reversed(within) if isinstance(n, ast.stmt)), None)
        if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr):
            raise Unsure("it is in no plain assignment")
        if any(isinstance(node, Scope) and _holds(statement, node) for node in within):
            raise Unsure("it is in a function or comprehension within a statement")
        line = self.raw.splitlines()[statement.lineno - 1]
        margin = line[: statement.col_offset]
        ended = self._range(statement)[1]
        at = self.starts[(statement.end_lineno or 1)]
        rest = self.raw[ended:at].strip()
        if margin.strip() or (rest and not rest.startswith(b"#")):
            raise Unsure("its line holds another statement")
        text = "".join(f"{margin.decode()}{one}\n" for one in lines.splitlines())
        return at, at, text if self.raw[:at].endswith(b"\n") else f"\n{text}"

    def _range(self, node: ast.expr | ast.keyword | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None  # the parser gives all of them
        assert node.end_col_offset is not None
        begin = self.starts[node.lineno - 1] + node.col_offset
        return begin, self.starts[node.end_lineno - 1] + node.end_col_offset


def applied(raw: bytes, edits: Sequence[Edit]) -> tuple[bytes, dict[int, str]]:
    """Return a file's content with all edits that could be placed, and why others could not be.

    Edits are known by their index.
    """
    unsure: dict[int, str] = {}
    placed: list[Edit] = []
    made = raw
    for index, edit in enumerate(edits):
        try:
            made = _with(raw, [*placed, edit])
            placed.append(edit)
        except Unsure as why:
            unsure[index] = str(why)
    return made, unsure


def _with(raw: bytes, edits: Sequence[Edit]) -> bytes:
    """Return a file's content with all edits; raise `Unsure` where one has no place."""
    source = Source(raw)
    for edit in edits:
        assert edit.place is not None  # those without are nobody's here
        source.add(edit, edit.place)
    return source.text()


def difference(file: str, before: bytes, after: bytes) -> str:
    """Return a unified diff, as `git apply` and `patch -p1` take it."""
    old, new = (_lines(text.decode()) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, f"a/{file}", f"b/{file}"))


def _lines(text: str) -> list[str]:
    *whole, rest = text.split("\n")
    last = [f"{rest}\n\\ No newline at end of file\n"] if rest else []
    return [f"{line}\n" for line in whole] + last


def _holds(node: ast.AST, inner: ast.expr | ast.stmt) -> bool:
    return isinstance(node, ast.expr | ast.stmt | ast.comprehension) and any(
        one is inner for one in ast.walk(node)
    )


def _same(raw: bytes, node: ast.expr) -> bool:
    """Tell whether bytes are a node's: positions in f-strings may be another's."""
    try:
        return ast.unparse(ast.parse(raw.decode(), mode="eval").body) == ast.unparse(node)
    except (SyntaxError, ValueError):
        return False
