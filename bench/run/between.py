"""Start a run that compares two revisions of a user's code, or take one up again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.analysis.objectives import BY_NAME
from bench.errors import BenchError
from bench.machine.device import choose_device
from bench.recipes import registry, trust
from bench.recipes.source import Sources, given_by
from bench.records.header import Header
from bench.records.measurement import BASELINE
from bench.records.revisions import HEAD, Revision, Revisions
from bench.records.run_folder import create, reopen
from bench.run import identity
from bench.run.checkout import Repository, scratch_folder
from bench.run.compared import Compared
from bench.run.observer import Observer
from bench.run.request import Request, Resumption
from bench.run.session import Session
from bench.run.sides import Side, hidden, places, places_again, side_of
from bench.run.start import header_of, kept, runner_of


@contextmanager
def new(asked: Request, compared: Compared, show: Observer) -> Iterator[Session]:
    """Check both sides, make the run's folder, and give the session.

    Nothing is written when a side can't be trained with these settings; commits are checked out
    into a temporary folder, which is removed whatever happens.
    """
    with scratch_folder() as folder:
        first, second, repository = places(compared, folder)
        others = [repository.top] if repository else []
        base, head = (side_of(compared, each, asked.settings, others) for each in (first, second))
        revisions = Revisions(
            base=base.revision, head=head.revision, limits=dict(compared.limits),
            repository=str(repository.top) if repository else None, folder=str(folder),
            within=repository.within if repository else ".", alpha=compared.alpha,
        )  # fmt: skip
        _check_limits(revisions.limits)
        with runner_of(base.baseline, asked.trial_timeout_seconds) as runner:
            header = _header(asked, base, head, revisions)
            for notice in (revisions.label, *header.notices):
                show.note(notice)
            run = create(asked.output, header)
            trust.remember(base.code)
            trust.remember(head.code)
            with kept(run):
                show.opened(run)
                yield Session(
                    run, runner, base.baseline, base.recipe, base.code, show, head=head.code
                )


def _header(asked: Request, base: Side, head: Side, revisions: Revisions) -> Header:
    notices = (*base.notices, *head.notices)
    device = choose_device(asked.device)
    plain = replace(asked, baseline=base.reference)
    header = header_of(
        plain, base.baseline, base.reference, base.settings, tuple(dict.fromkeys(notices)), device,
        base.code,
    )  # fmt: skip
    return header.model_copy(update={"revisions": revisions})


@contextmanager
def again(asked: Resumption, known: Revisions, show: Observer) -> Iterator[Session]:
    """Open an unfinished run again, its commits checked out where they were.

    Raises `BenchError` where a side is no longer what was measured, and for code that was never
    named on a command line here, unless it is trusted.
    """
    run = reopen(asked.path)
    with closing(run), scratch_folder(known.folder) as folder, hidden(_own(known)):
        for side in (known.base, known.head):
            code = given_by(side.recipe.files, side.places)
            trust.check(code, asked.path, asked.trusted, show.note)
        places_again(known, folder)
        header = run.header
        show.opened(run)
        for warning in filter(None, (run.trials.warning, run.probes.warning)):
            show.note(warning)
        base, head = (_code_of(header, each, asked) for each in (known.base, known.head))
        identity.check_libraries(header)
        identity.check_own_code(header)
        baseline = registry.load_baseline(header.baseline, base)
        for record in run.trials.records:
            own = {BASELINE: known.base, HEAD: known.head}.get(record.arm)
            if own is not None:
                identity.check_same(record, own.recipe)
        with runner_of(baseline, header.trial_timeout_seconds) as runner:
            yield Session(run, runner, baseline, known.base.recipe, base, show, head=head)


def _own(known: Revisions) -> list[Path]:
    """Return the user's repository; raise `BenchError` anywhere but in it: git runs its filters."""
    if known.repository is None:
        return []
    here = Repository.around(Path.cwd())
    if here is None or str(here.top) != known.repository:
        raise BenchError(f"this run compares commits of {known.repository}: resume it in there")
    return [here.top]


def _code_of(header: Header, side: Revision, asked: Resumption) -> Sources:
    """Return the files of a side, as they were measured."""
    code = given_by(side.recipe.files, side.places)
    identity.check_code(header, code, asked.path)
    return code


def _check_limits(limits: Mapping[str, float]) -> None:
    """Refuse a limit of what no trial measures of a training."""
    for name in limits:
        if name not in BY_NAME or BY_NAME[name].effects != BY_NAME["time"].effects:
            raise BenchError(f"{name} can't be limited here; there are: time, memory, energy")
