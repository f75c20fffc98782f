"""What `bench audit` prints and writes: text, Markdown, HTML, JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bench.analysis.audit import Held
from bench.analysis.findings import Found
from bench.errors import BenchError
from bench.records.files import write_text
from bench.records.text import printable
from reports import claimed, formatting
from reports.audit import Report, Section
from reports.formats.columns import WIDEST, Column, filled, first_fitting, laid_out, within
from reports.formats.json import as_text
from reports.formats.markdown import escape
from reports.page.template import own, template

TONES = MappingProxyType({
    Held.CONFIRMED: "good", Held.EXCEEDED: "good", Held.PARTLY: "open", Held.REFUTED: "bad",
    Held.OPEN: "open", Held.UNTESTABLE: "none",
})  # fmt: skip
COLUMNS = ("claim", "claimed", "found", "verdict", "work", "how")


def render(format: str, report: Report, width: int = 100) -> str:
    """Return an audit's report in a format; raise `BenchError` for an unknown one."""
    if format not in FORMATS:
        raise BenchError(f'no format "{format}" of an audit; there are: {", ".join(FORMATS)}')
    return FORMATS[format](report, width)


def write(report: Report) -> None:
    """Write the report as Markdown and HTML beside the audit's record."""
    for format in ("md", "html"):
        write_text(report.path / f"report.{format}", render(format, report, WIDEST))


def headline(counts: Mapping[Held, int]) -> str:
    """Return how many claims there are, and what was said of them."""
    total = sum(counts.values())
    said = ", ".join(f"{count} {held}" for held, count in counts.items())
    return f"{formatting.number(total, 'claim')}: {said}"


def summary(reports: Mapping[str, Report], names: Sequence[str]) -> str:
    """Return a line for each audit: how many claims have each verdict, where it was run."""
    rows: list[tuple[str, ...]] = [("audit", "claims", *map(str, Held), "measured")]
    for name in names:
        if (report := reports.get(name)) is None:
            rows.append((name, *["–"] * (len(Held) + 1), "not yet"))
            continue
        counts = report.of(name).counts
        numbers = [sum(counts.values()), *(counts.get(held, 0) for held in Held)]
        rows.append((name, *map(str, numbers), formatting.seconds(report.seconds(name))))
    return "\n".join(laid_out(_columns(rows))) + "\n"


def row(one: Found) -> tuple[str, ...]:
    """Return what a table says of a claim."""
    claim = one.claim
    found = claimed.found(claim, one.found) if one.found else "–"
    return claim.id, claimed.claimed(claim), found, str(one.held), one.work or "–", claim.how


def _text(report: Report, width: int) -> str:
    wide = within(width)
    lines: list[str] = []
    for section in report.sections:
        lines += [f"{section.audit.title}: {headline(section.counts)}", ""]
        lines += [*table([COLUMNS, *map(row, section.found)], wide), ""]
        told = [one for one in section.found if one.found is not None]
        said = [f"{one.claim.id}: {claimed.honestly(one)}" for one in told]
        lines += [line for text in [*said, *rivals(section)] for line in _hanging(text, wide)]
        lines.append("")
    if len(report.sections) > 1:
        lines += [f"in all: {headline(report.counts)}", ""]
    lines.append(f"report: {report.path / 'report.html'}")
    return printable("\n".join(lines)) + "\n"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[Column]:
    return [(title, list(cells)) for title, *cells in zip(*rows, strict=True)]


def table(rows: Sequence[tuple[str, ...]], wide: int) -> list[str]:
    """Return a table of as many columns as there is room for; none is cut: else a line a cell."""
    columns = _columns(rows)
    if fitting := first_fitting([columns, columns[:5], columns[:4]], wide):
        return laid_out(fitting)
    made: list[str] = []
    for name, *cells in rows[1:]:
        made += filled(name, wide)
        for title, cell in zip(rows[0][1:], cells, strict=True):
            made += _hanging(f"  {title} {cell}", wide)
    return made


def _hanging(text: str, wide: int) -> list[str]:
    first, *rest = filled(text, wide - 2)
    indent = "  " if text.startswith(" ") else ""
    return [indent + first, *(f"  {indent}{line}" for line in rest)]


def _markdown(report: Report, width: int) -> str:
    lines = [f"# Published claims, measured: {escape(headline(report.counts))}", ""]
    lines += [escape(_context(report)), ""]
    for section in report.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    audit = section.audit
    lines = [f"## {escape(audit.title)}", "", f"**{escape(headline(section.counts))}.** "
             f"{escape(audit.source)}", ""]  # fmt: skip
    lines += ["| claim | claimed | found | verdict | work |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(map(escape, row(one)[:5]))} |" for one in section.found]
    lines.append("")
    for one in section.found:
        honest = claimed.honestly(one)
        run = f" ([its run]({one.run}/report.md))" if one.run else ""
        lines.append(f"- **{escape(one.claim.id)}** ({escape(str(one.held))}): "
                     f"{escape(one.claim.says)} *Honestly:* {escape(honest)}. "
                     f"{escape(claimed.why(one, audit))}{run}")  # fmt: skip
    return [*lines, *(f"\n{escape(text)}" for text in rivals(section)), ""]


def rivals(section: Section) -> list[str]:
    """Return what a baseline's rival reaches, where it was run."""
    asked = section.audit.rival
    if asked is None or section.rival is None:
        return []
    return [f"Rival: {claimed.rival(asked.name, section.rival)}. {asked.why}"]


def _context(report: Report) -> str:
    facts = report.record.environment
    known = [str(facts[name]) for name in ("cpu", "system") if facts.get(name)]
    cores = facts.get("cores")
    spent = sum(report.record.seconds.values())
    parts = [report.record.run, *known, *([f"{cores} cores"] if cores else [])]
    if spent:
        parts.append(f"measured for {formatting.seconds(spent)}")
    return ", ".join(parts)


def _html(report: Report, width: int) -> str:
    return template("audit.html.j2").render(
        report=report, headline=headline, context=_context(report), row=row,
        honestly=claimed.honestly, why=claimed.why, tones=TONES, rivals=rivals,
        style=own("report.css"),
    )  # fmt: skip


def _json(report: Report, width: int) -> str:
    return as_text({
        "format": 1,
        "run": report.record.run,
        "counts": {str(held): count for held, count in report.counts.items()},
        "audits": {s.audit.name: [_row(one, s) for one in s.found] for s in report.sections},
        "rivals": {s.audit.name: s.rival._asdict() for s in report.sections if s.rival},
        "seconds": report.record.seconds,
        "environment": report.record.environment,
    })  # fmt: skip


def _row(one: Found, section: Section) -> dict[str, Any]:
    return {
        "claim": one.claim.id, "says": one.claim.says, "quantity": one.claim.quantity,
        "form": one.claim.form, "claimed": list(one.claim.range), "unit": one.claim.unit,
        "how": one.claim.how, "found": list(one.found) if one.found else None,
        "verdict": str(one.held), "work": one.work, "pairs": one.pairs,
        "honestly": claimed.honestly(one), "why": claimed.why(one, section.audit),
        "run": one.run or None,
    }  # fmt: skip


FORMATS: Mapping[str, Callable[[Report, int], str]] = MappingProxyType(
    {"text": _text, "md": _markdown, "html": _html, "json": _json}
)
