"""Start a run of one state of the code, or take one up again: from a request to a `Session`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from bench.analysis.levels import ALPHA, FIRST, MOST
from bench.analysis.objectives import QUALITY
from bench.analysis.screening import LOOKS
from bench.baseline import Baseline, Target
from bench.errors import BenchError
from bench.launch.local import Runner
from bench.launch.nodes import Nodes, nodes_on
from bench.machine import environment
from bench.machine.device import choose_device
from bench.machine.energy import read_counters
from bench.recipes import own_packages, ranges, registry, resolve, trust
from bench.recipes.assembly import check_files, settings_dump
from bench.recipes.loading import frame_of
from bench.recipes.program import notices_on
from bench.recipes.references import parse_technique, places_of, relative
from bench.recipes.resolve import prepared, target_of, threads_of
from bench.recipes.source import Sources, given_by, hashed
from bench.records.claim import Exported, read_exported
from bench.records.header import Arm, Header
from bench.records.measurement import BASELINE
from bench.records.ranges import Range
from bench.records.recipe import Recipe
from bench.records.run_folder import Folder, create, name_of, reopen
from bench.records.schema import Json, made
from bench.run import arm_names, identity
from bench.run.identity import CODE
from bench.run.kinds import check_told
from bench.run.observer import Observer
from bench.run.request import Request, Resumption
from bench.run.sampler import check_installed
from bench.run.session import Session
from bench.technique import Technique

MARGIN = 0.01
"""The largest loss that is accepted, where nobody says otherwise, in the metric's own units."""
ENERGY = "energy"
FIXED = {"baseline-only": 3}
"""Pairs where there is nothing to decide."""


@contextmanager
def new(asked: Request, show: Observer) -> Iterator[Session]:
    """Check a request, make its folder, and give the session; nothing is written when it is bad."""
    exported = [read_exported(Path(arm.recipe_file)) for arm in asked.arms if arm.recipe_file]
    reference, values, places = _basis(asked, exported)
    given = _code_of(exported, places)
    if given:
        show.note(f"running what the recipe names: {trust.described(given.values())}")
    baseline = registry.load_baseline(reference, given if exported else None)
    with launcher_of(asked.on, baseline, asked.trial_timeout_seconds) as runner:
        techniques = [resolve.make_techniques(a.techniques) for a in asked.arms if a.techniques]
        arm_names.labels(techniques)
        device = _device(asked)
        check_counted(asked, device)
        settings, notices = prepared(baseline, values)
        doubt = target_of(baseline, settings).doubt()
        doubts = filter(None, [doubt, _of_nodes(asked.on)])
        notices = (*notices, *cautions(techniques, device), *doubts)
        for notice in (*notices_on(places, reference), *notices):
            show.note(notice)
        code = given or hashed(places)
        recipe = resolve.baseline_recipe(reference, settings, places)
        check_told(asked.limits, baseline, recipe)
        header = header_of(asked, baseline, reference, settings, notices, device, code)
        folder = create(asked.output, header)
        trust.remember(code)
        with kept(folder):
            show.opened(folder)
            yield Session(folder, runner, baseline, recipe, code, show)


@contextmanager
def again(asked: Resumption, show: Observer) -> Iterator[Session]:
    """Open an unfinished run again, with everything as it was asked for.

    Raises `BenchError` where its code, libraries or settings are no longer what was measured, and
    for code that was never named on a command line here, unless it is trusted.
    """
    path, trusted = asked.path, asked.trusted
    folder = reopen(path)
    with closing(folder):
        header = folder.header
        show.opened(folder)
        for warning in (folder.trials.warning, folder.probes.warning):
            if warning:
                show.note(warning)
        code = identity.code_of(header, path)
        identity.check_code(header, code, path)
        trust.check(code, path, trusted, show.note)
        baseline = registry.load_baseline(header.baseline, code)
        identity.check_libraries(header)
        identity.check_machine(header)
        identity.check_own_code(header)
        settings = registry.make_settings(baseline, header.settings)
        recipe = resolve.baseline_recipe(header.baseline, settings, header.places)
        for record in folder.trials.records:
            if record.arm == BASELINE:
                identity.check_same(record, recipe)
        with launcher_of(header.on, baseline, header.trial_timeout_seconds) as runner:
            yield Session(folder, runner, baseline, recipe, code, show)


def _code_of(exported: list[Exported], places: dict[str, str]) -> Sources:
    """Return the files that exported recipes name."""
    files: dict[str, str] = {}
    for one in exported:
        files |= one.recipe.files | one.baseline.files
    return given_by(files, places)


def _basis(asked: Request, exported: list[Exported]) -> tuple[str, Json, dict[str, str]]:
    """Return the baseline's reference, its settings and the places of files."""
    if not exported:
        return asked.baseline, dict(asked.settings), _places(asked.baseline, asked.arms, [])
    first = exported[0].baseline
    others = [e for e in exported if e.baseline.id != first.id]
    if others and not asked.settings:
        raise BenchError(
            "these recipes were exported against different baselines; compare one by one"
        )
    places = _places(asked.baseline, asked.arms, exported)
    for one in exported:
        check_files(one.recipe, places)
    return first.baseline, {**first.settings, **asked.settings}, places


def _places(reference: str, arms: tuple[Arm, ...], exported: list[Exported]) -> dict[str, str]:
    references = [reference, *(parse_technique(t)[0] for a in arms for t in a.techniques)]
    places = places_of(references)
    for arm, recipe in zip([a for a in arms if a.recipe_file], exported, strict=True):
        folder = Path(arm.recipe_file or "").resolve().parent
        places |= {name: str(folder / name) for name in _files(recipe)}
    return places


def _files(exported: Exported) -> set[str]:
    recipes: tuple[Recipe, ...] = (exported.recipe, exported.baseline)
    return {name for recipe in recipes for name in recipe.files}


def header_of(  # long: a field a line
    asked: Request, baseline: Baseline, reference: str, settings: BaseModel,
    notices: tuple[str, ...], device: str, code: Sources,
) -> Header:  # fmt: skip
    """Return what the run is asked to do, resolved."""
    target = target_of(baseline, settings)
    threads = threads_of(baseline, settings, asked.threads)
    bare = [
        arm.model_copy(update={"techniques": tuple(relative(text) for text in arm.techniques)})
        for arm in asked.arms
    ]
    over = searched_over(baseline, settings, target) if is_search(asked) else {}
    fixed = asked.repeats or FIXED.get(asked.mode)
    now = datetime.now(UTC)
    return made(
        Header,
        run=name_of("_".join([baseline.name, *_part_of(asked), asked.mode]), now),
        started=now.isoformat(timespec="seconds"),
        mode=asked.mode,
        name=baseline.name,
        baseline=relative(reference),
        files={name: source.sha256 for name, source in code.items()},
        places={name: str(source.path) for name, source in code.items()},
        settings=settings_dump(settings),
        arms=tuple(bare),
        device=device,
        threads=threads,
        seed=asked.seed,
        repeats=fixed or MOST,
        first=None if fixed else FIRST,
        screening=LOOKS if asked.mode == "full-optimization" and not (fixed or over) else None,
        alpha=ALPHA,
        objectives=asked.objectives,
        limits=dict(asked.limits),
        times_baseline=dict(asked.times_baseline),
        ranges=over,
        chosen_by=target.chosen_by,
        budget_seconds=asked.budget_seconds,
        trial_timeout_seconds=asked.trial_timeout_seconds,
        margin=margin_of(asked.margin, target),
        margin_auto=asked.margin_auto,
        margin_is_relative=target.relative,
        metric_direction=target.direction or "higher",
        unit=baseline.unit,
        metric=target.metric,
        metric_bounds=target.bounds,
        target=target.value,
        reuse=asked.reuse,
        on=asked.on,
        claim=asked.claim,
        audit=asked.audit,
        command=asked.command,
        notices=notices,
        environment={**environment.capture(), CODE: own_packages.digest()},
    )


def _part_of(asked: Request) -> list[str]:
    """Return what tells a run from others of the same audit."""
    return [asked.audit.name] if asked.audit else []


def check_counted(asked: Request, device: str) -> None:
    """Raise `BenchError` where energy is asked for, and no counter tells it."""
    named = {*asked.objectives, *asked.limits, *asked.times_baseline}
    if asked.on is None and ENERGY in named and not read_counters(device):
        raise BenchError(
            f"this machine counts no energy of its {device}, or lets none but root read it: leave "
            "energy out of --objective and --limit"
        )


def is_search(asked: Request) -> bool:
    """Tell whether settings are searched for the best metric."""
    return asked.mode == "full-optimization" and QUALITY.name in asked.objectives


def searched_over(baseline: Baseline, settings: BaseModel, target: Target) -> dict[str, Range]:
    """Return the ranges of a search; raise `BenchError` where there is nothing it could go by."""
    if target.chosen_by is None:
        raise BenchError(
            f"baseline {baseline.name} names no metric of items held out of training, so settings "
            "would be chosen by the test items that judge them: name one, as in "
            f'Target("{target.metric}", chosen_by="validation_{target.metric}")'
        )
    check_installed()
    return ranges.searched(baseline, settings)


def cautions(arms: Sequence[Sequence[tuple[str, Technique]]], device: str) -> list[str]:
    """Return what speaks against techniques that were asked for, on this machine, each once."""
    said = [technique.caution(device) for used in arms for _, technique in used]
    return list(dict.fromkeys(text for text in said if text))


def margin_of(asked: float | None, target: Target) -> float:
    """Return the margin that was asked for, else the target's own, else a hundredth."""
    known = (asked, target.relative_margin, MARGIN)
    return next(margin for margin in known if margin is not None)


def runner_of(
    baseline: Baseline, timeout_seconds: float, laid: Mapping[str, Path] | None = None
) -> Runner:
    """Return what starts trials; `laid` are folders, by arm, of packages in other versions."""
    return Runner(getattr(baseline, "preload", ()), timeout_seconds, laid)


def launcher_of(on: str | None, baseline: Baseline, timeout_seconds: float) -> Runner | Nodes:
    """Return what starts trials: on this machine, or on the nodes of a scheduler."""
    if on is None:
        return runner_of(baseline, timeout_seconds)
    return nodes_on(on, getattr(baseline, "preload", ()), timeout_seconds)


def _of_nodes(on: str | None) -> str | None:
    """Say of a run on nodes which machine its header describes."""
    return on and (
        f"measured on the nodes of {on}: trials.jsonl says on which and what it is; what a report "
        "says of the machine is of the one that the run was started on"
    )


def _device(asked: Request) -> str:
    """Return the device of trials: nodes have what is named, though this machine may not."""
    named = asked.on is not None and asked.device in ("cpu", "cuda")
    return asked.device if named else choose_device(asked.device)


@contextmanager
def kept(folder: Folder) -> Iterator[None]:
    """Close a new folder at the end; remove it where the user's mistake left it empty."""
    with closing(folder):
        try:
            yield
        except Exception as error:
            if isinstance(error, BenchError) or frame_of(error):
                folder.discard()
            raise
