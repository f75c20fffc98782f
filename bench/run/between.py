"""Start a run that compares two revisions of a user's code, or take one up again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.analysis.objectives import BY_NAME
from bench.errors import BenchError
from bench.launch.layer import lay
from bench.machine.device import choose_device
from bench.recipes import registry, trust
from bench.recipes.source import Sources, given_by
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL
from bench.records.revisions import HEAD, Revision, Revisions
from bench.records.run_folder import create, reopen
from bench.run import identity
from bench.run.checkout import Repository, left_out, scratch_folder
from bench.run.compared import Compared
from bench.run.observer import Observer
from bench.run.request import Request, Resumption
from bench.run.session import Session
from bench.run.sides import Side, hidden, places, places_again, side_of
from bench.run.start import check_counted, header_of, kept, runner_of

ENVIRONMENT = "environment"


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
        laid, of_base = _laid(compared.base_requirements, base.revision, folder)
        revisions = Revisions(
            base=of_base, head=head.revision, limits=dict(compared.limits),
            repository=str(repository.top) if repository else None, folder=str(folder),
            within=repository.within if repository else ".", alpha=compared.alpha,
        )  # fmt: skip
        _check_limits(asked, revisions.limits)
        with runner_of(base.baseline, asked.trial_timeout_seconds, laid) as runner:
            header = _header(asked, base, head, revisions)
            has_commit = bool(first.commit or second.commit)
            unkept = left_out(repository) if repository and has_commit else None
            for notice in filter(None, (revisions.label, unkept, *header.notices)):
                show.note(notice)
            run = create(asked.output, header)
            trust.remember(base.code)
            trust.remember(head.code)
            with kept(run):
                show.opened(run)
                yield Session(
                    run, runner, base.baseline, base.recipe, base.code, show, head=head.code
                )


def _laid(
    requirements: Path | None, base: Revision, folder: Path
) -> tuple[dict[str, Path] | None, Revision]:
    """Install what the base has in other versions; return where, by arm, and what is recorded."""
    if requirements is None:
        return None, base
    layer = lay(requirements, folder / ENVIRONMENT)
    facts = {"requirements": str(requirements.resolve()), "versions": layer.versions}
    return {BASELINE: layer.folder, CONTROL: layer.folder}, base.model_copy(update=facts)


def _laid_again(base: Revision, folder: Path) -> dict[str, Path] | None:
    """Install it again for a run that goes on; raise `BenchError` for any other version."""
    if base.requirements is None:
        return None
    laid, now = _laid(Path(base.requirements), base, folder)
    if now.versions != base.versions:
        raise BenchError(
            f"base was measured with {_listed(base.versions)}, pip gives {_listed(now.versions)} "
            "now: start a new run"
        )
    return laid


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


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
        laid = _laid_again(known.base, folder)
        header = run.header
        show.opened(run)
        for warning in filter(None, (run.trials.warning, run.probes.warning)):
            show.note(warning)
        base, head = (_code_of(header, each, asked) for each in (known.base, known.head))
        identity.check_libraries(header)
        identity.check_machine(header)
        identity.check_own_code(header)
        baseline = registry.load_baseline(header.baseline, base)
        for record in run.trials.records:
            own = {BASELINE: known.base, HEAD: known.head}.get(record.arm)
            if own is not None:
                identity.check_same(record, own.recipe)
        with runner_of(baseline, header.trial_timeout_seconds, laid) as runner:
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


def _check_limits(asked: Request, limits: Mapping[str, float]) -> None:
    """Refuse a limit of what no trial measures of a training, or nothing counts here."""
    for name in limits:
        if name not in BY_NAME or BY_NAME[name].effects != BY_NAME["time"].effects:
            raise BenchError(f"{name} can't be limited here; there are: time, memory, energy")
    check_counted(replace(asked, limits=limits), choose_device(asked.device))
