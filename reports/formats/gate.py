"""What `bench compare` prints of two runs: lines, Markdown, JSON, JUnit, or a code host's marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from xml.etree import ElementTree as Tree

from bench.analysis.gate import Finding
from bench.errors import BenchError
from bench.records.text import printable
from reports.formats.json import as_text
from reports.formats.markdown import escape

WORDS = MappingProxyType(
    {"FAIL": "regressed", "ok": "not regressed", "?": "can't be told", "-": "not compared"}
)
CASES = MappingProxyType({"FAIL": "failure", "?": "error", "-": "skipped"})
COMMANDS = MappingProxyType({"FAIL": "error", "?": "warning", "-": "notice"})


def verdict(found: Finding) -> str:
    """Return what two runs say together, in a sentence."""
    if found.failed:
        arms = list(dict.fromkeys(row.arm for row in found.rows if row.mark == "FAIL"))
        return f"Regressed: {', '.join(arms)}."
    if found.unknown:
        return "Nothing regressed as far as can be told; some of it can't be."
    return "Nothing regressed beyond its limit."


def _plain(found: Finding) -> str:
    return found.text + "\n"


def _markdown(found: Finding) -> str:
    lines = [f"**{escape(verdict(found))}** ({escape(found.before)} → {escape(found.after)})", ""]
    lines += ["| arm | | what |", "|---|---|---|"]
    lines += [f"| {escape(r.arm)} | {WORDS[r.mark]} | {escape(r.said)} |" for r in found.rows]
    return "\n".join(lines) + "\n"


def _json(found: Finding) -> str:
    rows = [{"arm": r.arm, "outcome": WORDS[r.mark], "says": r.said} for r in found.rows]
    return as_text(
        {
            "format": 1, "before": found.before, "after": found.after,
            "verdict": verdict(found), "failed": found.failed, "unknown": found.unknown,
            "rows": rows,
        }
    )  # fmt: skip


def _junit(found: Finding) -> str:
    counts = {mark: str(sum(row.mark == mark for row in found.rows)) for mark in CASES}
    suite = Tree.Element(
        "testsuite", name=printable(f"bench compare: {found.before}, {found.after}"),
        tests=str(len(found.rows)), failures=counts["FAIL"], errors=counts["?"],
        skipped=counts["-"],
    )  # fmt: skip
    for row in found.rows:
        names = {"classname": printable(row.arm), "name": printable(row.what)}
        case = Tree.SubElement(suite, "testcase", names)
        if row.mark in CASES:
            Tree.SubElement(case, CASES[row.mark], message=printable(row.text))
        else:
            Tree.SubElement(case, "system-out").text = printable(row.text)
    Tree.indent(suite, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{Tree.tostring(suite, encoding="unicode")}\n'


def _github(found: Finding) -> str:
    """Return workflow commands of GitHub Actions, which mark a change with each row."""
    lines = [
        f"::{COMMANDS[row.mark]} title=bench compare::{_one_line(row.text)}"
        for row in found.rows
        if row.mark in COMMANDS
    ]
    return "\n".join([*lines, _one_line(verdict(found))]) + "\n"


def _one_line(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")


FORMATS: Mapping[str, Callable[[Finding], str]] = MappingProxyType(
    {"text": _plain, "md": _markdown, "json": _json, "junit": _junit, "github": _github}
)


def render(format: str, found: Finding) -> str:
    """Return a comparison in a format of `FORMATS`; raise `BenchError` for any other."""
    if format not in FORMATS:
        raise BenchError(f'no format "{format}" of a comparison; there are: {", ".join(FORMATS)}')
    return FORMATS[format](found)
