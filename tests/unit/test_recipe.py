"""Recipes: their identity, and the files that they are exported to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, Clash
from bench.recipes.assembly import techniques_of
from bench.recipes.combination import check_conflicts
from bench.records.claim import read_exported
from bench.records.recipe import Recipe, Use
from bench.technique import Effect, Stage, Technique
from tests.records import exported, recipe


class Left(Technique):
    name = "left"
    stage = Stage.LOOP
    effect = Effect.EXACT
    conflicts = frozenset({"right"})


class Right(Technique):
    name = "right"
    stage = Stage.LOOP
    effect = Effect.EXACT


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "optimized.json"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


def exported_json() -> dict[str, Any]:
    return json.loads(exported("fast").model_dump_json())  # type: ignore[no-any-return]  # JSON


def refusal(tmp_path: Path, content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(BenchError) as caught:
        read_exported(written(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert "optimized.json" in message
    return message


def test_an_id_does_not_depend_on_the_order_of_keys() -> None:
    one = Recipe(baseline="b", settings={"x": 1, "y": {"p": 1, "q": 2}})
    other = Recipe(baseline="b", settings={"y": {"q": 2, "p": 1}, "x": 1})
    assert one.id == other.id


def test_an_id_is_the_same_on_every_machine() -> None:
    made = Recipe(baseline="b", settings={"lr": 0.1, "name": "Zürich"}, techniques=(Use(name="t"),))
    assert made.id == "fc15a55fa335"


def test_an_id_does_not_depend_on_the_hash_seed_of_a_process() -> None:
    code = "from tests.records import recipe; print(recipe('a', 'b').id)"
    ids = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert ids == {recipe("a", "b").id}


def test_where_data_lies_is_no_part_of_the_identity() -> None:
    assert recipe(data_dir="/here").id == recipe(data_dir="/there").id == recipe().id


def test_the_order_of_techniques_is_a_part_of_the_identity() -> None:
    assert recipe("a", "b").id != recipe("b", "a").id


def test_the_content_of_a_file_is_a_part_of_the_identity() -> None:
    ids = {Recipe(baseline="m.py:M", files={"m.py": digest}).id for digest in ("aa", "bb")}
    assert len(ids) == 2


def test_a_recipe_without_techniques_is_the_baseline() -> None:
    assert recipe().arm == "baseline"
    assert recipe("a", "b").arm == "a+b"
    assert recipe("a").plain() == recipe()


def test_an_exported_recipe_is_read_back_as_it_was(tmp_path: Path) -> None:
    made = exported("fast", "small")
    assert read_exported(written(tmp_path, made.model_dump_json())) == made


def test_an_edited_recipe_is_refused(tmp_path: Path) -> None:
    content = exported_json()
    content["recipe"]["settings"]["epochs"] = 1
    message = refusal(tmp_path, content)
    assert "it was edited; export it again" in message
    assert content["recipe_id"] in message


def test_a_recipe_of_a_newer_format_is_refused_with_advice(tmp_path: Path) -> None:
    message = refusal(tmp_path, exported_json() | {"format": 2})
    assert "has format 2; this bench reads format 1: update trainpairs to read it" in message


@pytest.mark.parametrize("found", [None, 0, "1", True, 1.5, [1]])
def test_a_recipe_of_no_known_format_is_refused(tmp_path: Path, found: object) -> None:
    message = refusal(tmp_path, exported_json() | {"format": found})
    assert f"has format {found!r}" in message
    assert "is it a file of bench?" in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"can't read .*gone\.json: No such file"):
        read_exported(tmp_path / "gone.json")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"can't read .*Is a directory"):
        read_exported(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_recipe_is_refused(tmp_path: Path, share: float) -> None:
    text = exported("fast").model_dump_json()
    assert "is not JSON" in refusal(tmp_path, text[: int(share * len(text))])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "optimized.json"
    path.write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(BenchError, match="is not JSON"):
        read_exported(path)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"'])
def test_json_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    assert "not an object" in refusal(tmp_path, content)


@pytest.mark.parametrize("depth", [300, 2_000, 100_000])
def test_deeply_nested_json_is_refused(tmp_path: Path, depth: int) -> None:
    content = exported_json()
    content["recipe"]["settings"]["epochs"] = "HERE"
    text = json.dumps(content).replace('"HERE"', "[" * depth + "]" * depth)
    refusal(tmp_path, text)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(tmp_path: Path, value: str) -> None:
    content = exported_json()
    content["recipe"]["settings"]["lr"] = "HERE"
    refusal(tmp_path, json.dumps(content).replace('"HERE"', value))


def test_a_claim_of_no_number_is_refused(tmp_path: Path) -> None:
    text = exported("fast").model_dump_json().replace("1.6", "NaN")
    assert "NaN" in refusal(tmp_path, text)


def test_text_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    content = exported_json()
    content["recipe"]["settings"]["name"] = "\ud800"
    refusal(tmp_path, content)


def test_a_number_of_many_digits_is_refused(tmp_path: Path) -> None:
    content = exported_json()
    content["recipe"]["settings"]["epochs"] = "HERE"
    refusal(tmp_path, json.dumps(content).replace('"HERE"', "9" * 10_000))


@pytest.mark.parametrize(
    ("field", "value"),
    [("recipe", []), ("recipe", None), ("claim", {}), ("recipe_id", 5), ("baseline", "timehut")],
)
def test_a_field_of_the_wrong_type_is_named(tmp_path: Path, field: str, value: object) -> None:
    message = refusal(tmp_path, exported_json() | {field: value})
    assert f"is not an exported recipe: {field}" in message


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    assert "surprise: Extra inputs are not permitted" in refusal(
        tmp_path, exported_json() | {"surprise": 1}
    )


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    content = exported_json()
    del content["claim"]["margin"]
    assert "claim.margin: Field required" in refusal(tmp_path, content)


def test_the_same_technique_twice_is_refused() -> None:
    with pytest.raises(Clash, match="left is there twice; give it once"):
        check_conflicts([Left(), Left()])


@pytest.mark.parametrize("order", [(Left(), Right()), (Right(), Left())])
def test_techniques_that_exclude_each_other_are_refused(order: tuple[Technique, Technique]) -> None:
    with pytest.raises(Clash, match="exclude each other; use one of them"):
        check_conflicts(order)


def test_the_techniques_of_a_recipe_come_in_the_order_of_their_stages() -> None:
    made = recipe().model_copy(
        update={"techniques": (Use(name="mixed-precision"), Use(name="gradient-checkpointing"))}
    )
    assert [t.name for t in techniques_of(made, {})] == [
        "gradient-checkpointing",
        "mixed-precision",
    ]


def test_an_export_with_a_slower_baseline_put_in_is_refused(tmp_path: Path) -> None:
    made = exported("fast")
    slower = made.baseline.model_copy(update={"settings": {"batch_size": 1}})
    path = tmp_path / "optimized.json"
    path.write_text(made.model_copy(update={"baseline": slower}).model_dump_json())
    with pytest.raises(BenchError, match=r"the baseline's content has the id .* it was edited"):
        read_exported(path)


@pytest.mark.parametrize("name", ["../m.py", "/m.py", "a/../../m.py", "a\\m.py", "./m.py", "m.txt"])
def test_code_is_named_by_a_bare_name(tmp_path: Path, name: str) -> None:
    content = exported_json()
    content["recipe"] |= {"files": {name: "0" * 64}}
    assert f"{name!r} leads elsewhere" in refusal(tmp_path, content)


@pytest.mark.parametrize("reference", ["/e/t.py:T", "../t.py:T"])
@pytest.mark.parametrize("place", ["baseline", "technique"])
def test_code_outside_of_the_recipes_folder_is_refused(
    tmp_path: Path, reference: str, place: str
) -> None:
    content = exported_json()
    if place == "baseline":
        content["recipe"]["baseline"] = reference
    else:
        content["recipe"]["techniques"][0]["name"] = reference
    assert "leads elsewhere" in refusal(tmp_path, content)


def test_code_without_a_hash_is_refused(tmp_path: Path) -> None:
    content = exported_json()
    content["recipe"]["baseline"] = "m.py:M"
    assert "there is no hash of m.py: it can't be run" in refusal(tmp_path, content)


@pytest.mark.parametrize(("field", "value"), [("pairs", -1), ("margin", -1), ("repeats", 1.5)])
def test_a_claim_of_impossible_numbers_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    content = exported_json()
    content["claim"][field] = value
    assert f"claim.{field}" in refusal(tmp_path, content)
    content["claim"] = exported_json()["claim"] | {"time_ratio": [0, 1, 2]}
    assert "claim.time_ratio.0" in refusal(tmp_path, content)
