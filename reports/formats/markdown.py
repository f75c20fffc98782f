"""``report.md``: the verdict first, then everything that it rests on."""

from __future__ import annotations

import re
from typing import Any

from bench.analysis.intervals import METRIC_LEVEL
from bench.records.measurement import BASELINE
from bench.records.text import printable
from reports import arm_tables, bounds, context_tables, formatting, learning, sentences, warnings
from reports.run import CURVES, Run

TEMPLATE = "report.md.j2"
MODES = {
    "baseline-only": "the baseline alone",
    "test": "techniques, each alone",
    "combine": "techniques, together",
    "full-optimization": "every technique screened, the winners combined and confirmed",
    "recipe": "exported recipes",
    "verify": "an exported recipe, measured again",
}


def render(run: Run) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("reports", "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # this is no HTML; the filters below take its place
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"text": escape, "fence": fence}
    text = pages.get_template(TEMPLATE).render(_content(run))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def escape(text: str) -> str:
    """Return a text that shows as it is, on one line, inside a table or out of it."""
    line = printable(" ".join(text.split()))
    line = re.sub(r"[\\`*|~]|<(?=[A-Za-z/!?])", r"\\\g<0>", line)
    line = re.sub(r"(?<!\w)_+|_+(?!\w)", lambda found: r"\_" * len(found[0]), line)
    return re.sub(r"&(?=#?\w+;)", "&amp;", line).replace("](", r"]\(")


def fence(text: str) -> str:
    """Return a shell code block that its content can't end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}sh\n{printable(text)}\n{marks}"


def _content(run: Run) -> dict[str, Any]:  # long: an entry a line
    header = run.header
    return {
        "title": run.title,
        "asked": MODES.get(header.mode, header.mode),
        "context": _context(run),
        "verdict": sentences.verdict(run),
        "race": sentences.race(run),
        "remarks": [r for r in (sentences.unfinished(run), sentences.incomplete(run)) if r],
        "notices": header.notices,
        "verdicts": arm_tables.verdicts(run),
        "reasons": [(r.arm, str(r.verdict), sentences.reason(run, r)) for r in run.candidates],
        "bounds": bounds.bounds(run),
        "profile": bounds.profile(run),
        "left_out": bounds.left_out(run),
        "attribution": context_tables.attribution(run),
        "noise": sentences.noise(run),
        "warnings": warnings.warnings(run),
        "times": arm_tables.times(run),
        "memory": arm_tables.memory(run),
        "model": arm_tables.model(run),
        "learnt": learning.learnt(run),
        "counting": _counting(run),
        "curves": f"plots/{CURVES}" if run.drawn else None,
        "phases": arm_tables.phases(run),
        "setups": arm_tables.setups(run),
        "searches": context_tables.searches(run),
        "inapplicable": context_tables.inapplicable(run),
        "failures": context_tables.failures(run),
        "settings": context_tables.settings(run),
        "changes": context_tables.changes(run),
        "data": context_tables.data(run),
        "commands": "\n".join(
            f"# {what}\n{command}" for what, command in context_tables.commands(run)
        ),
        "environment": context_tables.environment(run),
        "device": header.device,
        "metric": header.metric,
        "margin": formatting.margin(run.comparison.margin, run.comparison.margin_is_relative),
        "error": f"{run.comparison.rule.alpha:.0%}".replace("%", " %"),
        "metric_level": f"{METRIC_LEVEL:.0%}".replace("%", " %"),
    }


def _context(run: Run) -> str:
    """Return what was run, where and when, in one line."""
    header = run.header
    card = next((trial.data for trial in run.trials if trial.data), None)
    words = [
        *([card.name] if card else []),
        header.device,
        formatting.number(header.threads, "thread"),
        formatting.number(len(run.trials), "trial"),
        f"started {header.started}",
        f"run {header.run}",
    ]
    return ", ".join(words)


def _counting(run: Run) -> list[str]:
    """Return what was not counted of the FLOPs, and what other counters say."""
    found = []
    for arm in run.measured:
        missed = sorted({name for trial in run.of(arm) for name in trial.flops_uncounted})
        if missed:
            found.append(f"Not counted in {arm}: {', '.join(missed)}.")
    check = next((t.flops_check for t in run.of(BASELINE) if t.flops_check), None)
    if check:
        found.append(
            f"Forward FLOPs of one item by three counters: ours {formatting.flops(check.ours)}, "
            f"fvcore {formatting.flops(check.fvcore)}, thop {formatting.flops(check.thop)}. "
            "The other two know fewer operations."
        )
        found += [f"{name} can't tell: {reason}." for name, reason in check.unknown.items()]
    return found
