"""What lies around the figures: searches, refusals, failures, settings, data, machine, trials."""

from __future__ import annotations

from math import factorial
from statistics import median
from typing import Any

from bench.analysis.attribution import Attribution
from bench.analysis.verdict import Verdict
from bench.data_card import DataCard
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, UNTRIED, Measurement
from bench.records.recipe import LOCAL_SETTINGS, Recipe
from reports import formatting
from reports.run import Run
from reports.tables import Table, table


def searches(run: Run) -> list[tuple[str, Table]]:
    """Return, for each technique that searched, what it cost and what it tried."""
    names = dict.fromkeys(probe.arm for probe in run.probes)
    return [_search(run, name) for name in names]


def inapplicable(run: Run) -> Table | None:
    """Return what does not apply here, and why."""
    found = [r for r in run.candidates if r.verdict is Verdict.NOT_APPLICABLE]
    return table(("candidate", "why"), [(result.arm, result.reason) for result in found])


def failures(run: Run) -> Table | None:
    """Return every trial that gave no measurement, also those of arms that gave others."""
    known = {
        r.arm for r in run.candidates if r.verdict in (Verdict.NOT_APPLICABLE, Verdict.BOUNDED)
    }
    lost = [
        trial
        for trial in run.trials
        if not trial.ok and not (trial.status in UNTRIED and trial.arm in known)
    ]
    columns = ("arm", "pair", "seed", "outcome", "reason")
    return table(
        columns, [(t.arm, str(t.pair), str(t.seed), outcome(t), t.reason or "") for t in lost]
    )


def outcome(measured: Measurement) -> str:
    """Return a status as words."""
    return str(measured.status).replace("_", " ")


def attribution(run: Run) -> Table | None:
    """Return what each technique of the confirmed combination adds to its gain."""
    found = run.comparison.attribution
    if found is None:
        return None
    columns = ("technique", f"adds to {found.objective}", "pairs at least")
    alone = [(one.technique, one.ratio) for one in found.contributions]
    both = [(" with ".join(one.techniques), one.ratio) for one in found.interactions]
    rows = [
        (what, formatting.ratio_with_interval(ratio), str(found.rounds))
        for what, ratio in (*alone, *both)
    ]
    return table(columns, rows)


def attribution_basis(run: Run) -> str | None:
    """Return by how many subsets and orders of a combination its parts' shares are told.

    And what it gains in the fresh pairs that judge it, which are others.
    """
    found = run.comparison.attribution
    if found is None:
        return None
    result = run.result(found.arm)
    judged = result.ratio(found.objective) if result and result.confirmed else None
    fresh = formatting.ratio_with_interval(judged)
    said = f" The fresh pairs that judge the whole give {fresh}." if judged else ""
    return f"{_measured_subsets(found)}{said}"


def _measured_subsets(found: Attribution) -> str:
    parts = len(found.contributions)
    subsets, orders = 2**parts - 1, factorial(parts)
    pairs = formatting.number(found.rounds, "pair")
    if found.orders == orders:
        return f"All {subsets} combinations of its parts were measured, each in {pairs} or more."
    return (
        f"{found.subsets} of the {subsets} combinations of its parts were measured, each in "
        f"{pairs} or more: those of {found.orders} of the {orders} orders."
    )


def settings(run: Run) -> Table | None:
    """Return the baseline's settings."""
    found = run.header.settings.items()
    return table(("setting", "value"), [(key, formatting.value(value)) for key, value in found])


def changes(run: Run) -> Table | None:
    """Return what each arm's recipe changed of these, and its techniques' own settings."""
    asked: dict[str, Measurement] = {}
    for trial in run.judging:
        if trial.pair >= 0 and trial.arm not in (BASELINE, CONTROL):
            asked.setdefault(trial.arm, trial)
    first = {arm: Recipe.model_validate(trial.recipe) for arm, trial in asked.items()}
    rows = [
        (r.arm, _techniques(first[r.arm]), _changed_text(run, first[r.arm]) or "nothing",
         first[r.arm].id)
        for r in run.candidates
        if r.arm in first
    ]  # fmt: skip
    return table(("arm", "techniques", "changed settings of the baseline", "recipe id"), rows)


def data(run: Run) -> Table | None:
    """Return the data card."""
    card = next((trial.data for trial in run.trials if trial.data), None)
    return table(("data", ""), _data_rows(card)) if card else None


def environment(run: Run) -> Table | None:
    """Return the machine, its software, and how it was used."""
    header = run.header
    used = {
        "device": header.device,
        "threads of a trial": header.threads,
        "first seed": header.seed,
        "pairs for each arm": _pairs(header),
        "margin": run.margin,
        "budget": formatting.seconds(header.budget_seconds) if header.budget_seconds else "none",
        "limit of a trial": formatting.seconds(header.trial_timeout_seconds),
        "started": header.started,
        "time in trials": formatting.seconds(
            sum(t.wall_seconds or 0.0 for t in (*run.trials, *run.probes))
        ),
    }
    rows = [(key, formatting.value(value)) for key, value in used.items()]
    rows += [(_label(key), _fact(key, value)) for key, value in header.environment.items()]
    return table(("environment", ""), rows)


def _search(run: Run, name: str) -> tuple[str, Table]:
    probes = [probe for probe in run.probes if probe.arm == name]
    keys = list(dict.fromkeys(key for probe in probes for key in _changed(run, probe.recipe)))
    chosen = _chosen(run, name, keys)
    rows = [_probe_row(run, probe, keys, chosen) for probe in probes]
    made = table((*keys, "outcome", "throughput", "peak memory", "took", ""), rows)
    spent = formatting.seconds(sum(probe.wall_seconds or 0.0 for probe in probes))
    assert made is not None
    return f"{name} tried {formatting.number(len(rows), 'setting')} in {spent}", made


def _probe_row(
    run: Run, probe: Measurement, keys: list[str], chosen: list[dict[str, Any]]
) -> list[str]:
    own = {key: probe.recipe.get("settings", {}).get(key) for key in keys}
    rate = 1 / probe.seconds_per_item if probe.seconds_per_item else None
    said = outcome(probe) if probe.ok else f"{outcome(probe)}: {probe.reason}"
    return [
        *(formatting.value(value) for value in own.values()),
        said,
        formatting.rate(rate, run.unit),
        formatting.size(probe.peak_memory_bytes),
        formatting.seconds(probe.wall_seconds),
        "chosen" if own in chosen else "",
    ]


def _chosen(run: Run, name: str, keys: list[str]) -> list[dict[str, Any]]:
    """Return what the recipes that use a technique have for the settings it searched."""
    recipes = [t.recipe for t in run.judging if name in t.arm.split("+") and t.pair >= 0]
    return [{key: recipe.get("settings", {}).get(key) for key in keys} for recipe in recipes]


def _changed(run: Run, recipe: dict[str, Any]) -> dict[str, Any]:
    old = run.header.settings
    new = recipe.get("settings", {})
    return {k: v for k, v in new.items() if k not in LOCAL_SETTINGS and old.get(k) != v}


def _changed_text(run: Run, recipe: Recipe) -> str:
    changed = _changed(run, {"settings": recipe.settings})
    old = run.header.settings
    return ", ".join(
        f"{key} {formatting.value(old.get(key))} → {formatting.value(value)}"
        for key, value in changed.items()
    )


def _techniques(recipe: Recipe) -> str:
    return "; ".join(
        f"{use.name} ({formatting.assignments(use.settings)})" if use.settings else use.name
        for use in recipe.techniques
    )


def _data_rows(card: DataCard) -> list[tuple[str, str]]:
    rows = [
        ("name", card.name),
        ("training part", _part(card.train_items)),
        ("test part", _part(card.test_items)),
        ("sha256", f"{card.sha256[:12]}…"),
    ]
    return rows + [("note", note) for note in card.notes]


def _part(items: int) -> str:
    """Return how large a part is; a stream gives 0, as it doesn't tell its length."""
    return formatting.number(items, "item") if items else "unknown"


def _pairs(header: Header) -> str:
    """Return in how many pairs an arm is judged: a sequential test ends with its answer."""
    if header.first is None:
        return str(header.repeats)
    judged = f"{header.first} to {header.repeats}"
    if header.screening is None:
        return judged
    first, most = header.screening
    return f"{first} to {most} to screen it, {judged} to confirm it"


def _label(key: str) -> str:
    return key.removesuffix("_bytes").replace("_", " ")


def _fact(key: str, value: Any) -> str:
    if key.endswith("_bytes"):
        return formatting.size(value)
    if key == "load_average" and value is not None:
        return f"{value:.2f} at the start"
    if isinstance(value, dict):
        known = [
            f"{name} {formatting.value(found)}"
            for name, found in value.items()
            if found is not None
        ]
        return ", ".join(known) or "none"
    if isinstance(value, list):
        return "; ".join(_fact("", part) for part in value) or "none"
    return formatting.UNKNOWN if value is None else formatting.value(value)


def counting(run: Run) -> list[str]:
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


def trials(run: Run) -> Table | None:
    """Return every trial, in the order of ``trials.jsonl``, with the number of its line."""
    columns = ("line", "arm", "pair", "seed", "kind", "outcome", "started", "took", "step",
               "peak memory", run.header.metric)  # fmt: skip
    return table(columns, (_trial_row(number, trial) for number, trial in run.numbered))


def _trial_row(number: int, trial: Measurement) -> list[str]:
    step = median(trial.step_seconds) if trial.step_seconds else None
    return [
        str(number),
        trial.arm,
        str(trial.pair) if trial.pair >= 0 else "–",
        str(trial.seed),
        f"{trial.kind}, {trial.stage}",
        outcome(trial) + (" (disturbed)" if trial.disturbed else ""),
        trial.started.partition(".")[0].removesuffix("+00:00"),
        formatting.seconds(trial.wall_seconds),
        formatting.seconds(step),
        formatting.size(trial.peak_memory_bytes),
        formatting.metric(trial.metric),
    ]
