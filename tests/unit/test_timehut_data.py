"""Finding, reading and refusing data sets."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from baselines.timehut import TimeHUT, TimeHUTSettings, data, sources, ts
from baselines.timehut.sources import Source, found, resolve
from bench.errors import BenchError

HEADER = """@problemName Toy
@timeStamps false
@missing false
@univariate {univariate}
@equalLength {equal}
@classLabel true a b
@data
"""
ROWS = ["1,2,3,4:a", "2,3,4,9:b", "5,6,7,8:a"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "_archive_answers", lambda: False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")


def write(
    folder: Path,
    train: list[str],
    test: list[str] | None,
    univariate: bool = True,
    equal: bool = True,
) -> Source:
    """Write a set called Toy into `folder`/Toy."""
    source = Source("Toy", folder / "Toy")
    source.folder.mkdir(parents=True)
    header = HEADER.format(univariate=str(univariate).lower(), equal=str(equal).lower())
    for half, rows in (("TRAIN", train), ("TEST", test)):
        if rows is not None:
            source.file(half).write_text(header + "\n".join(rows) + "\n")
    return source


def refusal(source: Source) -> str:
    with pytest.raises(BenchError) as caught:
        data.load(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_real_sets_have_their_shapes(ucr: Path) -> None:
    chinatown = data.load(Source("Chinatown", ucr / "Chinatown"))
    assert chinatown.train.series.shape == (20, 24, 1)
    assert chinatown.test.series.shape == (343, 24, 1)
    assert chinatown.train.series.dtype == np.float32
    assert (chinatown.card.train_items, chinatown.card.test_items) == (20, 343)
    assert set(chinatown.test.labels.tolist()) == {0, 1}
    assert abs(float(chinatown.train.series.mean())) < 1e-5
    assert float(chinatown.train.series.std()) == pytest.approx(1, abs=1e-5)


def test_a_set_that_is_already_normalised_stays_as_it_is(ucr: Path) -> None:
    coffee = data.load(Source("Coffee", ucr / "Coffee"))
    first = (ucr / "Coffee" / "Coffee_TRAIN.ts").read_text().split("@data\n")[1].split(":")[0]
    expected = np.array(first.split(","), dtype=np.float32)
    np.testing.assert_array_equal(coffee.train.series[0, :, 0], expected)


def test_several_channels_are_scaled_one_by_one(tmp_path: Path) -> None:
    rows = ["1,2,3:100,200,300:a", "2,3,4:300,200,100:b"]
    toy = data.load(write(tmp_path, rows, rows, univariate=False))
    assert toy.train.series.shape == (2, 3, 2)
    np.testing.assert_allclose(toy.train.series.mean(axis=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(toy.train.series.std(axis=(0, 1)), 1, atol=1e-6)


def test_unequal_lengths_and_gaps_become_nan_and_are_noted(tmp_path: Path) -> None:
    toy = data.load(write(tmp_path, ["1,2,3,4:a", "1,?:b"], ["1,2,3:a"], equal=False))
    assert np.isnan(toy.train.series[1, 1:, 0]).all()
    assert np.isfinite(toy.train.series[0]).all()
    assert toy.test.series.shape == (1, 3, 1)
    assert toy.card.notes == ("3 values are missing (or pad shorter series) and are masked",)


def rewritten(tmp_path: Path, change: Callable[[str], str | bytes]) -> Source:
    """Return a set both files of which were changed."""
    source = write(tmp_path, ROWS, ROWS)
    for half in ("TRAIN", "TEST"):
        text = change(source.file(half).read_text())
        source.file(half).write_bytes(text.encode() if isinstance(text, str) else text)
    return source


def reordered(text: str) -> str:
    head, rows = text.split("@data\n")
    return "".join(reversed(head.splitlines(keepends=True))) + "@data\n" + rows


SAME: dict[str, Callable[[str], str | bytes]] = {
    "comments": lambda t: t.replace("2,3,4,9", "# x\n% y\n2,3,4,9").replace("@eq", "#\n@eq"),
    "empty lines": lambda t: t.replace("2,3,4,9", "\n \n\t\n2,3,4,9") + "\n\n",
    "blanks": lambda t: t.replace("1,2,3,4:a", " 1 ,\t2, 3,4 : a "),
    "tabs": lambda t: t.replace("@classLabel true a b", "@classLabel\ttrue\ta\tb  "),
    "another order": lambda t: reordered(t),
    "other tags": lambda t: t.replace("@data", "@frequency 3 Hz\n@targetLabel false\n@data"),
    "tags in capitals": lambda t: t.replace("@class", "@CLASS").replace(" true a", " TRUE a"),
    "labels in capitals": lambda t: t.replace(":a", ":A"),
    "no claim of equal lengths": lambda t: t.replace("@equalLength true\n", ""),
    "CRLF": lambda t: t.replace("\n", "\r\n"),
    "CR": lambda t: t.replace("\n", "\r"),
    "a mark of UTF-8": lambda t: b"\xef\xbb\xbf" + t.encode(),
    "UTF-16": lambda t: t.encode("utf-16"),
    "a comment in latin-1": lambda t: ("# coment\u00e1rio\n" + t).encode("latin-1"),
    "no last newline": lambda t: t.rstrip(),
    "even times": lambda t: stamped(t, "({0},{1})"),
    "dates": lambda t: stamped(t, "(2007-01-01 00:0{0}:00, {1})"),
}  # fmt: skip


def stamped(text: str, form: str) -> str:
    """Return a file whose values have times."""
    head, rows = text.replace("@timeStamps false", "@timeStamps true").split("@data\n")
    made = [row.split(":") for row in rows.split()]
    pairs = [[form.format(k, v) for k, v in enumerate(values.split(","))] for values, _ in made]
    lines = [f"{','.join(own)}:{label}" for own, (_, label) in zip(pairs, made, strict=True)]
    return head + "@data\n" + "\n".join(lines)


@pytest.mark.parametrize("how", SAME)
def test_a_file_may_be_written_in_other_ways(tmp_path: Path, how: str) -> None:
    plain = data.load(write(tmp_path / "plain", ROWS, ROWS))
    source = rewritten(tmp_path / "other", SAME[how])
    assert data.load(source).card == plain.card
    assert source.summary() == "2 classes"
    assert next(other.name for other in found(tmp_path / "other")) == "Toy"


@pytest.mark.parametrize("value", ["?", "NaN", "nan", " ? "])
def test_missing_values_are_read_in_every_spelling(tmp_path: Path, value: str) -> None:
    toy = data.load(rewritten(tmp_path, lambda text: text.replace("1,2,3", f"1,{value},3")))
    assert np.isnan(toy.train.series[0, 1, 0])
    assert "2 values are missing" in toy.card.notes[0]


def test_values_of_stamped_series_keep_their_signs(tmp_path: Path) -> None:
    rows = ["(0,-1.5),(1,2):(0,7),(1,-8):a", "(0,1),(1,?):(0,1),(1,1e2):b"]
    source = write(tmp_path, rows, rows, univariate=False)
    for half in ("TRAIN", "TEST"):
        text = source.file(half).read_text().replace("@timeStamps false", "@timeStamps TRUE")
        source.file(half).write_text(text)
    series = ts.read(source.file("TRAIN")).series
    assert series[0].tolist() == [[-1.5, 2], [7, -8]]
    assert series[1][1].tolist() == [1, 100]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1,2,3,4:a", "1,x,3,4:a", "line 8: 'x' is no number"),
        ("1,2,3,4:a", "1,,3,4:a", "line 8: '' is no number"),
        ("1,2,3,4:a", "1,2_0,3,4:a", "line 8: '2_0' is no number"),
        ("@data", "@seriesLength 400\n@data", "line 9 has 4 values a channel, although @seriesLe"),
        ("1,2,3,4:a", "1,2,3,4:c", "line 8 has the label 'c', which the header doesn't name"),
        ("2,3,4,9:b", "2,3,4,9,1:b", "line 9 has 5 values a channel, the first series 4, although"),
        ("2,3,4,9:b", "2,3,4,9:1,2,3,4:b", "line 9 has 2 channels, the first series 1"),
        ("@data\n", "", "line 7 comes before @data and is no tag"),
        ("true a b", "false", "has no class labels"),
        ("true a b", "true", "@classLabel has to name different labels"),
        ("true a b", "true a A b", "@classLabel has to name different labels"),
        ("@timeStamps false", "@timeStamps true", "line 8: '1,2,3,4:a' is not (time,value)"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, old: str, new: str, said: str) -> None:
    source = rewritten(tmp_path, lambda text: text.replace(old, new))
    message = refusal(source)
    assert f"{source.file('TRAIN')}" in message
    assert said in message


def test_uneven_times_are_refused(tmp_path: Path) -> None:
    uneven = stamped(
        "@timeStamps false\n@classLabel true a b\n@data\n1,2,3:a\n2,3,4:b", "({0},{1})"
    )
    source = rewritten(tmp_path, lambda _: uneven.replace("(2,4)", "(3,4)"))
    assert "line 5 has times that are not evenly spaced" in refusal(source)


def test_hidden_and_linked_sets_are_found_as_files_are(tmp_path: Path) -> None:
    source = write(tmp_path / "elsewhere", ROWS, ROWS)
    place = tmp_path / "place"
    place.mkdir()
    (place / "Toy").symlink_to(source.folder)
    for half in ("TRAIN", "TEST"):
        (place / f"._Toy_{half}.ts").write_bytes(source.file(half).read_bytes())
    names = [other.name for other in found(place) if other.folder.parent == place]
    assert names == ["Toy"]
    for half in ("TRAIN", "TEST"):
        source.file(half).rename(source.folder / f"TOY_{half}.TS")
    assert data.load(Source("Toy", place / "Toy")).card.train_items == 3


def test_the_card_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    one = data.load(write(tmp_path / "one", ROWS, ROWS)).card
    two = data.load(write(tmp_path / "two", ROWS, ROWS)).card
    other = data.load(write(tmp_path / "three", ROWS, ["1,2,3,5:a"])).card
    assert one == two
    assert one.sha256 != other.sha256


def test_garbage_is_refused_by_the_files_name(tmp_path: Path) -> None:
    source = write(tmp_path, ROWS, ROWS)
    source.file("TRAIN").write_bytes(bytes(range(256)) * 8)
    assert str(source.file("TRAIN")) in refusal(source)


@pytest.mark.parametrize("last", ["5,6", "5,6,7,", "5,6,7,8", "5,6,7,8:", ""])
def test_a_truncated_file_is_refused_by_its_name(tmp_path: Path, last: str) -> None:
    source = write(tmp_path, ROWS, ROWS if last == "" else [*ROWS[:2], last])
    if last == "":
        source.file("TEST").write_text("@problemName Toy\n@classLabel tr")
    assert str(source.file("TEST")) in refusal(source)


def test_a_file_without_series_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, ROWS, [])
    source.file("TEST").write_text(HEADER.format(univariate="true", equal="true"))
    assert "holds no series" in refusal(source)


def test_unequal_channel_counts_are_refused_with_both_numbers(tmp_path: Path) -> None:
    source = write(tmp_path, ["1,2:3,4:a", "1,2:3,4:b"], ["1,2:a"], univariate=False)
    message = refusal(source)
    assert "1 channels" in message
    assert "has 2" in message


def test_one_class_and_unknown_classes_are_refused(tmp_path: Path) -> None:
    assert "one class" in refusal(write(tmp_path / "one", ROWS[:1], ROWS))
    assert "'c'" in refusal(write(tmp_path / "two", ROWS, ["1,2,3,4:c"]))


def test_a_missing_half_is_named(tmp_path: Path) -> None:
    source = write(tmp_path, ROWS, None)
    with pytest.raises(BenchError, match=r"Toy_TEST\.ts is missing"):
        resolve("Toy", tmp_path)
    with pytest.raises(BenchError, match=r"Toy_TEST\.ts is missing"):
        resolve(str(source.folder), None)


def test_a_set_is_found_in_its_folder_beside_it_and_by_its_path(tmp_path: Path) -> None:
    source = write(tmp_path, ROWS, ROWS)
    assert resolve("Toy", tmp_path) == (source, ())
    assert resolve("Toy", source.folder) == (source, ())
    assert resolve(str(source.folder), None) == (source, ())
    assert source.name in {s.name for s in found(tmp_path)}


def test_an_unknown_name_gets_a_suggestion_and_is_never_replaced(tmp_path: Path) -> None:
    write(tmp_path, ROWS, ROWS)
    with pytest.raises(BenchError) as caught:
        TimeHUT().prepare(TimeHUTSettings(dataset="toi", data_dir=tmp_path))
    message = str(caught.value)
    assert 'no data set "toi"' in message
    assert 'did you mean "Toy"?' in message
    assert str(tmp_path) in message
    with pytest.raises(BenchError, match='did you mean "GunPoint"'):
        resolve("Gunpoint", None)


def test_a_misspelt_chinatown_is_never_replaced_by_unit_test(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match='no data set "Chinatown"'):
        TimeHUT().prepare(TimeHUTSettings(dataset="Chinatown", data_dir=tmp_path))


def test_without_a_name_chinatown_is_used_where_it_is(ucr: Path) -> None:
    settings, notices = TimeHUT().prepare(TimeHUTSettings(data_dir=ucr))
    assert settings.dataset == "Chinatown"
    assert notices == ()


def test_without_a_name_and_without_chinatown_unit_test_stands_in_with_a_notice() -> None:
    settings, notices = TimeHUT().prepare(TimeHUTSettings())
    assert settings.dataset == "UnitTest"
    assert len(notices) == 1
    assert "UnitTest" in notices[0]
    assert "\n" not in notices[0]
    assert TimeHUT().target_for(settings).value == 0.9796


def test_half_a_chinatown_is_an_error_even_when_it_was_not_named(ucr: Path, tmp_path: Path) -> None:
    (tmp_path / "Chinatown").mkdir()
    shutil.copy(ucr / "Chinatown" / "Chinatown_TRAIN.ts", tmp_path / "Chinatown")
    with pytest.raises(BenchError, match=r"Chinatown_TEST\.ts is missing"):
        resolve(None, tmp_path)


def test_the_list_of_sets_has_bundled_ones_and_no_regression() -> None:
    listed = {d.name: d for d in TimeHUT().datasets(None)}
    assert {"UnitTest", "GunPoint", "BasicMotions", "JapaneseVowels"} <= set(listed)
    assert not {"CardanoSentiment", "Covid3Month"} & set(listed)
    assert "2 classes" in listed["UnitTest"].summary


def test_held_out_series_come_from_training_only_and_from_every_class(ucr: Path) -> None:
    whole = data.load(Source("Chinatown", ucr / "Chinatown"))
    split = data.hold_out(whole, 0.25, seed=3)
    assert split.held_out is not None
    assert (len(split.train), len(split.held_out)) == (15, 5)
    assert set(split.held_out.labels.tolist()) == {0, 1}
    assert split.test is whole.test
    assert split.card.train_items == 15
    assert split.card.notes == ("5 of 20 training series held out for validation",)
    rows = np.concatenate([split.train.series, split.held_out.series])
    np.testing.assert_array_equal(np.sort(rows.ravel()), np.sort(whole.train.series.ravel()))


def test_at_least_one_series_is_held_out_and_never_all(ucr: Path) -> None:
    whole = data.load(Source("Chinatown", ucr / "Chinatown"))
    assert len(data.hold_out(whole, 0.001, seed=0).train) == 19
    with pytest.raises(BenchError, match="holds all 20"):
        data.hold_out(whole, 0.99, seed=0)
