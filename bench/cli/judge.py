"""`bench judge -- …`: keep an edit of the working tree, discard it, or measure more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from bench.cli.options import Quiet
from bench.cli.output import tell
from bench.cli.revisions import Limits, Output, Resume, Trust, behind, refuse_changes, request
from bench.errors import BenchError

if TYPE_CHECKING:
    import reports
    from bench.records.header import Header
    from bench.records.ledger import Edit, Ledger
    from bench.run.request import Request, Resumption

CODES = {"keep": 0, "discard": 1, "more": 3}
Base = Annotated[str, Option(help="the commit that the working tree is an edit of")]


def judge(
    context: typer.Context,
    base: Base = "HEAD",
    limit: Limits = None,
    output: Output = None,
    resume: Resume = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Judge an edit of the working tree against its last commit: keep, discard or more, as JSON.

    Behind -- stands what is trained, as for bench ab. It is kept where it is faster or smaller, and
    in nothing worse beyond a limit or the margin. All edits that are judged are noted beside the
    runs (judged.jsonl), and each must be the surer the more were tried: of what is kept, at most
    one in twenty is no gain, however many edits follow (LORD++). Exits with 0 for keep, 1 for
    discard, 3 for more: the budget ended before it was known.
    """
    from bench.analysis.online import next_level
    from bench.records.ledger import Ledger
    from bench.run.request import Resumption

    if resume is not None:
        refuse_changes(context)
        ledger = Ledger(resume.resolve().parent)
        _judged(Resumption(resume, trust), ledger, ledger.of_run(resume.resolve().name), quiet)
        return
    given = {**{k: v for k, v in (("limit", limit), ("output", output)) if v}, **behind(context)}
    asked = request("judge", base, ".", given)
    ledger = Ledger(asked.output)
    edit = ledger.begin(next_level)
    try:
        _judged(request("judge", base, ".", given, edit.level), ledger, edit,
                quiet or given.get("quiet", False))  # fmt: skip
    except BenchError:
        if not ledger.is_measured(edit):
            ledger.answer(edit.model_copy(update={"answer": "void"}))
        raise


def _judged(asked: Request | Resumption, ledger: Ledger, edit: Edit, quiet: bool) -> None:
    """Measure, note the answer, print it; the run is noted before its first trial."""
    from bench.cli.run import measured

    run, _ = measured(asked, quiet, begun=lambda header: ledger.answer(_noted(edit, header)))
    answer = "more" if run is None else _answer(run)
    if run is not None:
        ledger.answer(_noted(edit, run.header).model_copy(update={"answer": answer}))
        tell(json.dumps(_content(run, edit, answer, ledger), indent=1, ensure_ascii=False))
    raise typer.Exit(CODES[answer])


def _noted(edit: Edit, header: Header) -> Edit:
    commit = header.revisions.base.commit if header.revisions else None
    return edit.model_copy(update={"run": header.run, "commit": commit})


def _answer(run: reports.Run) -> str:
    """Return what to do with the edit; what no more pair may tell is discarded.

    Of a base that gives nothing itself, no edit is.
    """
    from bench.analysis.revised import Answer

    found = run.revised
    if found is None or found.goes_on or (found.answer is Answer.OPEN and not found.pairs):
        return "more"
    return "keep" if found.answer is Answer.IMPROVED else "discard"


def _content(run: reports.Run, edit: Edit, answer: str, ledger: Ledger) -> dict[str, Any]:
    """Return what is printed: the answer, why, and where it stands among all that were judged."""
    import reports

    edits = [one for one in ledger.edits() if one.answer != "void"]
    return {
        "format": 1,
        "answer": answer,
        "why": reports.verdict(run),
        "run": run.header.run,
        "level": edit.level,
        "judged": len(edits),
        "kept": sum(one.answer == "keep" for one in edits),
        "ledger": str(ledger.path),
        "revisions": json.loads(reports.render("json", run))["revisions"],
    }
