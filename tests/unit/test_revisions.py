"""Two revisions: each has its own code, and a regression counts once fresh pairs confirm it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.analysis.revised import Answer, revised
from bench.cli.judge import _answer as to_do
from bench.cli.parse import parse_shares
from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import BASELINE, Measurement, Status
from bench.records.planned import check_planned
from bench.records.recipe import Recipe
from bench.records.revisions import HEAD, Revision, Revisions
from bench.run.between import _check_limits
from bench.run.compared import RECIPE, Compared
from bench.run.open_arms import has_won
from bench.run.request import Request
from bench.run.sides import Place, side_of
from reports.revisions import said
from tests.records import MIB, exported, failed, header, measurement, recipe

CHANGED = recipe(lr=0.002)
NOISE = (0.0, 0.01, -0.01, 0.005)
MODEL_FILE = "net_of_a_test.py"
MODEL = """
from bench.baseline import Settings, Target
from {module} import width

class Net:
    name, unit, target, settings = "net", "items", Target("accuracy"), Settings

    def job(self, settings, device, seed):
        raise NotImplementedError(width)
"""


def compared(**changes: Any) -> Header:
    sides = Revisions(
        base=Revision(given="main", commit="a" * 40, recipe=recipe()),
        head=Revision(given=".", recipe=CHANGED),
        limits={"time": 0.05, "memory": 0.1},
    )
    return header(**{"mode": "ab", "arms": (), "first": 4, "repeats": 30, "revisions": sides,
                     "raced": {"test": 1, "confirm": 1}, **changes})  # fmt: skip


def pairs(
    slower: float, stage: str = "test", first: int = 0, lost: float = 0.0
) -> list[Measurement]:
    """Return four pairs of which the head takes `slower` times as long, with a little noise."""
    found = []
    for pair, noise in enumerate(NOISE, first):
        losses = tuple(1 / (1 + pair + step) for step in range(20))
        found.append(measurement(pair=pair, stage=stage, losses=losses))
        found.append(measurement(
            HEAD, pair, seconds=slower + noise, memory=50 * MIB, metric=0.9 - lost, stage=stage,
            effect=None, work=None, losses=losses, recipe=CHANGED.model_dump(mode="json"),
        ))  # fmt: skip
    return found


def answers(trials: Sequence[Measurement], **changes: Any) -> tuple[Answer, bool]:
    found = revised(compared(**changes), trials)
    return found.answer, found.goes_on


def test_a_regression_is_open_until_fresh_pairs_confirm_it() -> None:
    seen = pairs(1.3)
    assert answers(seen) == (Answer.OPEN, True)
    assert answers([*seen, *pairs(1.3, "confirm", 40)]) == (Answer.REGRESSED, False)
    assert answers([*seen, *pairs(1.0, "confirm", 40)]) == (Answer.KEPT, False)


def test_an_edit_that_is_judged_needs_no_second_proof_to_be_discarded() -> None:
    assert answers(pairs(1.3), mode="judge") == (Answer.REGRESSED, False)


def test_a_change_is_kept_improved_or_not_told_by_its_pairs() -> None:
    assert answers(pairs(1.0)) == (Answer.KEPT, False)
    assert answers(pairs(0.8)) == (Answer.IMPROVED, False)
    assert answers(pairs(1.05)) == (Answer.OPEN, True)


def test_a_fixed_number_of_pairs_answers_though_the_base_failed_in_one() -> None:
    trials = pairs(1.0)
    trials[0] = failed(BASELINE, 0)
    assert answers(trials, first=None, repeats=4) == (Answer.KEPT, False)


def test_a_lost_metric_is_a_regression_whatever_is_gained() -> None:
    trials = [*pairs(0.8, lost=0.3), *pairs(0.8, "confirm", 40, lost=0.3)]
    found = revised(compared(), trials)
    assert [row.name for row in found.rows if row.answer is Answer.REGRESSED] == ["accuracy"]
    assert found.answer is Answer.REGRESSED


def test_other_losses_leave_the_metric_open_that_equal_ones_settle() -> None:
    moved = [t.model_copy(update={"losses": (2.0, *t.losses[1:])}) for t in pairs(1.0)[1::2]]
    trials = [*pairs(1.0)[::2], *moved]
    assert answers(trials) == (Answer.OPEN, True)


@pytest.mark.parametrize("slower", [1.0, 0.8])
def test_a_limit_that_no_pair_tells_of_leaves_the_answer_open(slower: float) -> None:
    sides = compared().revisions
    assert sides is not None
    limited = sides.model_copy(update={"limits": {"time": 0.05, "energy": 0.05}})
    found = revised(compared(revisions=limited), pairs(slower))
    assert (found.answer, found.goes_on) == (Answer.OPEN, False)
    assert found.reason == "energy, which is limited, was not measured"
    assert found.reason in said(limited, found)
    assert answers(pairs(1.3), mode="judge", revisions=limited)[0] is Answer.REGRESSED


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ((0.0, 0.3), "accuracy can't be told: the base's is 0, and its margin is a share of it"),
        ((0.9, None), "accuracy was not measured of both sides"),
    ],
)
def test_a_metric_that_no_pair_tells_of_leaves_the_answer_open(
    metrics: tuple[float | None, float | None], reason: str
) -> None:
    trials = [
        trial.model_copy(update={"metric": metrics[trial.arm == HEAD]}) for trial in pairs(1.0)
    ]
    found = revised(compared(margin_is_relative=True), trials)
    assert (found.answer, found.goes_on, found.reason) == (Answer.OPEN, False, reason)
    for same in (None, 0.0):
        equal = [trial.model_copy(update={"metric": same}) for trial in trials]
        assert answers(equal, margin_is_relative=True) == (Answer.KEPT, False)


def test_a_limit_of_energy_is_refused_where_nothing_counts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counters: list[object] = []
    monkeypatch.setattr("bench.run.start.read_counters", lambda device: counters)
    asked = Request(mode="ab", baseline="", device="cpu")
    with pytest.raises(BenchError, match="this machine counts no energy of its cpu"):
        _check_limits(asked, {"time": 0.05, "energy": 0.05})
    _check_limits(asked, {"time": 0.05})
    counters.append("one")
    _check_limits(asked, {"energy": 0.05})


def test_a_change_that_may_yet_be_a_gain_is_measured_on() -> None:
    found = revised(compared(), pairs(0.97))
    assert (found.answer, found.goes_on) == (Answer.KEPT, True)
    assert answers([*pairs(1.3), *pairs(0.97, "confirm", 40)]) == (Answer.KEPT, False)


def test_nothing_of_a_budget_is_kept_to_confirm_that_a_change_is_better() -> None:
    head = compared(budget_seconds=100.0, margin=0.5)  # of 20 test items a smaller one isn't kept
    assert not has_won(head, pairs(0.7), [HEAD], "test")


def test_a_metric_of_one_seed_again_and_again_is_no_evidence() -> None:
    own = {"losses": (1.0, 0.5)}
    trials = [t.model_copy(update=own) for t in pairs(1.0, lost=0.3)]
    found = revised(compared(), trials)
    assert (found.answer, found.goes_on) == (Answer.OPEN, False)
    assert found.reason is not None
    assert found.reason.startswith("every seed gives the same training")
    assert answers([t.model_copy(update=own) for t in pairs(1.0)]) == (Answer.KEPT, False)


def test_a_metric_of_one_seed_is_seen_on_the_first_pair_that_has_it() -> None:
    trials = [t.model_copy(update={"losses": (1.0, 0.5)}) for t in pairs(1.0, lost=0.3)]
    trials[1] = failed(HEAD, 0, Status.TIMED_OUT, "60 s are over")
    (metric,) = (row for row in revised(compared(), trials).rows if row.is_metric)
    assert metric.worse.middle == pytest.approx(0.3)
    assert metric.answer is Answer.OPEN


def test_a_head_that_cant_be_rehearsed_has_regressed() -> None:
    trial = failed(HEAD, -1, reason="ValueError: no")
    found = revised(compared(), [trial])
    assert (found.answer, found.reason) == (Answer.REGRESSED, "ValueError: no")


def test_a_head_that_never_ends_has_regressed_and_a_base_that_fails_says_why() -> None:
    late = [
        failed(t.arm, t.pair, Status.TIMED_OUT, "60 s are over") if t.arm == HEAD else t
        for t in pairs(1.0)
    ]
    assert answers(late[:2]) == (Answer.OPEN, True)
    sides = compared().revisions
    assert sides is not None
    once = said(sides, revised(compared(), late[:2]))
    assert once.startswith(
        "Whether head has regressed could not be told, in 1 pair: 1 of 1 trainin"
    )
    found = revised(compared(mode="judge"), late[:4])
    assert (found.answer, found.goes_on) == (Answer.REGRESSED, False)
    assert found.reason == (
        "2 of 2 trainings failed where the base's did not (timed out: 60 s are over)"
    )
    lost = [failed(t.arm, t.pair) if t.arm == BASELINE else t for t in pairs(1.0)]
    found = revised(compared(mode="judge"), lost)
    assert (found.answer, found.goes_on) == (Answer.OPEN, False)
    assert found.reason == "the base's trainings fail: it broke"
    run: Any = SimpleNamespace(revised=found)
    assert to_do(run) == "more"  # no edit is to blame for it
    assert said(sides, found).startswith("Whether head has regressed could not be told")


def test_the_answer_says_by_how_much_and_what_would_have_been_seen() -> None:
    run = compared()
    assert run.revisions is not None
    text = said(run.revisions, revised(run, pairs(1.0)))
    assert text.startswith("head has not regressed beyond the limit, in 4 pairs: time +0.1 % (")
    assert "limit +5 %); memory +0.0 %" in text
    assert "accuracy worse by 0 (0 to 0; margin 0.01)" in text
    assert "The smallest regression that this would have seen: time +" in text
    assert text.endswith(f"Base is main ({'a' * 12}), head is the working tree.")


def test_a_record_of_neither_side_is_refused_with_file_and_line(tmp_path: Path) -> None:
    stranger = measurement(HEAD, 0, recipe=recipe(lr=0.5).model_dump(mode="json"))
    check_planned(compared(), pairs(1.0), tmp_path)
    with pytest.raises(
        BenchError, match=r"line 1: head of pair 0 has another recipe than the working"
    ):
        check_planned(compared(), [stranger], tmp_path)


@pytest.mark.parametrize("text", ["time", "time=5", "time=x%"])
def test_a_limit_that_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="is no share; write time=5%"):
        parse_shares([text])
    assert parse_shares(["time=5%", "memory=2.5 %"]) == {"time": 0.05, "memory": 0.025}


def written(folder: Path, module: str, width: int) -> Path:
    """Write a model and the module beside it that it imports."""
    folder.mkdir()
    (folder / MODEL_FILE).write_text(MODEL.format(module=module))
    (folder / f"{module}.py").write_text(f"width = {width}")
    return folder


def placed(folder: Path) -> Place:
    return Place(folder.name, None, folder, folder)


def test_either_side_has_its_own_file_and_what_that_imports(tmp_path: Path) -> None:
    asked = Compared("old", "new", Path(MODEL_FILE), "Net")
    folders = [
        written(tmp_path / name, "width_of_a_test", w) for name, w in (("old", 1), ("new", 2))
    ]
    old, new = (side_of(asked, placed(folder), {}, []) for folder in folders)
    name = "width_of_a_test.py"
    assert old.recipe.files[MODEL_FILE] == new.recipe.files[MODEL_FILE]
    assert old.recipe.files[name] != new.recipe.files[name]
    assert [Path(side.revision.places[name]).parent for side in (old, new)] == folders


def test_a_recipe_takes_the_code_of_each_side_and_no_copy_that_a_run_left(tmp_path: Path) -> None:
    tree = written(tmp_path / "tree", "beside_a_recipe", 1)
    code = {name: hashlib.sha256((tree / name).read_bytes()).hexdigest() for name in (MODEL_FILE,)}
    made = Recipe(baseline=f"{MODEL_FILE}:Net", settings={"threads": 1}, files=code)
    known = exported(recipe=made, recipe_id=made.id, baseline=made, baseline_id=made.id)
    run = tree / "results" / "run"
    run.mkdir(parents=True)
    (run / "optimized.json").write_text(known.model_dump_json())
    for name in ("run.json", MODEL_FILE):
        (run / name).write_text("copied")
    asked = Compared(".", ".", Path("results/run/optimized.json"), RECIPE)
    side = side_of(asked, placed(tree), {}, [])
    assert Path(side.revision.places[MODEL_FILE]) == tree / MODEL_FILE
    assert side.recipe.settings["threads"] == 1
    (tree / MODEL_FILE).unlink()
    with pytest.raises(BenchError, match=f"there is no {MODEL_FILE} in {tree}"):
        side_of(asked, placed(tree), {}, [])


def test_code_that_is_installed_from_the_repository_is_taken_from_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editable install leads both sides to the working tree."""
    tree, commit = (written(tmp_path / n, "edited_in_place", w) for n, w in (("tree", 1), ("c", 2)))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tree)])
    asked = Compared("c", ".", Path(MODEL_FILE), "Net")
    side = side_of(asked, placed(commit), {}, [tree])
    assert Path(side.revision.places["edited_in_place.py"]) == commit / "edited_in_place.py"
    (commit / "edited_in_place.py").unlink()
    with pytest.raises(BenchError, match="imports edited_in_place, which is installed from"):
        side_of(asked, placed(commit), {}, [tree])
