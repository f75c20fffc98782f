"""A run is gone on with only where its code, its libraries and its data are what they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.machine import environment
from bench.recipes import own_packages, trust
from bench.recipes.source import Source, given_by, hashed, places_in
from bench.records.header import Arm, Header
from bench.run import identity
from tests.records import DATA, header, measurement, recipe

RUN = Path("results/run")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Header:
    """Return the header of a run of a technique in a file with a neighbour."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "t.py").write_text("import kit_of_t\nclass T: ...\n")
    (tmp_path / "kit_of_t.py").write_text("x = 1\n")
    places = {name: str(tmp_path / name) for name in ("t.py", "kit_of_t.py")}
    return header(
        arms=(Arm(techniques=("t.py:T:x=1",)),),
        places=places,
        files={name: source.sha256 for name, source in hashed(places).items()},
    )


def refusal(header: Header) -> str:
    with pytest.raises(BenchError) as caught:
        identity.check_code(header, identity.code_of(header, RUN), RUN)
    return str(caught.value)


def test_unchanged_code_goes_on(run: Header) -> None:
    code = identity.code_of(run, RUN)
    assert list(code) == ["t.py", "kit_of_t.py"]
    identity.check_code(run, code, RUN)


def test_a_changed_technique_is_refused_by_arm_and_file(run: Header, tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("import kit_of_t\nclass T: y = 1\n")
    assert refusal(run) == (
        "results/run measured t.py:T:x=1 as it was: t.py has changed since: start a new run"
    )


def test_a_changed_neighbour_is_refused_by_its_name(run: Header, tmp_path: Path) -> None:
    (tmp_path / "kit_of_t.py").write_text("x = 2\n")
    assert "kit_of_t.py has changed since: start a new run" in refusal(run)


def test_a_file_that_is_gone_is_refused(run: Header, tmp_path: Path) -> None:
    (tmp_path / "t.py").unlink()
    assert f"t.py is no longer in {tmp_path}: start a new run" in refusal(run)


def test_a_neighbour_that_came_since_is_refused(run: Header, tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("try:\n    import late_kit\nexcept ImportError: ...\n")
    digests = {n: s.sha256 for n, s in hashed(run.places).items()}
    changed = run.model_copy(update={"files": digests})
    (tmp_path / "late_kit.py").write_text("")
    assert "it imports late_kit.py now" in refusal(changed)


@pytest.mark.parametrize("name", ["/evil.py:M", "../evil.py:M", "unhashed.py:M"])
def test_a_run_that_names_code_by_a_path_or_without_a_hash_is_not_resumed(name: str) -> None:
    for made in (header(baseline=name), header(arms=(Arm(techniques=(name,)),))):
        with pytest.raises(BenchError, match="no bare name with a hash: such a run can't be resu"):
            identity.code_of(made, RUN)


def test_code_that_was_never_named_here_asks_for_trust(run: Header, tmp_path: Path) -> None:
    code = identity.code_of(run, RUN)
    notes: list[str] = []
    with pytest.raises(BenchError) as caught:
        trust.check(code, RUN, False, notes.append)
    assert str(caught.value).startswith(
        "results/run names code that was not given on a command line here: "
        f"{tmp_path / 't.py'} (sha256 "
    )
    assert str(caught.value).endswith("read it, then add --trust to run it")
    trust.check(code, RUN, True, notes.append)
    assert notes[0].startswith(f"running, as results/run names it: {tmp_path / 't.py'}")
    trust.check(code, RUN, False, notes.append)
    assert len(notes) == 1


def test_code_that_was_named_here_is_known_wherever_it_lies(run: Header, tmp_path: Path) -> None:
    code = identity.code_of(run, RUN)
    trust.remember(code)
    moved = {name: Source(tmp_path / "moved" / name, s.sha256) for name, s in code.items()}
    assert trust.strangers(moved) == []


def test_another_version_of_a_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"python": "3.11.7", "packages": {"torch": "2.13.0", "aeon": None}}
    monkeypatch.setattr(environment, "capture", lambda: facts)
    identity.check_libraries(header(environment={**facts, "packages": {"torch": "2.13.0+cpu"}}))
    old = header(environment={**facts, "packages": {"torch": "2.6.0"}})
    with pytest.raises(BenchError, match=r"measured with torch 2\.6\.0, here is torch 2\.13\.0"):
        identity.check_libraries(old)
    with pytest.raises(BenchError, match=r"Python 3\.12\.1, here is Python 3\.11\.7: start a new"):
        identity.check_libraries(header(environment={"python": "3.12.1"}))


def test_a_script_of_either_revision_may_have_packages_of_our_names(tmp_path: Path) -> None:
    sides = []
    for side in ("base", "head"):
        (tmp_path / side / "optimizers").mkdir(parents=True)
        names = ("train.py", "optimizers/__init__.py")
        for name, text in zip(names, ("import optimizers\n", f"side = '{side}'\n"), strict=True):
            (tmp_path / side / name).write_text(text)
        sides.append(hashed({name: str(tmp_path / side / name) for name in names}))
    base, head = sides
    known = header(baseline="train.py:__main__", places=places_in(base))
    identity.check_code(known, base, RUN)
    identity.check_code(known, head, RUN)
    (tmp_path / "head" / "train.py").write_text("import optimizers, later\n")
    with pytest.raises(BenchError, match=r"train\.py has changed since"):
        identity.check_code(known, head, RUN)


MACHINE = {"cpu": "A", "cores": 2, "gpus": [{"name": "H200"}], "load_average": 0.1}


@pytest.mark.parametrize(
    ("changes", "device", "said"),
    [
        ({"cpu": "B"}, "cpu", "cpu A and B here"),
        ({"cores": 64}, "cpu", "cores 2 and 64 here"),
        ({"gpus": []}, "cuda", r"gpus \['H200'\] and \[\] here"),
    ],
)
def test_another_machine_is_refused_unless_nodes_measure(
    changes: dict[str, Any], device: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "capture", lambda: {**MACHINE, **changes})
    with pytest.raises(BenchError, match=f"{said}; go on with it there, or start a new run"):
        identity.check_machine(header(environment=MACHINE, device=device))
    identity.check_machine(header(environment=MACHINE, device=device, on="slurm:2"))


@pytest.mark.parametrize(
    "changes", [{"load_average": 9.0}, {"memory_bytes": 1}, {"system": "Linux 9"}, {"gpus": []}]
)
def test_what_makes_no_other_machine_is_gone_on_with(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "capture", lambda: {**MACHINE, **changes})
    identity.check_machine(header(environment=MACHINE))
    identity.check_machine(header(environment={}))


def test_the_journal_answers_for_an_equal_recipe_alone() -> None:
    known = measurement("fast", 1)
    identity.check_same(known, recipe("fast", data_dir="/elsewhere"))
    with pytest.raises(BenchError, match=r"fast was measured as recipe .*, its settings have chan"):
        identity.check_same(known, recipe("fast", epochs=6))


def test_other_data_is_refused() -> None:
    other = replace(DATA, sha256="e" * 64)
    identity.check_data(measurement(), measurement())
    with pytest.raises(BenchError, match=r"sha256 dddddddddddd, made up has eeeeeeeeeeee now"):
        identity.check_data(measurement(), measurement(data=other))


def test_another_state_of_trainpairs_is_refused() -> None:
    now = own_packages.digest()
    identity.check_own_code(header(environment={identity.CODE: now}))
    identity.check_own_code(header(environment={}))
    with pytest.raises(BenchError, match="was measured with other code of trainpairs than"):
        identity.check_own_code(header(environment={identity.CODE: "0" * 64}))


def test_a_recipe_takes_no_file_from_the_current_folder() -> None:
    with pytest.raises(BenchError, match=r"no place to take setup\.py from"):
        given_by({"setup.py": "0" * 64}, {})
